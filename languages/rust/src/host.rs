//! The interface to the side that runs a request: a worker of an engine, or a test.

use nightcore_runtime::protocol::{CallId, CancelReason, Failure, Metadata};
use nightcore_runtime::worker::{self, Body, CallOptions, RunningCall};
use std::time::Duration;

use crate::answer::Answer;
use crate::cancel::CancelGuard;
use crate::error::{Error, Result};

/// The end of a call that was started.
pub(crate) struct CallEnd {
    pub(crate) tag: u64,
    pub(crate) result: Result<Received>,
}

/// An answer without the name of its function.
#[derive(Debug)]
pub(crate) enum Received {
    FromEngine(worker::Answer),
    Made(Answer),
}

impl Received {
    /// Adds the name of the function.
    pub(crate) fn of(self, function: &str) -> Answer {
        match self {
            Received::FromEngine(answer) => Answer::received(function, answer),
            Received::Made(answer) => answer,
        }
    }
}

/// The operations of a request. A worker of an engine implements them, and so does a test.
pub(crate) trait Host {
    fn body(&self) -> &[u8];
    fn function(&self) -> &str;
    fn metadata(&self) -> Metadata<'_>;
    fn caller(&self) -> Option<&str>;
    fn id(&self) -> CallId;
    fn log(&self, text: &str);
    fn time_left(&self) -> Option<Duration>;
    fn cancel_reason(&self) -> Option<CancelReason>;
    fn on_cancel(&self, run: Box<dyn FnOnce() + Send>) -> Result<CancelGuard>;
    fn call(&self, name: &str, body: &[u8], options: &CallOptions) -> Result<Answer>;
    fn start_call(&self, tag: u64, name: &str, body: &[u8], options: &CallOptions) -> Result<()>;
    /// Cancels a call that was started, unless it has ended. In a handler on a thread its answer is
    /// dropped.
    fn give_up(&self, tag: u64);
    /// Waits for the next end of a call. Returns `None` when the time has passed; without a timeout
    /// it may also return `None` early.
    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<CallEnd>>;
    /// Sets the reply.
    fn reply(&self, body: &[u8], metadata: Metadata<'_>) -> Result<(), Failure>;
}

impl<R: RunningCall> Host for R {
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

    fn on_cancel(&self, run: Box<dyn FnOnce() + Send>) -> Result<CancelGuard> {
        let watch = RunningCall::on_cancel(self, run)?;
        Ok(CancelGuard::new(Some(watch)))
    }

    fn call(&self, name: &str, body: &[u8], options: &CallOptions) -> Result<Answer> {
        let called = RunningCall::call(self, name, Body::Parts(&[body]), options);
        Ok(Answer::received(name, called?))
    }

    fn start_call(&self, tag: u64, name: &str, body: &[u8], options: &CallOptions) -> Result<()> {
        RunningCall::start_call(self, tag, name, Body::Parts(&[body]), options).map_err(Error::from)
    }

    fn give_up(&self, tag: u64) {
        RunningCall::give_up(self, tag);
    }

    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<CallEnd>> {
        let next = RunningCall::next_answer(self, timeout)?;
        Ok(next.map(|worker::Tagged { tag, result }| CallEnd {
            tag,
            result: result.map(Received::FromEngine).map_err(Error::from),
        }))
    }

    fn reply(&self, body: &[u8], metadata: Metadata<'_>) -> Result<(), Failure> {
        RunningCall::reply(self, Body::Parts(&[body]), metadata)
    }
}
