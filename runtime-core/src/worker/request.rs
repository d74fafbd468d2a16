//! A request as a handler on a worker thread sees it.

use super::answer::{Answer, Tagged};
use super::buffer::Buffer;
use super::cancel_source::{CancelSource, direct_reason};
use super::compose::{self, Body, CallOptions, OutgoingCall};
use super::direct_call::Tried;
use super::fork::{forked, is_forked};
use super::handler_error::HandlerError;
use super::memory::{DirectMemory, Memory};
use super::payload::Input;
use super::running::RunningCall;
use super::thread_channel::ThreadChannel;
use super::trace::in_trace;
use super::watch::Watch;
use crate::ipc::direct::{DirectFile, DirectState};
use crate::protocol::{CallNumber, CancelReason, Failure, MessageBuffer, Metadata, Status};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::time::Duration;

/// The direct channel by which a call came.
#[derive(Clone, Copy)]
pub(super) struct DirectRun<'w> {
    pub(super) file: &'w DirectFile,
    pub(super) memory: &'w DirectMemory,
}

/// A call that this thread runs. Its input is reached through [`Input`], and the operations of its
/// handler through [`RunningCall`].
///
/// The answer is sent when the handler returns.
pub struct Request<'w> {
    input: Input,
    channel: &'w ThreadChannel,
    began_at: u64,
    /// Set for a direct call.
    direct: Option<DirectRun<'w>>,
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
    pub(super) fn new(
        input: Input,
        channel: &'w ThreadChannel,
        began_at: u64,
        direct: Option<DirectRun<'w>>,
    ) -> Request<'w> {
        let (answered, watched) = (Cell::new(false), Cell::new(false));
        Request { input, channel, began_at, direct, reply: RefCell::new(None), answered, watched }
    }

    /// The number that the request's answer carries.
    pub(super) fn answers(&self) -> CallNumber {
        self.input.direct.map_or(self.input.call, |direct| direct.call)
    }

    /// When the handler began, in ns.
    pub(super) fn began_at(&self) -> u64 {
        self.began_at
    }

    /// Whether the request has been answered.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.get()
    }

    /// The place that shows whether the request is cancelled.
    fn cancel_source(&self) -> CancelSource {
        match (self.direct, self.input.direct) {
            (Some(run), Some(input)) => {
                CancelSource::Direct { file: run.file.clone(), deadline: input.deadline.get() }
            }
            _ => self.channel.cancel_source(self.input.call),
        }
    }

    /// Ends the request: gives its input back and returns its answer. Functions that watch for its
    /// cancellation do not run any more.
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

    /// Checks that a call of this function may be made. The engine does not know of a direct call,
    /// so it cannot refuse the calls that its handler makes after its caller has left. Calls that
    /// are made after the deadline are refused and counted by the engine.
    fn check_call(&self, name: &str) -> Result<(), Failure> {
        self.check()?;
        let reason = self.direct.and_then(|_| self.cancel_reason());
        match reason.filter(|reason| *reason == CancelReason::Caller) {
            None => Ok(()),
            Some(reason) => {
                let status = reason.status();
                Err(Failure { function: name.into(), ..Failure::new(status, status.title()) })
            }
        }
    }

    fn outgoing<'a>(
        &'a self,
        name: &'a str,
        body: Body<'a>,
        options: &'a CallOptions,
    ) -> OutgoingCall<'a> {
        OutgoingCall { maker: self.input.maker(), name, body, options, not_after: None }
    }
}

impl RunningCall for Request<'_> {
    fn cancel_reason(&self) -> Option<CancelReason> {
        match (self.direct, self.input.direct) {
            (Some(run), Some(input)) => direct_reason(run.file, input.deadline.get()),
            _ => self.channel.cancel_reason(self.input.call),
        }
    }

    /// The function runs within some milliseconds of the cancellation, on a thread of the library.
    /// All such functions of the process run on that thread, one after the other, so the function
    /// should be short. If the call is cancelled already, the function runs at once on this thread.
    /// It does not run after the watch was dropped, or after the handler has returned. If it runs
    /// while the watch is dropped, the drop waits for its end.
    fn on_cancel(&self, run: Box<dyn FnOnce() + Send>) -> Result<Watch, Failure> {
        self.watched.set(true);
        self.channel.session.watches.watch(self.input.call, self.cancel_source(), run)
    }

    /// During the wait the worker's slot is lent to another call.
    fn call(&self, name: &str, body: Body<'_>, options: &CallOptions) -> Result<Answer, Failure> {
        self.check_call(name)?;
        let is_cancelled = || match self.direct {
            Some(run) => matches!(run.file.state(), DirectState::Abandoned(_)),
            None => self.channel.cancel_reason(self.input.call).is_some(),
        };
        let options = in_trace(self.metadata(), options);
        match self.channel.try_directly(self.outgoing(name, body, &options), is_cancelled) {
            Tried::Ended(result) => result,
            Tried::Not(call) => self.channel.call(call),
        }
    }

    fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check_call(name)?;
        let options = in_trace(self.metadata(), options);
        self.channel.start_call(tag, self.outgoing(name, body, &options))
    }

    /// Answers are returned in the order in which they arrive. A wait without a timeout lends the
    /// worker's slot.
    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Tagged>, Failure> {
        self.check()?;
        self.channel.next_answer(self.input.call, timeout)
    }

    fn give_up(&self, tag: u64) {
        if self.check().is_ok() {
            self.channel.give_up(self.input.call, tag);
        }
    }

    fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        self.check()?;
        Buffer::new(capacity, &self.channel.session)
    }

    fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check()?;
        let (session, call) = (&self.channel.session, self.answers());
        let metadata = metadata.as_bytes();
        let message = match self.direct {
            None => {
                let room = (&**session as &dyn Memory, session.max_body_bytes());
                compose::complete(room, call, self.began_at, metadata, body)?
            }
            Some(run) => {
                let room = (run.memory as &dyn Memory, session.max_body_bytes());
                compose::complete_directly(room, call, self.began_at, metadata, body)?
            }
        };
        *self.reply.borrow_mut() = Some(message);
        self.answered.set(true);
        Ok(())
    }

    fn fail(&self, error: &HandlerError) -> Result<(), Failure> {
        self.check()?;
        let failure = error.report(self, self.cancel_reason());
        *self.reply.borrow_mut() = Some(compose::failed(self.answers(), self.began_at, &failure));
        self.answered.set(true);
        Ok(())
    }
}
