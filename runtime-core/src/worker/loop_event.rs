//! The events that an event loop passes to its host.

use super::answer::Answer;
use super::loop_request::LoopRequest;
use crate::protocol::{CallNumber, CancelReason, Failure};

/// An event for the host.
pub enum Event {
    /// A call to run.
    Request(LoopRequest),
    /// The answer to a call that `request` made with this tag.
    Answer {
        /// The number of the request that made the call, see [`LoopRequest::id`].
        request: CallNumber,
        /// The tag that was given to the call.
        tag: u64,
        /// The answer or the error.
        result: Result<Answer, Failure>,
    },
    /// The caller of this request has left, or its deadline has passed. An answer is no longer
    /// wanted.
    Cancelled {
        /// The number of the request.
        request: CallNumber,
        /// The reason.
        reason: CancelReason,
    },
    /// No more calls come: the host is to end.
    Ended,
}

impl Event {
    /// The request that the event is about, if the host has that request already.
    pub(super) fn about(&self) -> Option<CallNumber> {
        match self {
            Event::Answer { request, .. } | Event::Cancelled { request, .. } => Some(*request),
            Event::Request(_) | Event::Ended => None,
        }
    }
}
