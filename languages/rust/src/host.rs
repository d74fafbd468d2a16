//! What runs a request: a worker of an engine, or a test.

use nightcore_runtime::protocol::{CallId, CancelReason, Failure, Metadata};
use nightcore_runtime::worker::{self, Body, CallOptions, RunningCall};
use std::time::Duration;

use crate::answer::Answer;
use crate::cancel::CancelGuard;
use crate::error::{Error, Result};

/// What has become of a call that was started.
pub(crate) struct CallEnd {
    pub(crate) tag: u64,
    pub(crate) result: Result<Received>,
}

/// An answer, before it is known which function it is of.
#[derive(Debug)]
pub(crate) enum Received {
    FromEngine(worker::Answer),
    Made(Answer),
}

impl Received {
    /// The answer of this function.
    pub(crate) fn of(self, function: &str) -> Answer {
        match self {
            Received::FromEngine(answer) => Answer::received(function, answer),
            Received::Made(answer) => answer,
        }
    }
}

/// What a request asks of whoever runs it. Its methods are the request's.
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
    /// Cancels a call that was started, unless it has ended. On a thread its answer is dropped.
    fn give_up(&self, tag: u64);
    /// `None` when the time has passed; without a timeout it may also come early.
    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<CallEnd>>;
    /// Sets the answer.
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
