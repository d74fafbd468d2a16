//! The request of a handler on a worker thread.

use crate::answer::Answer;
use crate::cancel::{CancelGuard, CancelReason};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::metadata::Metadata;
use crate::options::CallOptions;
use crate::pending::{AsCompleted, Calls, PendingCall};
use nightcore_runtime::protocol::CallId;
use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

/// The HTTP status for a client whose body the handler cannot read.
const BAD_REQUEST: u16 = 400;

/// Returns the body as text.
pub(crate) fn text(host: &dyn Host) -> Result<&str> {
    std::str::from_utf8(host.body()).map_err(|error| not_read(host, "UTF-8", error))
}

/// Deserializes the body from JSON.
#[cfg(feature = "json")]
pub(crate) fn json<'a, T: serde::Deserialize<'a>>(host: &'a dyn Host) -> Result<T> {
    let expected = "the JSON that was expected";
    serde_json::from_slice(host.body()).map_err(|error| not_read(host, expected, error))
}

/// Returns the error for a body that cannot be read. If a client sent the body, the client gets the
/// error. If a function sent it, that function has a bug, so the error goes to the log.
fn not_read<E: fmt::Display + Into<Error>>(host: &dyn Host, expected: &str, error: E) -> Error {
    if host.caller().is_some() {
        return error.into();
    }
    Error::http(BAD_REQUEST, format!("the body of the request is not {expected}: {error}"))
}

/// A call that a handler runs on a worker thread. It belongs to that thread.
pub struct Request<'r> {
    host: &'r dyn Host,
    calls: RefCell<Calls>,
}

impl<'r> Request<'r> {
    pub(crate) fn new(host: &'r dyn Host) -> Request<'r> {
        Request { host, calls: RefCell::default() }
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.host.body()
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// If the body is not UTF-8. A handler that returns this error replies with HTTP status 400 to
    /// a client, and fails if a function called it.
    pub fn text(&self) -> Result<&str> {
        text(self.host)
    }

    /// Deserializes the body from JSON.
    ///
    /// # Errors
    /// If the body is not JSON of this type. A handler that returns this error replies with HTTP
    /// status 400 to a client, and fails if a function called it.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        json(self.host)
    }

    /// Returns the function that was called, which is the one that this process runs.
    #[must_use]
    pub fn function(&self) -> &str {
        self.host.function()
    }

    /// Returns the metadata.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata(self.host.metadata())
    }

    /// Returns the function that made the call, or `None` if the call came in by the gateway.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.host.caller()
    }

    /// Returns the call id, which a call from outside and all calls below it share. The client gets
    /// it in the header `X-Nightcore-Call`.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.host.id()
    }

    /// The old name of [`Request::call_id`].
    #[deprecated(since = "0.1.0", note = "use `call_id`")]
    #[must_use]
    pub fn id(&self) -> CallId {
        self.call_id()
    }

    /// Writes a text to standard error, and so to the function's log. Each of its lines carries the
    /// call id.
    ///
    /// ```
    /// # use nightcore::Request;
    /// fn sizes(req: &Request) -> String {
    ///     req.log(format_args!("{} bytes came", req.body().len()));
    ///     req.body().len().to_string()
    /// }
    /// ```
    pub fn log(&self, text: impl fmt::Display) {
        self.host.log(&text.to_string());
    }

    /// Returns the time left until the deadline: zero if it has passed, `None` if there is no
    /// deadline.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.host.time_left()
    }

    /// Whether nobody waits for the reply any more. This costs one load from memory, so a loop can
    /// check it often.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Returns why nobody waits for the reply any more, or `None` if the request is not cancelled.
    /// This costs one load from memory.
    ///
    /// ```
    /// # use nightcore::{CancelReason, Request};
    /// fn is_late(req: &Request) -> bool {
    ///     req.cancel_reason() == Some(CancelReason::Deadline)
    /// }
    /// ```
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.host.cancel_reason().map(CancelReason::of)
    }

    /// Runs a function once when the request is cancelled, even while the handler waits for
    /// something else, such as a database. The function runs within some milliseconds of the
    /// cancellation, on a thread of the library. That thread runs all such functions of the process
    /// one after the other, so the function has to be short. If the request is cancelled already,
    /// the function runs before this returns. It runs neither after the guard is dropped nor after
    /// the handler has returned. If it panics, standard error has the message.
    ///
    /// ```
    /// # use nightcore::{Request, Result};
    /// # use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// fn search(req: &Request) -> Result<String> {
    ///     let stop = Arc::new(AtomicBool::new(false));
    ///     let flag = stop.clone();
    ///     let _guard = req.on_cancel(move || flag.store(true, Ordering::Relaxed))?;
    ///     Ok(search_until(&stop))
    /// }
    /// # fn search_until(_: &AtomicBool) -> String { String::new() }
    /// ```
    ///
    /// # Errors
    /// `OVERLOADED` if the library cannot create its thread.
    pub fn on_cancel(&self, run: impl FnOnce() + Send + 'static) -> Result<CancelGuard> {
        self.host.on_cancel(Box::new(run))
    }

    /// Calls a function and waits for its answer.
    ///
    /// ```
    /// # use nightcore::{Request, Result};
    /// fn shout(req: &Request) -> Result<String> {
    ///     let answer = req.call("Greet", req.body())?;
    ///     Ok(answer.text()?.to_uppercase())
    /// }
    /// ```
    ///
    /// # Errors
    /// If the call fails. A call that was answered with any HTTP status has succeeded, see
    /// [`Answer::error_for_status`].
    pub fn call(&self, name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
        self.call_with(name, body, &CallOptions::default())
    }

    /// Calls a function with a timeout or metadata, and waits for its answer.
    ///
    /// ```
    /// # use nightcore::{Answer, CallOptions, Request, Result};
    /// # use std::time::Duration;
    /// fn hurried(req: &Request) -> Result<Answer> {
    ///     let options = CallOptions::new().timeout(Duration::from_millis(50));
    ///     req.call_with("Slow", req.body(), &options)
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Request::call`]. `INVALID_ARGUMENT` or `PAYLOAD_TOO_LARGE` if the options
    /// are not valid.
    pub fn call_with(
        &self,
        name: &str,
        body: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<Answer> {
        self.host.call(name, body.as_ref(), options.checked()?)
    }

    /// Starts a call without waiting for its answer, so that several calls can run at once.
    ///
    /// ```
    /// # use nightcore::{Request, Result};
    /// fn both(req: &Request) -> Result<Vec<u8>> {
    ///     let left = req.start("Left", req.body())?;
    ///     let right = req.start("Right", req.body())?;
    ///     Ok([left.wait()?.body(), right.wait()?.body()].concat())
    /// }
    /// ```
    ///
    /// # Errors
    /// If the call cannot be started. `OVERLOADED` if too many calls of this worker are under way.
    /// [`PendingCall::wait`] returns the errors of the call itself.
    pub fn start(&self, name: &str, body: impl AsRef<[u8]>) -> Result<PendingCall<'_>> {
        self.start_with(name, body, &CallOptions::default())
    }

    /// Does what [`Request::start`] does, with a timeout or metadata.
    ///
    /// # Errors
    /// The errors of [`Request::start`]. `INVALID_ARGUMENT` or `PAYLOAD_TOO_LARGE` if the options
    /// are not valid.
    pub fn start_with(
        &self,
        name: &str,
        body: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<PendingCall<'_>> {
        PendingCall::start((self.host, &self.calls), name, body.as_ref(), options.checked()?)
    }

    /// Returns an iterator over the ends of these calls, in the order in which they end. Each item
    /// is the index of a call in `calls`, and its answer or error. Dropping the iterator cancels
    /// the calls that are still under way.
    ///
    /// ```
    /// # use nightcore::{Answer, Error, Request, Result};
    /// fn fastest(req: &Request) -> Result<Answer> {
    ///     let calls = [req.start("Here", req.body())?, req.start("There", req.body())?];
    ///     let (_, first) = req.as_completed(calls).next().ok_or("no calls")?;
    ///     first
    /// }
    /// ```
    pub fn as_completed<'a>(
        &'a self,
        calls: impl IntoIterator<Item = PendingCall<'a>>,
    ) -> AsCompleted<'a> {
        AsCompleted::new(calls)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("function", &self.function())
            .field("call_id", &self.call_id())
            .finish_non_exhaustive()
    }
}
