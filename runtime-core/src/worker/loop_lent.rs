//! A direct channel whose calls an event loop runs.

use super::callee_end::CalleeEnd;
use super::loop_bell::LoopBell;
use super::memory::DirectMemory;
use super::payload::DirectCalled;
use super::peer::Peer;
use crate::ipc::desk::Seat;
use crate::ipc::direct::{DirectFile, DirectState};
use crate::ipc::ring::{RingReader, RingWriter, Sent};
use crate::protocol::{Broken, CallNumber, CancelReason, MessageBuffer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What may be done with a lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next call may begin.
    Idle,
    /// A request runs.
    Running,
    /// The slot was lent, and the next request needs one.
    NeedsSlot,
}

#[derive(Debug)]
struct Answering {
    writer: RingWriter,
    phase: Phase,
    /// How often requests of the lease have asked for a slot and have none yet.
    asks: u32,
}

/// What the loop and the request that runs under a lease share.
#[derive(Debug)]
pub(super) struct LoopLent {
    pub(super) lease: CallNumber,
    /// The lease's seat at the desk.
    pub(super) seat: Seat,
    pub(super) file: DirectFile,
    pub(super) memory: DirectMemory,
    pub(super) caller: Arc<str>,
    peer: Peer,
    answering: Mutex<Answering>,
}

impl LoopLent {
    fn answering(&self) -> MutexGuard<'_, Answering> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the request that runs, and sends its answer if somebody waits for it. `has_slot`: the
    /// slot of the lease was not lent; else the engine is asked for one. `count` is told why nobody
    /// waits for the answer, if so.
    pub(super) fn answer(
        &self,
        message: &MessageBuffer,
        has_slot: bool,
        count: impl FnOnce(Option<CancelReason>),
    ) {
        let mut answering = self.answering();
        // From here on either the answer or the end of the wait counts, for both sides.
        let left = self.file.finish();
        count(left);
        if left.is_some() {
            self.take_back(message);
        } else if answering.writer.send(message.as_bytes()) == Sent::Ring {
            self.peer.ring(&answering.writer);
        }
        // The caller's next message comes behind the answer, and is looked at under this lock.
        answering.asks += u32::from(!has_slot);
        answering.phase = if answering.asks == 0 { Phase::Idle } else { Phase::NeedsSlot };
    }

    /// Frees the memory of an answer that is not sent.
    pub(super) fn take_back(&self, message: &MessageBuffer) {
        if let Some(place) = message.block() {
            self.memory.take_back(place.block);
        }
    }

    /// The request that runs, or has just ended, has asked the engine for a slot.
    pub(super) fn asks_for_slot(&self) {
        let mut answering = self.answering();
        answering.asks += 1;
        if answering.phase == Phase::Idle {
            answering.phase = Phase::NeedsSlot;
        }
    }

    /// The lease has a slot again, for one who has asked.
    pub(super) fn resumed(&self) {
        let mut answering = self.answering();
        answering.asks = answering.asks.saturating_sub(1);
        if answering.asks == 0 && answering.phase == Phase::NeedsSlot {
            answering.phase = Phase::Idle;
        }
    }

    fn phase(&self) -> Phase {
        self.answering().phase
    }
}

/// The loop's part of a direct channel whose calls it runs.
#[derive(Debug)]
pub(super) struct LoopCallee {
    pub(super) shared: Arc<LoopLent>,
    reader: RingReader,
    bell: LoopBell,
    /// The request that began last, and its deadline in ns.
    pub(super) request: Option<(CallNumber, u64)>,
    /// That request was told that it is cancelled.
    was_told: bool,
    pub(super) is_recalled: bool,
    /// A call was taken after the end of the lease was seen.
    has_last: bool,
    /// How many calls in a row were left before they began.
    left: u32,
    /// Its caller broke a rule: nothing is read any more.
    is_broken: bool,
}

/// A caller that leaves this many calls in a row before they begin is served no longer: each costs
/// the loop time, and no request of the host's.
const MAX_LEFT: u32 = 64;

/// A call that has come, and why its caller has left already, if so.
type Come = (DirectCalled, Option<CancelReason>);

impl LoopCallee {
    /// The channel of a lease that has this seat; `None` if it came without a bell.
    pub(super) fn new(lease: CallNumber, seat: Seat, end: CalleeEnd) -> Option<LoopCallee> {
        let CalleeEnd { file, caller, writer, reader, memory, peer, bell } = end;
        let answering = Mutex::new(Answering { writer, phase: Phase::Idle, asks: 0 });
        let shared = LoopLent { lease, seat, file, memory, caller, peer, answering };
        Some(LoopCallee {
            shared: Arc::new(shared),
            reader,
            bell: bell?,
            request: None,
            was_told: false,
            is_recalled: false,
            has_last: false,
            left: 0,
            is_broken: false,
        })
    }

    pub(super) fn bell(&mut self) -> &mut LoopBell {
        &mut self.bell
    }

    /// The call that is here, if it may begin now. A caller that breaks a rule is served no longer.
    pub(super) fn take(&mut self) -> Option<Come> {
        if !self.has_message() {
            return None;
        }
        match self.shared.phase() {
            Phase::Idle => {}
            // Its caller gets the answer first, and then calls again.
            Phase::Running => {
                self.is_broken = true;
                return None;
            }
            Phase::NeedsSlot => return None,
        }
        // After the end no call begins, so at most one is here.
        if self.has_last {
            self.is_broken = true;
            return None;
        }
        self.has_last = self.ends();
        let come = self.read().ok().flatten();
        match &come {
            Some((_, None)) => self.left = 0,
            Some((_, Some(_))) => self.left += 1,
            None => self.is_broken = true,
        }
        self.is_broken |= self.left > MAX_LEFT;
        come
    }

    /// Whether no call may begin any more.
    fn ends(&self) -> bool {
        self.is_broken || self.is_recalled || self.shared.file.has_ended()
    }

    fn read(&mut self) -> Result<Option<Come>, Broken> {
        self.reader.give_back();
        let Some(message) = self.reader.take()? else { return Ok(None) };
        let call = DirectCalled::receive(&message, &self.shared.memory)?;
        let left = match self.shared.file.state() {
            DirectState::Called => None,
            DirectState::Abandoned(_) => self.shared.file.finish(),
            // It was not claimed.
            DirectState::Free | DirectState::Refused | DirectState::Left(_) => {
                return Err(Broken::Call(call.call.number()));
            }
        };
        Ok(Some((call, left)))
    }

    /// A request with this number begins.
    pub(super) fn begin(&mut self, request: CallNumber, deadline: u64) {
        self.request = Some((request, deadline));
        self.was_told = false;
        self.shared.answering().phase = Phase::Running;
    }

    /// Whether a call is here that can be taken.
    #[inline]
    pub(super) fn has_message(&self) -> bool {
        !self.is_broken && self.reader.has_message()
    }

    /// Whether there is something to do about a call that is here: one that has to wait for a slot
    /// is no news.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.has_message() && self.shared.phase() != Phase::NeedsSlot
    }

    /// Why the request that runs is cancelled, if it was not told yet. `now`: the time, if
    /// deadlines are looked at.
    pub(super) fn newly_cancelled(
        &mut self,
        now: Option<u64>,
    ) -> Option<(CallNumber, CancelReason)> {
        let (request, deadline) = self.request.filter(|_| !self.was_told)?;
        let reason = match self.shared.file.state() {
            DirectState::Abandoned(reason) => reason,
            _ if now.is_some_and(|now| now >= deadline) => CancelReason::Deadline,
            _ => return None,
        };
        // It may have been answered a moment ago.
        if self.shared.phase() != Phase::Running {
            self.request = None;
            return None;
        }
        self.was_told = true;
        Some((request, reason))
    }

    /// The deadline of the request that runs, in ns, if it has not passed yet.
    pub(super) fn next_deadline(&self, now: u64) -> Option<u64> {
        self.request.map(|(_, deadline)| deadline).filter(|deadline| *deadline > now)
    }

    /// Whether nothing runs under the lease and nothing may begin any more: the loop ends it.
    pub(super) fn is_over(&mut self) -> bool {
        if !self.ends() || self.has_message() || self.shared.phase() != Phase::Idle {
            return false;
        }
        if self.shared.file.refuse() {
            self.shared.peer.wake_caller(&self.shared.file);
        }
        true
    }

    /// Says that the loop waits. False: there is something to do.
    pub(super) fn begin_wait(&mut self) -> bool {
        let is_empty =
            self.reader.begin_wait() || self.is_broken || self.shared.phase() == Phase::NeedsSlot;
        let is_told = self.was_told || self.request.is_none();
        let is_left = matches!(self.shared.file.state(), DirectState::Abandoned(_));
        is_empty && (is_told || !is_left || self.shared.phase() != Phase::Running)
    }

    /// The loop waits no longer.
    pub(super) fn end_wait(&mut self) {
        self.bell.stop_waiting(&self.reader);
    }
}
