//! Messages from the engine to a worker, a type for each kind.
//!
//! Each type reads and writes the header of 64 bytes that `docs/PROTOCOL.md` describes. All checks
//! that need no knowledge of the channel are done when a message is read.

use super::broken::Broken;
use super::call_id::CallId;
use super::cancel::CancelReason;
use super::failure::WireFailure;
use super::header::{Header, Kind, call_of};
use super::ids::{CallNumber, FunctionId, InvokeNumber};
use super::message::{Message, MessageBuffer};
use super::payload::WirePayload;
use super::status::Status;
use std::num::NonZeroU64;

/// The messages that the engine can send to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToWorker<'a> {
    /// Kind 2.
    Retire(Retire),
    /// Kind 3.
    Dispatch(Dispatch<'a>),
    /// Kind 5.
    AnswerComplete(AnswerComplete<'a>),
    /// Kind 6.
    AnswerFailed(AnswerFailed<'a>),
    /// Kind 7.
    CancelCall(CancelCall),
    /// Kind 9.
    Lend(Lend),
    /// Kind 10.
    Recall(Recall),
    /// Kind 13.
    Resumed(Resumed),
}

impl<'a> ToWorker<'a> {
    /// Reads a message to a worker.
    ///
    /// # Errors
    /// If its kind does not come from the engine, or a field has no meaning for its kind.
    #[inline]
    pub fn read(message: &Message<'a>) -> Result<ToWorker<'a>, Broken> {
        Ok(match message.kind {
            Kind::Retire => ToWorker::Retire(Retire { sent_at: message.header.sent_at }),
            Kind::Dispatch => ToWorker::Dispatch(Dispatch::read(message)?),
            Kind::Complete => ToWorker::AnswerComplete(AnswerComplete::read(message)),
            Kind::Failed => ToWorker::AnswerFailed(AnswerFailed::read(message)?),
            Kind::Cancel => ToWorker::CancelCall(CancelCall::read(message)?),
            Kind::Lend => ToWorker::Lend(Lend { call: call_of(&message.header)? }),
            Kind::Recall => ToWorker::Recall(Recall { call: call_of(&message.header)? }),
            Kind::Resumed => ToWorker::Resumed(Resumed { call: call_of(&message.header)? }),
            Kind::Ready
            | Kind::Invoke
            | Kind::Wait
            | Kind::InvokeBelow
            | Kind::Resume
            | Kind::CancelLease
            | Kind::DirectCall
            | Kind::InvokeAlone => return Err(Broken::Kind(message.header.kind)),
        })
    }
}

/// RETIRE: the worker is idle and has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retire {
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
}

impl Retire {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header { sent_at: self.sent_at, ..Header::new(Kind::Retire, 0) };
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// DISPATCH: a call for the worker to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch<'a> {
    /// The call.
    pub call: CallNumber,
    /// The call from outside that led to this one; `None` if this one came from outside.
    pub root: Option<CallId>,
    /// The number of calls above this one. An engine that speaks a version before
    /// [`super::version::DIRECT_SINCE_VERSION`] says 0.
    pub depth: u32,
    /// The function that made the call; `None` for a call from outside.
    pub caller: Option<Caller<'a>>,
    /// The deadline, in ns of the monotonic clock.
    pub deadline: Option<NonZeroU64>,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

/// The function that made an internal call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller<'a> {
    /// Its id.
    pub id: FunctionId,
    /// Its name, which is told the first time that the id comes on a channel.
    pub name: Option<&'a str>,
}

impl<'a> Dispatch<'a> {
    #[inline]
    fn read(message: &Message<'a>) -> Result<Dispatch<'a>, Broken> {
        let header = &message.header;
        let name = message.name()?;
        let name = (!name.is_empty()).then_some(name);
        Ok(Dispatch {
            call: call_of(header)?,
            root: CallId::from_wire(header.parent),
            depth: header.status,
            caller: FunctionId::new(header.function).map(|id| Caller { id, name }),
            deadline: NonZeroU64::new(header.deadline),
            sent_at: header.sent_at,
            payload: message.payload(),
        })
    }

    /// The message.
    ///
    /// # Panics
    /// If name and inline payload do not fit a message.
    #[inline]
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            status: self.depth,
            parent: self.root.map_or(0, CallId::number),
            function: self.caller.map_or(0, |caller| caller.id.number()),
            deadline: self.deadline.map_or(0, NonZeroU64::get),
            sent_at: self.sent_at,
            ..Header::new(Kind::Dispatch, self.call.number())
        };
        let name = self.caller.and_then(|caller| caller.name).unwrap_or_default();
        MessageBuffer::write(header, name, self.payload)
    }
}

/// COMPLETE to a worker: the answer to an internal call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerComplete<'a> {
    /// The internal call.
    pub call: InvokeNumber,
    /// The id of the callee, by which later INVOKEs can name it.
    pub function: Option<FunctionId>,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

impl<'a> AnswerComplete<'a> {
    #[inline]
    fn read(message: &Message<'a>) -> AnswerComplete<'a> {
        AnswerComplete {
            call: InvokeNumber(message.header.call),
            function: FunctionId::new(message.header.function),
            sent_at: message.header.sent_at,
            payload: message.payload(),
        }
    }

    /// The message.
    ///
    /// # Panics
    /// If the inline payload does not fit a message.
    #[inline]
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            function: self.function.map_or(0, FunctionId::number),
            sent_at: self.sent_at,
            ..Header::new(Kind::Complete, self.call.0)
        };
        MessageBuffer::write(header, "", self.payload)
    }
}

/// FAILED to a worker: an internal call got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerFailed<'a> {
    /// The internal call.
    pub call: InvokeNumber,
    /// The id of the callee; `None` if there is no such function.
    pub function: Option<FunctionId>,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// The failure.
    pub failure: WireFailure<'a>,
}

impl<'a> AnswerFailed<'a> {
    fn read(message: &Message<'a>) -> Result<AnswerFailed<'a>, Broken> {
        Ok(AnswerFailed {
            call: InvokeNumber(message.header.call),
            function: FunctionId::new(message.header.function),
            sent_at: message.header.sent_at,
            failure: message.failure()?,
        })
    }

    /// The message.
    ///
    /// # Panics
    /// If the failure does not fit a message, which one that was encoded does.
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            status: self.failure.status.number(),
            function: self.function.map_or(0, FunctionId::number),
            sent_at: self.sent_at,
            ..Header::new(Kind::Failed, self.call.0)
        };
        MessageBuffer::write(header, "", WirePayload::Inline(self.failure.payload))
    }
}

/// CANCEL to an event loop: nobody waits for the answer of a call that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelCall {
    /// The call.
    pub call: CallNumber,
    /// Why. `None` is what a peer sends that speaks a version before
    /// [`super::version::CANCEL_REASON_SINCE_VERSION`], and what it has to be sent.
    pub reason: Option<CancelReason>,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
}

impl CancelCall {
    fn read(message: &Message<'_>) -> Result<CancelCall, Broken> {
        let header = &message.header;
        let reason = match Status::from_number(header.status) {
            Some(Status::Ok) => None,
            status => {
                let reason = status.and_then(CancelReason::from_status);
                Some(reason.ok_or(Broken::Status(header.status))?)
            }
        };
        Ok(CancelCall { call: call_of(header)?, reason, sent_at: header.sent_at })
    }

    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            status: self.reason.map_or(Status::Ok, CancelReason::status).number(),
            sent_at: self.sent_at,
            ..Header::new(Kind::Cancel, self.call.number())
        };
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// LEND: the worker runs the calls of a direct channel from now on, as one long call of this
/// number. The control socket brings the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lend {
    /// The lease, as a call: the worker ends it by COMPLETE.
    pub call: CallNumber,
}

impl Lend {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header::new(Kind::Lend, self.call.number());
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// RECALL: the worker runs no more calls of a direct channel, and ends the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The lease, as a call.
    pub call: CallNumber,
}

impl Recall {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header::new(Kind::Recall, self.call.number());
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// RESUMED: a call whose slot was lent has one again, and its handler goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The call.
    pub call: CallNumber,
}

impl Resumed {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header::new(Kind::Resumed, self.call.number());
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}
