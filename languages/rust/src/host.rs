//! What runs a request: a worker of an engine, or a test.

use crate::answer::{Answer, Tagged};
use crate::error::{Error, Result};
use nightcore_runtime::protocol::{CallId, CancelReason, Failure, Metadata};
use nightcore_runtime::worker::{self, Body, CallOptions, RunningCall};
use std::time::Duration;

/// What a [`crate::Request`] asks of whoever runs it. Its methods are the request's.
pub trait Host {
    fn body(&self) -> &[u8];
    fn function(&self) -> &str;
    fn metadata(&self) -> Metadata<'_>;
    fn caller(&self) -> Option<&str>;
    fn id(&self) -> CallId;
    fn log(&self, text: &str);
    fn time_left(&self) -> Option<Duration>;
    fn cancel_reason(&self) -> Option<CancelReason>;
    fn call(&self, name: &str, body: &[u8], options: &CallOptions) -> Result<Answer>;
    fn start_call(&self, tag: u64, name: &str, body: &[u8], options: &CallOptions) -> Result<()>;
    /// `None` when the time has passed; without a timeout it may also come early.
    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Tagged>>;
    /// Sets the answer.
    fn reply(&self, body: &[u8], metadata: Metadata<'_>) -> Result<(), Failure>;
}

impl Host for worker::Request<'_> {
    fn body(&self) -> &[u8] {
        (**self).body()
    }

    fn function(&self) -> &str {
        (**self).function()
    }

    fn metadata(&self) -> Metadata<'_> {
        (**self).metadata()
    }

    fn caller(&self) -> Option<&str> {
        (**self).caller()
    }

    fn id(&self) -> CallId {
        self.call_id()
    }

    fn log(&self, text: &str) {
        (**self).log(text.as_bytes());
    }

    fn time_left(&self) -> Option<Duration> {
        (**self).time_left()
    }

    fn cancel_reason(&self) -> Option<CancelReason> {
        RunningCall::cancel_reason(self)
    }

    fn call(&self, name: &str, body: &[u8], options: &CallOptions) -> Result<Answer> {
        let called = RunningCall::call(self, name, Body::Parts(&[body]), options);
        called.map(Answer::received).map_err(Error::from)
    }

    fn start_call(&self, tag: u64, name: &str, body: &[u8], options: &CallOptions) -> Result<()> {
        RunningCall::start_call(self, tag, name, Body::Parts(&[body]), options).map_err(Error::from)
    }

    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Tagged>> {
        let next = RunningCall::next_answer(self, timeout)?;
        Ok(next.map(|worker::Tagged { tag, result }| Tagged {
            tag,
            result: result.map(Answer::received).map_err(Error::from),
        }))
    }

    fn reply(&self, body: &[u8], metadata: Metadata<'_>) -> Result<(), Failure> {
        RunningCall::reply(self, Body::Parts(&[body]), metadata)
    }
}
