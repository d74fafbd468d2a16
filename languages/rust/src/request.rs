//! A request as a handler sees it.

use crate::answer::{Answer, Tagged};
use crate::error::Result;
use crate::host::Host;
use nightcore_runtime::protocol::{CallId, CancelReason, Metadata};
use nightcore_runtime::worker::{CallOptions, Origin};
use std::fmt;
use std::time::Duration;

/// A call that a handler runs.
pub struct Request<'r>(&'r dyn Host);

impl<'r> Request<'r> {
    pub(crate) fn new(host: &'r dyn Host) -> Request<'r> {
        Request(host)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.0.body()
    }

    /// The function that was called, which is the one this process runs.
    pub fn function(&self) -> &str {
        self.0.function()
    }

    /// The metadata.
    pub fn metadata(&self) -> Metadata<'_> {
        self.0.metadata()
    }

    /// Where the call came from: by the gateway, or from another function.
    pub fn origin(&self) -> Origin<'_> {
        self.caller().map_or(Origin::External, Origin::Internal)
    }

    /// The function that made the call; `None` if it came in by the gateway.
    pub fn caller(&self) -> Option<&str> {
        self.0.caller()
    }

    /// The id of the call, which all calls below it have as well; its client has it in the header
    /// `X-Nightcore-Call`.
    pub fn id(&self) -> CallId {
        self.0.id()
    }

    /// Writes a text to standard error, from where it comes to the function's log, each of its
    /// lines with the id of the call.
    ///
    /// ```
    /// # use nightcore::Request;
    /// fn sizes(req: &Request) -> String {
    ///     req.log(format_args!("{} bytes came", req.body().len()));
    ///     req.body().len().to_string()
    /// }
    /// ```
    pub fn log(&self, text: impl fmt::Display) {
        self.0.log(&text.to_string());
    }

    /// The time left until the deadline; zero when it has passed, `None` if there is none.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.time_left()
    }

    /// Whether nobody waits for the answer any more; a load, cheap enough for a loop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Why nobody waits for the answer any more: the deadline has passed, or the caller has left.
    /// `None` if somebody does. A load, cheap enough for a loop.
    ///
    /// ```
    /// # use nightcore::{CancelReason, Request};
    /// fn is_late(req: &Request) -> bool {
    ///     req.cancel_reason() == Some(CancelReason::Deadline)
    /// }
    /// ```
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.0.cancel_reason()
    }

    /// Calls a function and waits for its answer.
    ///
    /// ```
    /// # use nightcore::{Request, Result};
    /// fn shout(req: &Request) -> Result<String> {
    ///     let answer = req.call("Greet", req.body())?;
    ///     Ok(std::str::from_utf8(answer.body())?.to_uppercase())
    /// }
    /// ```
    pub fn call(&self, name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
        self.call_with(name, body, &CallOptions::default())
    }

    /// Calls a function with a timeout or metadata, and waits for its answer.
    ///
    /// ```
    /// # use nightcore::{Answer, CallOptions, Request, Result};
    /// # use std::time::Duration;
    /// fn hurried(req: &Request) -> Result<Answer> {
    ///     let options = CallOptions { timeout: Some(Duration::from_millis(50)), ..CallOptions::default() };
    ///     req.call_with("Slow", req.body(), &options)
    /// }
    /// ```
    pub fn call_with(
        &self,
        name: &str,
        body: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<Answer> {
        self.0.call(name, body.as_ref(), options)
    }

    /// Calls a function without waiting; [`Request::next_answer`] brings its answer with this tag.
    /// Calls that are still under way when the handler returns are cancelled.
    ///
    /// ```
    /// # use nightcore::{Request, Result};
    /// fn both(req: &Request) -> Result<Vec<u8>> {
    ///     req.start_call(0, "Left", req.body())?;
    ///     req.start_call(1, "Right", req.body())?;
    ///     let mut halves = [Vec::new(), Vec::new()];
    ///     for _ in 0..2 {
    ///         let next = req.next_answer()?;
    ///         halves[next.tag as usize] = next.result?.into();
    ///     }
    ///     Ok(halves.concat())
    /// }
    /// ```
    pub fn start_call(&self, tag: u64, name: &str, body: impl AsRef<[u8]>) -> Result<()> {
        self.start_call_with(tag, name, body, &CallOptions::default())
    }

    /// As [`Request::start_call`], with a timeout or metadata.
    pub fn start_call_with(
        &self,
        tag: u64,
        name: &str,
        body: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<()> {
        self.0.start_call(tag, name, body.as_ref(), options)
    }

    /// Waits for the next answer to a call that was started, in the order they arrive. An error if
    /// none is under way.
    pub fn next_answer(&self) -> Result<Tagged> {
        loop {
            if let Some(next) = self.0.next_answer(None)? {
                return Ok(next);
            }
        }
    }

    /// As [`Request::next_answer`]; `None` if no answer comes in this time.
    pub fn next_answer_within(&self, timeout: Duration) -> Result<Option<Tagged>> {
        self.0.next_answer(Some(timeout))
    }
}
