//! Messages from a worker to the engine, a type for each kind.
//!
//! Each type reads and writes the header of 64 bytes that `docs/PROTOCOL.md` describes. All checks
//! that need no knowledge of the channel are done when a message is read.

use super::broken::Broken;
use super::call_id::CallId;
use super::failure::WireFailure;
use super::header::{FLAG_WAITS, Header, Kind, call_of};
use super::ids::{CallNumber, FunctionId, InvokeNumber};
use super::message::{Message, MessageBuffer};
use super::payload::WirePayload;
use std::num::NonZeroU64;

/// The messages that a worker can send to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToEngine<'a> {
    /// Kind 1.
    Ready(Ready),
    /// Kind 4.
    Invoke(Invoke<'a>),
    /// Kind 5.
    CallComplete(CallComplete<'a>),
    /// Kind 6.
    CallFailed(CallFailed<'a>),
    /// Kind 7.
    CancelInvoke(CancelInvoke),
    /// Kind 8.
    Wait(Wait),
    /// Kind 11.
    InvokeBelow(InvokeBelow<'a>),
    /// Kind 12.
    Resume(Resume),
    /// Kind 15.
    CancelLease(CancelLease),
    /// Kind 16.
    InvokeAlone(InvokeAlone<'a>),
}

impl<'a> ToEngine<'a> {
    /// Reads a message to the engine.
    ///
    /// # Errors
    /// If its kind does not come from a worker, or a field has no meaning for its kind.
    #[inline]
    pub fn read(message: &Message<'a>) -> Result<ToEngine<'a>, Broken> {
        let header = &message.header;
        Ok(match message.kind {
            Kind::Ready => ToEngine::Ready(Ready { sent_at: header.sent_at }),
            Kind::Invoke => ToEngine::Invoke(Invoke::read(message)?),
            Kind::Complete => ToEngine::CallComplete(CallComplete::read(message)?),
            Kind::Failed => ToEngine::CallFailed(CallFailed::read(message)?),
            Kind::Cancel => ToEngine::CancelInvoke(CancelInvoke {
                call: InvokeNumber(header.call),
                sent_at: header.sent_at,
            }),
            Kind::Wait => ToEngine::Wait(Wait {
                call: call_of(header)?,
                answers: header.parent,
                sent_at: header.sent_at,
            }),
            Kind::InvokeBelow => ToEngine::InvokeBelow(InvokeBelow::read(message)?),
            Kind::Resume => ToEngine::Resume(Resume { call: call_of(header)? }),
            Kind::CancelLease => ToEngine::CancelLease(CancelLease { lease: call_of(header)? }),
            Kind::InvokeAlone => ToEngine::InvokeAlone(InvokeAlone::read(message)?),
            Kind::Retire
            | Kind::Dispatch
            | Kind::Lend
            | Kind::Recall
            | Kind::Resumed
            | Kind::DirectCall => return Err(Broken::Kind(header.kind)),
        })
    }

    /// Returns the error that a message of this kind may not come now.
    pub fn unexpected(&self) -> Broken {
        Broken::Kind(match self {
            ToEngine::Ready(_) => Kind::Ready,
            ToEngine::Invoke(_) => Kind::Invoke,
            ToEngine::CallComplete(_) => Kind::Complete,
            ToEngine::CallFailed(_) => Kind::Failed,
            ToEngine::CancelInvoke(_) => Kind::Cancel,
            ToEngine::Wait(_) => Kind::Wait,
            ToEngine::InvokeBelow(_) => Kind::InvokeBelow,
            ToEngine::Resume(_) => Kind::Resume,
            ToEngine::CancelLease(_) => Kind::CancelLease,
            ToEngine::InvokeAlone(_) => Kind::InvokeAlone,
        } as u16)
    }
}

/// The call that a worker runs and says something about.
/// READY: calls may come. The first message of every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
}

impl Ready {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header { sent_at: self.sent_at, ..Header::new(Kind::Ready, 0) };
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// INVOKE: an internal call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invoke<'a> {
    /// The number that the worker chose for it.
    pub call: InvokeNumber,
    /// The call whose handler makes it.
    pub parent: CallNumber,
    /// The function that is called.
    pub callee: Callee<'a>,
    /// Whether the handler does nothing until it gets an answer, and so lends its slot.
    pub waits: bool,
    /// The deadline that the handler asks for, in ns of the monotonic clock; `None` for the
    /// parent's.
    pub deadline: Option<NonZeroU64>,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

/// How an INVOKE names the function that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee<'a> {
    /// By the id that came with an earlier answer.
    Id(FunctionId),
    /// By its name.
    Name(&'a str),
}

impl<'a> Callee<'a> {
    /// The field `function` and the name of a message that calls it.
    #[inline]
    fn on_wire(self) -> (u32, &'a str) {
        match self {
            Callee::Id(id) => (id.number(), ""),
            Callee::Name(name) => (0, name),
        }
    }
}

impl<'a> Invoke<'a> {
    #[inline]
    fn read(message: &Message<'a>) -> Result<Invoke<'a>, Broken> {
        let header = &message.header;
        let name = message.name()?;
        Ok(Invoke {
            call: InvokeNumber(header.call),
            parent: CallNumber::new(header.parent).ok_or(Broken::Call(header.parent))?,
            callee: FunctionId::new(header.function).map_or(Callee::Name(name), Callee::Id),
            waits: header.has(FLAG_WAITS),
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
        let (function, name) = self.callee.on_wire();
        let header = Header {
            flags: if self.waits { FLAG_WAITS } else { 0 },
            parent: self.parent.number(),
            function,
            deadline: self.deadline.map_or(0, NonZeroU64::get),
            sent_at: self.sent_at,
            ..Header::new(Kind::Invoke, self.call.0)
        };
        MessageBuffer::write(header, name, self.payload)
    }
}

/// When a handler ran, in ns of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerTimes {
    /// When it began.
    pub began_at: u64,
    /// When it ended.
    pub ended_at: u64,
}

impl HandlerTimes {
    #[inline]
    fn read(header: &Header) -> HandlerTimes {
        HandlerTimes { began_at: header.parent, ended_at: header.deadline }
    }
}

/// COMPLETE from a worker: the answer to a call that it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallComplete<'a> {
    /// The call.
    pub call: CallNumber,
    /// When its handler ran.
    pub times: HandlerTimes,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

impl<'a> CallComplete<'a> {
    #[inline]
    fn read(message: &Message<'a>) -> Result<CallComplete<'a>, Broken> {
        Ok(CallComplete {
            call: call_of(&message.header)?,
            times: HandlerTimes::read(&message.header),
            sent_at: message.header.sent_at,
            payload: message.payload(),
        })
    }

    /// The message. [`MessageBuffer::set_ended`] can change when the handler ended and when it is
    /// sent.
    ///
    /// # Panics
    /// If the inline payload does not fit a message.
    #[inline]
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            parent: self.times.began_at,
            deadline: self.times.ended_at,
            sent_at: self.sent_at,
            ..Header::new(Kind::Complete, self.call.number())
        };
        MessageBuffer::write(header, "", self.payload)
    }
}

/// FAILED from a worker: a call that it ran failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFailed<'a> {
    /// The call.
    pub call: CallNumber,
    /// When its handler ran.
    pub times: HandlerTimes,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// The failure.
    pub failure: WireFailure<'a>,
}

impl<'a> CallFailed<'a> {
    fn read(message: &Message<'a>) -> Result<CallFailed<'a>, Broken> {
        Ok(CallFailed {
            call: call_of(&message.header)?,
            times: HandlerTimes::read(&message.header),
            sent_at: message.header.sent_at,
            failure: message.failure()?,
        })
    }

    /// The message. [`MessageBuffer::set_ended`] can change when the handler ended and when it is
    /// sent.
    ///
    /// # Panics
    /// If the failure does not fit a message, which one that was encoded does.
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            status: self.failure.status.number(),
            parent: self.times.began_at,
            deadline: self.times.ended_at,
            sent_at: self.sent_at,
            ..Header::new(Kind::Failed, self.call.number())
        };
        MessageBuffer::write(header, "", WirePayload::Inline(self.failure.payload))
    }
}

/// CANCEL from a worker: the answer to an internal call is no longer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelInvoke {
    /// The internal call.
    pub call: InvokeNumber,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
}

impl CancelInvoke {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header { sent_at: self.sent_at, ..Header::new(Kind::Cancel, self.call.0) };
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// WAIT: a handler has nothing to do until any of its internal calls is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The call whose handler waits.
    pub call: CallNumber,
    /// How many answers the handler has had.
    pub answers: u64,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
}

impl Wait {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            parent: self.answers,
            sent_at: self.sent_at,
            ..Header::new(Kind::Wait, self.call.number())
        };
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// INVOKE_BELOW: an internal call of a handler that runs a direct call, which the engine does not
/// know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvokeBelow<'a> {
    /// The worker's number for the new call.
    pub call: InvokeNumber,
    /// The lease under which the direct call runs.
    pub lease: CallNumber,
    /// The call from outside that led to the direct call.
    pub root: CallId,
    /// The number of calls above the new call.
    pub depth: u32,
    /// The function to call.
    pub callee: Callee<'a>,
    /// Whether the handler runs nothing until it gets an answer, so that its slot is free.
    pub waits: bool,
    /// The deadline of the direct call, or of the new call if that is earlier, in ns of the
    /// monotonic clock.
    pub deadline: NonZeroU64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

impl<'a> InvokeBelow<'a> {
    fn read(message: &Message<'a>) -> Result<InvokeBelow<'a>, Broken> {
        let header = &message.header;
        let name = message.name()?;
        Ok(InvokeBelow {
            call: InvokeNumber(header.call),
            lease: CallNumber::new(header.parent).ok_or(Broken::Call(header.parent))?,
            root: CallId::from_wire(header.sent_at).ok_or(Broken::Call(header.sent_at))?,
            depth: header.status,
            callee: FunctionId::new(header.function).map_or(Callee::Name(name), Callee::Id),
            waits: header.has(FLAG_WAITS),
            deadline: NonZeroU64::new(header.deadline).ok_or(Broken::Deadline)?,
            payload: message.payload(),
        })
    }

    /// The message.
    ///
    /// # Panics
    /// If the name and the inline payload do not fit a message.
    pub fn write(&self) -> MessageBuffer {
        let (function, name) = self.callee.on_wire();
        let header = Header {
            flags: if self.waits { FLAG_WAITS } else { 0 },
            status: self.depth,
            parent: self.lease.number(),
            function,
            deadline: self.deadline.get(),
            sent_at: self.root.number(),
            ..Header::new(Kind::InvokeBelow, self.call.0)
        };
        MessageBuffer::write(header, name, self.payload)
    }
}

/// RESUME: a handler has the answer to a direct call; its slot was lent meanwhile, and it needs one
/// to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The call of the handler, or its lease.
    pub call: CallNumber,
}

impl Resume {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header::new(Kind::Resume, self.call.number());
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// CANCEL_LEASE: the caller under a lease no longer wants the answer to its call, and has abandoned
/// it. The lease ends, and all that the call has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelLease {
    /// The lease, of this container as the caller.
    pub lease: CallNumber,
}

impl CancelLease {
    /// The message.
    pub fn write(&self) -> MessageBuffer {
        let header = Header::new(Kind::CancelLease, self.lease.number());
        MessageBuffer::write(header, "", WirePayload::EMPTY)
    }
}

/// INVOKE_ALONE: a process calls a function outside of any request. Only a caller says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvokeAlone<'a> {
    /// The number that the caller chose for it.
    pub call: InvokeNumber,
    /// The function that is called.
    pub callee: Callee<'a>,
    /// The deadline that the caller asks for, in ns of the monotonic clock; `None` for the
    /// callee's timeout, which holds in any case.
    pub deadline: Option<NonZeroU64>,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

impl<'a> InvokeAlone<'a> {
    fn read(message: &Message<'a>) -> Result<InvokeAlone<'a>, Broken> {
        let header = &message.header;
        let name = message.name()?;
        if header.parent != 0 {
            return Err(Broken::Call(header.parent));
        }
        Ok(InvokeAlone {
            call: InvokeNumber(header.call),
            callee: FunctionId::new(header.function).map_or(Callee::Name(name), Callee::Id),
            deadline: NonZeroU64::new(header.deadline),
            sent_at: header.sent_at,
            payload: message.payload(),
        })
    }

    /// The message.
    ///
    /// # Panics
    /// If name and inline payload do not fit a message.
    pub fn write(&self) -> MessageBuffer {
        let (function, name) = self.callee.on_wire();
        let header = Header {
            function,
            deadline: self.deadline.map_or(0, NonZeroU64::get),
            sent_at: self.sent_at,
            ..Header::new(Kind::InvokeAlone, self.call.0)
        };
        MessageBuffer::write(header, name, self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::payload::InlinePayload;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            call: u64, parent in 1u64.., waits: bool, deadline: u64, name in "[a-z]{0,63}",
            metadata in proptest::collection::vec(any::<u8>(), 0..100),
            body in proptest::collection::vec(any::<u8>(), 0..797),
        ) {
            let payload = InlinePayload { metadata: &metadata, body: &body };
            let invoke = Invoke {
                call: InvokeNumber(call),
                parent: CallNumber::new(parent).unwrap(),
                callee: Callee::Name(&name),
                waits,
                deadline: NonZeroU64::new(deadline),
                sent_at: 5,
                payload: WirePayload::Inline(payload),
            };
            let buffer = invoke.write();
            let (message, len) = Message::parse(buffer.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(len, buffer.as_bytes().len());
            prop_assert_eq!(ToEngine::read(&message), Ok(ToEngine::Invoke(invoke)));
        }
    }
}
