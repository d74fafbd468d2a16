//! A request as a handler in an event loop sees it.

use super::buffer::Buffer;
use super::cancel_flag::CancelFlag;
use super::compose::{self, Body, CallOptions, OutgoingCall};
use super::fork::{forked, is_forked};
use super::loop_channel::LoopChannel;
use super::memory::Memory;
use super::payload::Input;
use super::protocol::PendingCall;
use super::running::RunningCall;
use crate::clock::now_ns;
use crate::protocol::to_engine::CancelInvoke;
use crate::protocol::{CallNumber, CancelReason, Failure, MessageBuffer, Metadata, Status};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call that runs in the host's event loop. What it was given is reached through [`Input`], what
/// its handler can do through [`RunningCall`], from any thread.
///
/// The answer is sent at once. Answers to calls that were still under way are dropped.
pub struct LoopRequest {
    input: Input,
    began_at: u64,
    /// Set while the right to send is held, and looked at so before a call is sent: nothing of a
    /// request follows its answer, which the engine would take for a broken rule.
    answered: AtomicBool,
    cancelled: Arc<CancelFlag>,
    channel: Arc<LoopChannel>,
}

impl Deref for LoopRequest {
    type Target = Input;

    fn deref(&self) -> &Input {
        &self.input
    }
}

fn has_been_answered() -> Failure {
    Failure::new(Status::InvalidState, "the request has been answered")
}

impl LoopRequest {
    pub(super) fn new(
        input: Input,
        cancelled: Arc<CancelFlag>,
        channel: Arc<LoopChannel>,
    ) -> LoopRequest {
        let answered = AtomicBool::new(false);
        LoopRequest { input, began_at: now_ns(), answered, cancelled, channel }
    }

    /// The number of the request, as events name it.
    pub fn id(&self) -> CallNumber {
        self.input.call
    }

    fn check(&self) -> Result<(), Failure> {
        if is_forked() {
            return Err(forked());
        }
        if self.answered.load(Ordering::Acquire) {
            return Err(has_been_answered());
        }
        Ok(())
    }

    fn answer(&self, mut message: MessageBuffer) -> Result<(), Failure> {
        let mut outbound = self.channel.outbound();
        if self.answered.swap(true, Ordering::AcqRel) {
            self.channel.session.arena.take_back(&message);
            return Err(has_been_answered());
        }
        self.channel.core().answered(self.input.call);
        message.set_ended(now_ns());
        self.channel.put(&mut outbound, message)
    }
}

impl RunningCall for LoopRequest {
    fn event_number(&self) -> Option<CallNumber> {
        Some(self.id())
    }

    /// As far as [`super::EventLoop::next`] has seen.
    fn cancel_reason(&self) -> Option<CancelReason> {
        self.cancelled.reason()
    }

    /// A [`super::Event::Answer`] with this tag follows.
    fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check()?;
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let invoke = self.channel.core().new_invoke(name)?;
        let call = OutgoingCall { request: &self.input, name, body, options };
        // What an event loop waits for is for its host to know: each of its calls counts as one
        // that waits.
        let message = call.compose(&self.channel.session, invoke, true).map_err(named)?;
        let mut outbound = self.channel.outbound();
        // Another thread may have answered meanwhile.
        if let Err(failure) = self.check() {
            self.channel.session.arena.take_back(&message);
            return Err(failure);
        }
        let pending = PendingCall { request: self.input.call, tag, function: name.to_owned() };
        self.channel.core().began(invoke.0, pending);
        self.channel.put(&mut outbound, message).map_err(|failure| {
            self.channel.core().ended(invoke.0);
            named(failure)
        })
    }

    /// The call and all calls below it are cancelled. Its [`super::Event::Answer`] still follows,
    /// with CANCELLED unless the call has just ended otherwise.
    fn cancel_call(&self, tag: u64) -> Result<(), Failure> {
        self.check()?;
        let found = self.channel.core().pending_with(self.input.call, tag);
        let Some(call) = found else { return Ok(()) };
        self.channel.send(CancelInvoke { call, sent_at: now_ns() }.write())
    }

    fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        self.check()?;
        Buffer::new(capacity, &self.channel.session)
    }

    fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check()?;
        let (session, call) = (&self.channel.session, self.input.call);
        let room = (&**session as &dyn Memory, session.max_body_bytes());
        let message = compose::complete(room, call, self.began_at, metadata.as_bytes(), body)?;
        self.answer(message)
    }

    fn fail(&self, failure: &Failure) -> Result<(), Failure> {
        self.check()?;
        self.answer(compose::failed(self.input.call, self.began_at, failure))
    }
}

impl Drop for LoopRequest {
    /// A request that is dropped unanswered fails, so that its caller does not wait for nothing.
    fn drop(&mut self) {
        if !self.answered.load(Ordering::Acquire) && !is_forked() {
            let failure = Failure::new(Status::FunctionFailed, "the handler did not answer");
            let _ = self.fail(&failure);
        }
    }
}
