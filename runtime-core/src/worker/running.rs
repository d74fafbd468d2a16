//! The operations of a handler on its request, on a thread and in an event loop alike.

use super::answer::{Answer, Tagged};
use super::buffer::Buffer;
use super::compose::{Body, CallOptions};
use super::handler_error::HandlerError;
use super::payload::Input;
use super::watch::Watch;
use crate::protocol::{CallNumber, CancelReason, Failure, Metadata, Status};
use std::ops::Deref;
use std::time::Duration;

/// A request that a handler runs. Its input is reached through [`Input`].
///
/// Some methods exist for only one kind of request. On the other kind they fail with INVALID_STATE.
pub trait RunningCall: Deref<Target = Input> {
    /// The number by which events name a request of an event loop; `None` on a thread.
    fn event_number(&self) -> Option<CallNumber> {
        None
    }

    /// The reason for which the call is cancelled; `None` if it is not. This is so cheap that a
    /// handler may check it in a loop.
    fn cancel_reason(&self) -> Option<CancelReason>;

    /// Whether the caller has left or the deadline has passed.
    fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Calls a function without waiting. Its answer comes with this tag.
    ///
    /// # Errors
    ///
    /// If the request has been answered, or the call cannot be made.
    fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure>;

    /// Allocates writable memory of the arena, for a body of up to this many bytes.
    ///
    /// # Errors
    ///
    /// If the request has been answered, or there is no memory.
    fn buffer(&self, capacity: usize) -> Result<Buffer, Failure>;

    /// Answers the request. Calls that are still under way are cancelled.
    ///
    /// # Errors
    ///
    /// If the request has been answered, or the answer is too large.
    fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure>;

    /// Answers the request with an error, which leaves a line in the function's log. Callers do not
    /// see the text of an unexpected error, unless the function exposes its errors.
    ///
    /// # Errors
    ///
    /// If the request has been answered.
    fn fail(&self, error: &HandlerError) -> Result<(), Failure>;

    /// On a thread: calls a function and waits for its answer.
    ///
    /// # Errors
    ///
    /// If the call fails or cannot be made.
    fn call(
        &self,
        _name: &str,
        _body: Body<'_>,
        _options: &CallOptions,
    ) -> Result<Answer, Failure> {
        Err(would_block())
    }

    /// On a thread: returns the next answer to a call that was started; `None` when `timeout` has
    /// passed.
    ///
    /// # Errors
    ///
    /// If no call is under way.
    fn next_answer(&self, _timeout: Option<Duration>) -> Result<Option<Tagged>, Failure> {
        Err(would_block())
    }

    /// On a thread: makes a function run once when the call is cancelled.
    ///
    /// # Errors
    ///
    /// If the thread that watches cannot be created.
    fn on_cancel(&self, _run: Box<dyn FnOnce() + Send>) -> Result<Watch, Failure> {
        let text = "an event loop is told of cancelled requests by events";
        Err(Failure::new(Status::InvalidState, text))
    }

    /// Cancels a call that was started and all calls below it, if it is still under way. On a
    /// thread its answer is dropped; in an event loop its event still follows.
    fn give_up(&self, tag: u64) {
        // The calls of a request that has ended are cancelled already.
        let _ = self.cancel_call(tag);
    }

    /// In an event loop: cancels the call with this tag, whose answer is no longer wanted.
    ///
    /// # Errors
    ///
    /// If the request has been answered.
    fn cancel_call(&self, _tag: u64) -> Result<(), Failure> {
        let text = "a handler's calls end with the handler or by their timeouts";
        Err(Failure::new(Status::InvalidState, text))
    }
}

fn would_block() -> Failure {
    let text = "a call that waits would stop the event loop: start it, and its answer is an event";
    Failure::new(Status::InvalidState, text)
}
