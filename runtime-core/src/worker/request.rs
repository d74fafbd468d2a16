//! A request as a handler on a worker thread sees it.

use super::answer::{Answer, Tagged};
use super::buffer::Buffer;
use super::compose::{self, Body, CallOptions, OutgoingCall};
use super::fork::{forked, is_forked};
use super::payload::Input;
use super::running::RunningCall;
use super::thread_channel::ThreadChannel;
use super::watch::Watch;
use crate::protocol::{CancelReason, Failure, MessageBuffer, Metadata, Status};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::time::Duration;

/// A call that this thread runs. What it was given is reached through [`Input`], what its handler
/// can do through [`RunningCall`].
///
/// The answer is sent when the handler returns.
pub struct Request<'w> {
    input: Input,
    channel: &'w ThreadChannel,
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
    pub(super) fn new(input: Input, channel: &'w ThreadChannel, began_at: u64) -> Request<'w> {
        let (answered, watched) = (Cell::new(false), Cell::new(false));
        Request { input, channel, began_at, reply: RefCell::new(None), answered, watched }
    }

    /// Ends the request: what it was given is given back, its answer is handed over. Nothing runs
    /// on its cancellation any more.
    pub(super) fn finish(self) -> Option<MessageBuffer> {
        if self.watched.get() {
            self.channel.session.watches.call_ended(self.input.call);
        }
        self.reply.into_inner()
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

    fn outgoing<'a>(
        &self,
        name: &'a str,
        body: Body<'a>,
        options: &'a CallOptions,
    ) -> OutgoingCall<'a> {
        OutgoingCall { parent: self.input.call, name, body, options }
    }
}

impl RunningCall for Request<'_> {
    fn cancel_reason(&self) -> Option<CancelReason> {
        self.channel.cancel_reason(self.input.call)
    }

    /// The function runs within some milliseconds of the cancellation, on a thread of the library
    /// on which all such functions of the process run one after the other, so it should be short.
    /// If the call is cancelled already it runs here and now. It runs neither after the watch is
    /// dropped, which waits for it if it runs meanwhile, nor after the handler has returned.
    fn on_cancel(&self, run: Box<dyn FnOnce() + Send>) -> Result<Watch, Failure> {
        self.watched.set(true);
        self.channel.watch(self.input.call, run)
    }

    /// The wait lends the worker's slot to another call.
    fn call(&self, name: &str, body: Body<'_>, options: &CallOptions) -> Result<Answer, Failure> {
        self.check()?;
        self.channel.call(self.outgoing(name, body, options))
    }

    fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check()?;
        self.channel.start_call(tag, self.outgoing(name, body, options))
    }

    /// Answers come in the order they arrive. Without a timeout the wait lends the worker's slot.
    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Tagged>, Failure> {
        self.check()?;
        self.channel.next_answer(self.input.call, timeout)
    }

    fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        self.check()?;
        Buffer::new(capacity, &self.channel.session)
    }

    fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check()?;
        let (session, call) = (&self.channel.session, self.input.call);
        let message = compose::complete(session, call, self.began_at, metadata.as_bytes(), body)?;
        *self.reply.borrow_mut() = Some(message);
        self.answered.set(true);
        Ok(())
    }

    fn fail(&self, failure: &Failure) -> Result<(), Failure> {
        self.check()?;
        *self.reply.borrow_mut() = Some(compose::failed(self.input.call, self.began_at, failure));
        self.answered.set(true);
        Ok(())
    }
}
