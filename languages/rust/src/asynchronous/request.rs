//! The request of a handler in an event loop.

use super::call::AsyncCall;
use crate::answer::Answer;
use crate::cancel::CancelReason;
use crate::error::Result;
use crate::host::{CallEnd, Host, Received};
use crate::metadata::Metadata;
use crate::options::CallOptions;
use nightcore_runtime::protocol::CallId;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A request, and the calls that its handler has under way.
pub(crate) struct Running {
    pub(crate) host: Arc<dyn Host + Send + Sync>,
    /// Whether the ends of calls come from `next_answer`, as in a test, instead of from events.
    ends_at_once: bool,
    calls: Mutex<AsyncCalls>,
    /// Wakes the tasks that wait until the request is cancelled or has its reply.
    over: Notify,
    has_reply: AtomicBool,
}

#[derive(Default)]
struct AsyncCalls {
    last_tag: u64,
    under_way: HashMap<u64, oneshot::Sender<Result<Received>>>,
}

impl Running {
    pub(crate) fn new(host: Arc<dyn Host + Send + Sync>, ends_at_once: bool) -> Running {
        let (calls, over) = (Mutex::default(), Notify::new());
        Running { host, ends_at_once, calls, over, has_reply: AtomicBool::new(false) }
    }

    fn calls(&self) -> MutexGuard<'_, AsyncCalls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers the end of a call.
    pub(crate) fn ended(&self, end: CallEnd) {
        if let Some(sender) = self.calls().under_way.remove(&end.tag) {
            // Sending fails if the handler has just dropped its call.
            let _ = sender.send(end.result);
        }
    }

    /// Cancels a call whose answer the handler no longer wants.
    pub(super) fn give_up(&self, tag: u64) {
        let is_under_way = self.calls().under_way.remove(&tag).is_some();
        if is_under_way {
            self.host.give_up(tag);
        }
    }

    /// Wakes the tasks that wait for the cancellation of the request.
    pub(super) fn was_cancelled(&self) {
        self.over.notify_waiters();
    }

    /// Ends the request after its reply. The ends of its calls are no longer delivered.
    pub(crate) fn end(&self) {
        self.calls().under_way.clear();
        self.has_reply.store(true, Ordering::Release);
        self.over.notify_waiters();
    }
}

/// A call that a handler runs in an event loop. Clones are the same request, and the handler's own
/// tasks and threads may have one.
///
/// The request ends with its reply. Later operations on it are refused with `INVALID_STATE`.
#[derive(Clone)]
pub struct AsyncRequest(Arc<Running>);

impl AsyncRequest {
    pub(crate) fn new(running: Arc<Running>) -> AsyncRequest {
        AsyncRequest(running)
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.0.host.body()
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// If the body is not UTF-8. A handler that returns this error replies with HTTP status 400 to
    /// a client, and fails if a function called it.
    pub fn text(&self) -> Result<&str> {
        crate::request::text(&*self.0.host)
    }

    /// Deserializes the body from JSON.
    ///
    /// # Errors
    /// If the body is not JSON of this type. A handler that returns this error replies with HTTP
    /// status 400 to a client, and fails if a function called it.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        crate::request::json(&*self.0.host)
    }

    /// Returns the function that was called, which is the one that this process runs.
    #[must_use]
    pub fn function(&self) -> &str {
        self.0.host.function()
    }

    /// Returns the metadata.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata(self.0.host.metadata())
    }

    /// Returns the function that made the call, or `None` if the call came in by the gateway.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.0.host.caller()
    }

    /// Returns the call id, which a call from outside and all calls below it share. The client gets
    /// it in the header `X-Nightcore-Call`.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.0.host.id()
    }

    /// Writes a text to standard error, and so to the function's log. Each of its lines carries the
    /// call id.
    pub fn log(&self, text: impl fmt::Display) {
        self.0.host.log(&text.to_string());
    }

    /// Returns the time left until the deadline: zero if it has passed, `None` if there is no
    /// deadline.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.0.host.time_left()
    }

    /// Whether nobody waits for the reply any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Returns why nobody waits for the reply any more, or `None` if the request is not cancelled.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.0.host.cancel_reason().map(CancelReason::of)
    }

    /// Waits until the request is cancelled, and returns the reason. Returns `None` if the request
    /// gets its reply first.
    ///
    /// The handler of a cancelled request is dropped, so this is for tasks that the handler has
    /// spawned:
    ///
    /// ```
    /// # use nightcore::{AsyncRequest, Result};
    /// async fn order(req: AsyncRequest) -> Result<String> {
    ///     let watched = req.clone();
    ///     tokio::task::spawn_local(async move {
    ///         if let Some(reason) = watched.cancelled().await {
    ///             watched.log(format_args!("the order was not confirmed: {}", reason.status()));
    ///         }
    ///     });
    ///     Ok(req.call("Pay", req.body()).await?.text()?.to_owned())
    /// }
    /// ```
    pub async fn cancelled(&self) -> Option<CancelReason> {
        loop {
            let mut notified = std::pin::pin!(self.0.over.notified());
            // From here on no notification is missed.
            notified.as_mut().enable();
            let reason = self.cancel_reason();
            if reason.is_some() || self.0.has_reply.load(Ordering::Acquire) {
                return reason;
            }
            notified.await;
        }
    }

    /// Calls a function. Dropping the future cancels the call.
    ///
    /// ```
    /// # use nightcore::{AsyncRequest, Result};
    /// async fn shout(req: AsyncRequest) -> Result<String> {
    ///     let answer = req.call("Greet", req.body()).await?;
    ///     Ok(answer.text()?.to_uppercase())
    /// }
    /// ```
    ///
    /// # Errors
    /// If the call fails. A call that was answered with any HTTP status has succeeded, see
    /// [`Answer::error_for_status`].
    pub async fn call(&self, name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
        self.start(name, body)?.await
    }

    /// Calls a function with a timeout or metadata. Dropping the future cancels the call.
    ///
    /// # Errors
    /// The errors of [`AsyncRequest::call`]. `INVALID_ARGUMENT` or `PAYLOAD_TOO_LARGE` if the
    /// options are not valid.
    pub async fn call_with(
        &self,
        name: &str,
        body: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<Answer> {
        self.start_with(name, body, options)?.await
    }

    /// Starts a call at once, before its future is polled.
    ///
    /// # Errors
    /// If the call cannot be started. `OVERLOADED` if too many calls of this process are under way.
    pub fn start(&self, name: &str, body: impl AsRef<[u8]>) -> Result<AsyncCall> {
        self.start_with(name, body, &CallOptions::default())
    }

    /// Does what [`AsyncRequest::start`] does, with a timeout or metadata.
    ///
    /// # Errors
    /// The errors of [`AsyncRequest::start`]. `INVALID_ARGUMENT` or `PAYLOAD_TOO_LARGE` if the
    /// options are not valid.
    pub fn start_with(
        &self,
        name: &str,
        body: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<AsyncCall> {
        let (options, running) = (options.checked()?, &self.0);
        let (sender, receiver) = oneshot::channel();
        let tag = {
            let mut calls = running.calls();
            calls.last_tag += 1;
            let tag = calls.last_tag;
            // This happens before the call is sent, because its end may come at once on another
            // thread.
            calls.under_way.insert(tag, sender);
            tag
        };
        if let Err(error) = running.host.start_call(tag, name, body.as_ref(), options) {
            running.calls().under_way.remove(&tag);
            return Err(error);
        }
        if running.ends_at_once
            && let Some(end) = running.host.next_answer(None)?
        {
            running.ended(end);
        }
        Ok(AsyncCall::new(running.clone(), name, tag, receiver))
    }
}

impl fmt::Debug for AsyncRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRequest")
            .field("function", &self.function())
            .field("call_id", &self.call_id())
            .finish_non_exhaustive()
    }
}
