//! A request as a handler on a worker thread sees it.

use super::answer::{Answer, Tagged};
use super::arena::Buffer;
use super::invoke::{self, Body, CallOptions};
use super::payload::Input;
use super::session::{forked, is_forked};
use super::thread::ThreadWorker;
use super::watch::Watch;
use crate::protocol::{Failure, MessageBuffer, Metadata, Status};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::time::Duration;

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// It came in by the gateway.
    External,
    /// This function made it.
    Internal(&'a str),
}

/// A call that this thread runs. What it was given is reached through [`Input`].
pub struct Request<'w> {
    input: Input,
    worker: &'w ThreadWorker,
    began_at: u64,
    reply: RefCell<Option<MessageBuffer>>,
    answered: Cell<bool>,
    watched: Cell<bool>,
}

impl Deref for Request<'_> {
    type Target = Input;

    fn deref(&self) -> &Input {
        &self.input
    }
}

impl<'w> Request<'w> {
    pub(super) fn new(input: Input, worker: &'w ThreadWorker, began_at: u64) -> Request<'w> {
        let (answered, watched) = (Cell::new(false), Cell::new(false));
        Request { input, worker, began_at, reply: RefCell::new(None), answered, watched }
    }

    /// Ends the request: what it was given is given back, its answer is handed over. Nothing runs on its cancellation any
    /// more.
    pub(super) fn finish(self) -> Option<MessageBuffer> {
        if self.watched.get() {
            self.worker.session.watches.call_ended(self.input.call);
        }
        self.reply.into_inner()
    }

    /// Where the call came from.
    pub fn origin(&self) -> Origin<'_> {
        self.caller().map_or(Origin::External, Origin::Internal)
    }

    /// Whether the caller has left or the deadline has passed; a load, cheap enough for a loop.
    pub fn is_cancelled(&self) -> bool {
        self.worker.is_cancelled(self.input.call)
    }

    /// Has a function run once when the call is cancelled: within some milliseconds, on a thread of the library's on which all
    /// such functions of the process run one after the other, so it should be short. If the call is cancelled already it
    /// runs here and now. It runs neither after the watch is dropped, which waits for it if it runs meanwhile, nor after
    /// the handler has returned.
    pub fn on_cancel(&self, run: impl FnOnce() + Send + 'static) -> Result<Watch, Failure> {
        self.watched.set(true);
        self.worker.watch(self.input.call, Box::new(run))
    }

    fn check(&self) -> Result<(), Failure> {
        if is_forked() {
            return Err(forked());
        }
        if self.answered.get() {
            return Err(Failure::new(Status::InvalidState, "the request has been answered"));
        }
        Ok(())
    }

    /// Calls a function and waits for its answer. The wait lends the worker's slot to another call.
    pub fn call(
        &self,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<Answer, Failure> {
        self.check()?;
        self.worker.call(self.input.call, name, body, options)
    }

    /// Calls a function without waiting; [`Request::next_answer`] brings its answer with this tag.
    pub fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check()?;
        self.worker.start_call(self.input.call, tag, name, body, options)
    }

    /// The next answer to a call that was started, in the order they arrive; `None` when `timeout` has passed.
    /// Without a timeout the wait lends the worker's slot.
    pub fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Tagged>, Failure> {
        self.check()?;
        self.worker.next_answer(self.input.call, timeout)
    }

    /// Writable memory of the arena for a body of up to this many bytes.
    pub fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        self.check()?;
        Buffer::new(capacity, &self.worker.session)
    }

    /// Sets the answer; it is sent when the handler returns, and calls still under way are then cancelled.
    pub fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check()?;
        let session = &self.worker.session;
        let message =
            invoke::complete(session, self.input.call, self.began_at, metadata.as_bytes(), body)?;
        *self.reply.borrow_mut() = Some(message);
        self.answered.set(true);
        Ok(())
    }

    /// Sets a failure as the answer; it is sent when the handler returns.
    pub fn fail(&self, failure: &Failure) -> Result<(), Failure> {
        self.check()?;
        *self.reply.borrow_mut() = Some(invoke::failed(self.input.call, self.began_at, failure));
        self.answered.set(true);
        Ok(())
    }
}
