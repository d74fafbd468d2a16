//! Messages on a direct channel, between two containers. The callee answers as it answers the
//! engine, by [`CallComplete`] and [`CallFailed`].

use super::broken::Broken;
use super::call_id::CallId;
use super::header::{Header, Kind, call_of};
use super::ids::CallNumber;
use super::message::{Message, MessageBuffer};
use super::payload::WirePayload;
use super::to_engine::{CallComplete, CallFailed, ToEngine};
use std::num::NonZeroU64;

/// DIRECT_CALL: a call for the callee to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectCall<'a> {
    /// The caller's number for the call. It is used once in the life of a direct channel.
    pub call: CallNumber,
    /// The call from outside that led to this one.
    pub root: CallId,
    /// The number of calls above this one.
    pub depth: u32,
    /// The deadline, in ns of the monotonic clock.
    pub deadline: NonZeroU64,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// Metadata and body.
    pub payload: WirePayload<'a>,
}

impl<'a> DirectCall<'a> {
    /// Reads a message to a callee.
    ///
    /// # Errors
    /// If it is no direct call, or a field has no meaning.
    #[inline]
    pub fn read(message: &Message<'a>) -> Result<DirectCall<'a>, Broken> {
        let header = &message.header;
        if message.kind != Kind::DirectCall {
            return Err(Broken::Kind(header.kind));
        }
        Ok(DirectCall {
            call: call_of(header)?,
            root: CallId::from_wire(header.parent).ok_or(Broken::Call(header.parent))?,
            depth: header.status,
            deadline: NonZeroU64::new(header.deadline).ok_or(Broken::Deadline)?,
            sent_at: header.sent_at,
            payload: message.payload(),
        })
    }

    /// The message.
    ///
    /// # Panics
    /// If the inline payload does not fit a message.
    #[inline]
    pub fn write(&self) -> MessageBuffer {
        let header = Header {
            status: self.depth,
            parent: self.root.number(),
            deadline: self.deadline.get(),
            sent_at: self.sent_at,
            ..Header::new(Kind::DirectCall, self.call.number())
        };
        MessageBuffer::write(header, "", self.payload)
    }
}

/// The messages that a callee can send on a direct channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectAnswer<'a> {
    /// Kind 5.
    Complete(CallComplete<'a>),
    /// Kind 6.
    Failed(CallFailed<'a>),
}

impl<'a> DirectAnswer<'a> {
    /// Reads a message to a caller.
    ///
    /// # Errors
    /// If it is no answer, or a field has no meaning.
    #[inline]
    pub fn read(message: &Message<'a>) -> Result<DirectAnswer<'a>, Broken> {
        match ToEngine::read(message)? {
            ToEngine::CallComplete(complete) => Ok(DirectAnswer::Complete(complete)),
            ToEngine::CallFailed(failed) => Ok(DirectAnswer::Failed(failed)),
            other => Err(other.unexpected()),
        }
    }

    /// The call that is answered.
    pub fn call(&self) -> CallNumber {
        match self {
            DirectAnswer::Complete(complete) => complete.call,
            DirectAnswer::Failed(failed) => failed.call,
        }
    }
}
