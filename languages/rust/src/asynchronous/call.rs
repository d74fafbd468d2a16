//! A call that a handler in an event loop has started.

use super::request::Running;
use crate::answer::Answer;
use crate::error::{Error, Result};
use crate::host::Received;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot::Receiver;

/// A call under way, which [`crate::AsyncRequest::start`] has started: a future of its answer.
///
/// Dropping it cancels the call and all calls below it, unless it has ended. A reply to the request
/// cancels the calls that are still under way; they end with `INVALID_STATE`.
#[must_use = "dropping it cancels the call"]
pub struct AsyncCall {
    running: Arc<Running>,
    function: Box<str>,
    tag: u64,
    receiver: Receiver<Result<Received>>,
}

impl AsyncCall {
    pub(super) fn new(
        running: Arc<Running>,
        function: &str,
        tag: u64,
        receiver: Receiver<Result<Received>>,
    ) -> AsyncCall {
        AsyncCall { running, function: function.into(), tag, receiver }
    }

    /// Returns the function that was called.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }
}

impl Future for AsyncCall {
    type Output = Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Answer>> {
        Pin::new(&mut self.receiver).poll(context).map(|ended| {
            let text = "the request has ended: make its calls before its handler returns";
            let ended = ended.unwrap_or_else(|_| Err(Error::invalid_state(text)));
            ended.map(|received| received.of(&self.function))
        })
    }
}

impl Drop for AsyncCall {
    fn drop(&mut self) {
        self.running.give_up(self.tag);
    }
}

impl fmt::Debug for AsyncCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncCall").field("function", &self.function).finish_non_exhaustive()
    }
}
