//! A request as a handler in an event loop sees it.

use super::buffer::Buffer;
use super::cancel_flag::CancelFlag;
use super::cancel_source::direct_reason;
use super::compose::{self, Body, CallOptions, OutgoingCall};
use super::fork::{forked, is_forked};
use super::handler_error::HandlerError;
use super::loop_channel::LoopChannel;
use super::loop_direct::LoopDirect;
use super::loop_direct_call::MakerEvent;
use super::loop_lent::LoopLent;
use super::memory::Memory;
use super::payload::Input;
use super::running::RunningCall;
use super::trace::in_trace;
use crate::clock::now_ns;
use crate::ipc::desk::DirectTimes;
use crate::protocol::Status;
use crate::protocol::to_engine::{CancelInvoke, Resume};
use crate::protocol::{CallNumber, CancelReason, Failure, MessageBuffer, Metadata};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call that runs in the host's event loop. Its input is reached through [`Input`], and the
/// operations of its handler through [`RunningCall`], from any thread.
///
/// The answer is sent at once. After that, the answers to calls that the handler still has under
/// way are dropped.
pub struct LoopRequest {
    input: Input,
    id: CallNumber,
    /// Set if the request came by a direct channel.
    direct: Option<CameBy>,
    began_at: u64,
    /// Set under the lock of the writing end, and checked under it before a call is sent. So no
    /// message of a request follows its answer. The engine would treat such a message as a
    /// violation of the protocol.
    answered: AtomicBool,
    cancelled: Arc<CancelFlag>,
    channel: Arc<LoopChannel>,
}

/// The direct channel by which a request came.
struct CameBy {
    lent: Arc<LoopLent>,
    /// The time when the request was sent, in ns of the monotonic clock.
    sent_at: u64,
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
        let (id, answered) = (input.call, AtomicBool::new(false));
        LoopRequest { input, id, direct: None, began_at: now_ns(), answered, cancelled, channel }
    }

    /// Notes that the request came by a direct channel, and the number by which events name it.
    pub(super) fn came_by(
        mut self,
        id: CallNumber,
        lent: Arc<LoopLent>,
        sent_at: u64,
    ) -> LoopRequest {
        self.id = id;
        self.direct = Some(CameBy { lent, sent_at });
        self
    }

    /// The number by which events name the request.
    pub fn id(&self) -> CallNumber {
        self.id
    }

    /// The number that the request's answer carries.
    fn answers(&self) -> CallNumber {
        self.input.direct.map_or(self.input.call, |direct| direct.call)
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
        let ended_at = now_ns();
        message.set_ended(ended_at);
        let mut outbound = self.channel.outbound();
        if self.answered.swap(true, Ordering::AcqRel) {
            match &self.direct {
                None => self.channel.session.arena.take_back(&message),
                Some(came_by) => came_by.lent.take_back(&message),
            }
            return Err(has_been_answered());
        }
        let Some(direct) = &self.channel.direct else {
            self.channel.core().answered(self.id);
            return self.channel.put(&mut outbound, message);
        };
        let mut core = self.channel.core();
        let seat = core.seat(self.id);
        let Some(came_by) = &self.direct else {
            core.answered(self.id);
            drop(core);
            let sent = self.channel.put(&mut outbound, message);
            drop(outbound);
            if let Some(seat) = seat {
                self.channel.drop_direct_of(direct, self.id);
                direct.leave_seat(seat);
            }
            return sent;
        };
        let pending = core.pending_of(self.id);
        core.answered(self.id);
        drop(core);
        // The engine does not see this answer, so it is told which calls are no longer wanted. The
        // slot of the lease was lent while one of these calls was under way.
        let has_slot = pending.is_empty();
        for call in pending {
            self.channel.put(&mut outbound, CancelInvoke { call, sent_at: ended_at }.write())?;
        }
        drop(outbound);
        self.channel.drop_direct_of(direct, self.id);
        self.answer_directly((direct, came_by), &message, ended_at, has_slot)
    }

    /// Sends the answer to the caller, and counts the call. `has_slot` is true if the handler had
    /// no call through the engine under way. Such a call lends the slot of the lease.
    fn answer_directly(
        &self,
        (direct, came_by): (&LoopDirect, &CameBy),
        message: &MessageBuffer,
        ended_at: u64,
        has_slot: bool,
    ) -> Result<(), Failure> {
        let CameBy { lent, sent_at } = came_by;
        let is_late = self.input.direct.is_some_and(|of| ended_at >= of.deadline.get());
        let late = is_late.then(|| {
            lent.take_back(message);
            compose::late(self.answers(), self.began_at, self.function())
        });
        let message = late.as_ref().unwrap_or(message);
        let has_slot = direct.desk.end_wait(lent.seat) && has_slot;
        lent.answer(message, has_slot, |left| {
            let status = left.map_or_else(|| message.status(), CancelReason::status);
            let (sent_at, began_at) = (*sent_at, self.began_at);
            direct.count(lent.seat, status, DirectTimes { sent_at, began_at, ended_at });
        });
        if !has_slot {
            self.channel.send(Resume { call: lent.lease }.write())?;
        }
        if lent.file.has_ended() {
            // The loop must run in order to end the lease.
            direct.timer.wake_now();
        }
        Ok(())
    }
}

impl RunningCall for LoopRequest {
    fn event_number(&self) -> Option<CallNumber> {
        Some(self.id())
    }

    /// For a request from the engine, returns the reason that [`super::EventLoop::next`] has
    /// received so far.
    fn cancel_reason(&self) -> Option<CancelReason> {
        match (&self.direct, self.input.direct) {
            (Some(came_by), Some(input)) => direct_reason(&came_by.lent.file, input.deadline.get()),
            _ => self.cancelled.reason(),
        }
    }

    /// Starts a call. Its answer comes later, as an [`super::Event::Answer`] with this tag.
    fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check()?;
        // The engine does not know of a direct call, so it cannot refuse the calls that its handler
        // makes after its caller has left. Calls that are made after the deadline are refused and
        // counted by the engine.
        let is_left = |reason: &CancelReason| *reason == CancelReason::Caller;
        if self.direct.is_some()
            && let Some(reason) = self.cancel_reason().filter(is_left)
        {
            let status = reason.status();
            return Err(Failure { function: name.into(), ..Failure::new(status, status.title()) });
        }
        let options = &in_trace(self.metadata(), options);
        let call = OutgoingCall { maker: self.input.maker(), name, body, options, not_after: None };
        let from = MakerEvent { request: self.id, tag };
        let is_cancelled = || self.cancel_reason().is_some();
        match self.channel.start_directly(from, call, || self.check(), is_cancelled)? {
            None => Ok(()),
            Some(call) => self.channel.start_by_engine(from, call, || self.check()),
        }
    }

    /// Cancels the call and all calls below it. Its [`super::Event::Answer`] still follows, with
    /// CANCELLED unless the call has just ended otherwise.
    fn cancel_call(&self, tag: u64) -> Result<(), Failure> {
        self.check()?;
        if self.channel.cancel_direct(MakerEvent { request: self.id, tag }) {
            return Ok(());
        }
        let found = self.channel.core().pending_with(self.id, tag);
        let Some(call) = found else { return Ok(()) };
        self.channel.send(CancelInvoke { call, sent_at: now_ns() }.write())
    }

    fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        self.check()?;
        Buffer::new(capacity, &self.channel.session)
    }

    fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check()?;
        let (session, call) = (&self.channel.session, self.answers());
        let metadata = metadata.as_bytes();
        let message = match &self.direct {
            None => {
                let room = (&**session as &dyn Memory, session.max_body_bytes());
                compose::complete(room, call, self.began_at, metadata, body)?
            }
            Some(came_by) => {
                let room = (&came_by.lent.memory as &dyn Memory, session.max_body_bytes());
                compose::complete_directly(room, call, self.began_at, metadata, body)?
            }
        };
        self.answer(message)
    }

    fn fail(&self, error: &HandlerError) -> Result<(), Failure> {
        self.check()?;
        let failure = error.report(self, self.cancel_reason());
        self.answer(compose::failed(self.answers(), self.began_at, &failure))
    }
}

impl Drop for LoopRequest {
    /// Fails a request that is dropped unanswered, so that its caller does not wait for ever.
    fn drop(&mut self) {
        if !self.answered.load(Ordering::Acquire) && !is_forked() {
            let failure = match self.cancel_reason() {
                Some(reason) => compose::abandoned(self.function(), reason),
                None => Failure::new(Status::FunctionFailed, "the handler did not answer"),
            };
            let _ = self.fail(&failure.into());
        }
    }
}
