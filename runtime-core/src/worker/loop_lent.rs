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

/// The phase of a lease, which says whether its next call may begin.
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
    /// How many times requests of the lease have asked for a slot that they have not got yet.
    asks: u32,
}

/// The state that the loop and the request which runs under a lease share.
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

    /// Ends the request that runs, and sends its answer if the caller waits for it. `has_slot` says
    /// that the slot of the lease was not lent. If it was lent, the lease needs a slot before its
    /// next request, and the caller of this method asks the engine for one. `count` is told the
    /// reason for which nobody waits for the answer, if so.
    pub(super) fn answer(
        &self,
        message: &MessageBuffer,
        has_slot: bool,
        count: impl FnOnce(Option<CancelReason>),
    ) {
        let mut answering = self.answering();
        // From here on, either the answer counts for both sides, or the end of the wait does.
        let left = self.file.finish();
        count(left);
        if left.is_some() {
            self.take_back(message);
        } else if answering.writer.send(message.as_bytes()) == Sent::Ring {
            self.peer.ring(&answering.writer);
        }
        // The caller's next message comes after the answer. It is handled under this lock, so the
        // phase is set in time.
        answering.asks += u32::from(!has_slot);
        answering.phase = if answering.asks == 0 { Phase::Idle } else { Phase::NeedsSlot };
    }

    /// Frees the memory of an answer that is not sent.
    pub(super) fn take_back(&self, message: &MessageBuffer) {
        if let Some(place) = message.block() {
            self.memory.take_back(place.block);
        }
    }

    /// Notes that the request that runs, or has just ended, has asked the engine for a slot.
    pub(super) fn asks_for_slot(&self) {
        let mut answering = self.answering();
        answering.asks += 1;
        if answering.phase == Phase::Idle {
            answering.phase = Phase::NeedsSlot;
        }
    }

    /// Notes that the lease has a slot again, for one of the requests that asked.
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
    /// Whether that request was told that it is cancelled.
    was_told: bool,
    pub(super) is_recalled: bool,
    /// Whether a call was taken after the end of the lease was noticed.
    has_last: bool,
    /// How many calls in a row their caller left before they began.
    left: u32,
    /// Whether the caller broke a rule. Nothing more is read then.
    is_broken: bool,
}

/// If the caller leaves more than this many calls in a row before they begin, it is served no
/// longer. Each such call costs the loop time without being a request for the host.
const MAX_LEFT: u32 = 64;

/// A call that has come, and the reason if its caller has left already.
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

    /// Takes the call that is here, if it may begin now. A caller that breaks a rule is served no
    /// longer.
    pub(super) fn take(&mut self) -> Option<Come> {
        if !self.has_message() {
            return None;
        }
        match self.shared.phase() {
            Phase::Idle => {}
            // An honest caller gets the answer first, and then calls again.
            Phase::Running => {
                self.is_broken = true;
                return None;
            }
            Phase::NeedsSlot => return None,
        }
        // After the end no new call begins, so at most one is here.
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

    /// Whether no new call may begin.
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
            // The call was not claimed.
            DirectState::Free | DirectState::Refused | DirectState::Left(_) => {
                return Err(Broken::Call(call.call.number()));
            }
        };
        Ok(Some((call, left)))
    }

    /// Notes that a request with this number begins.
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

    /// Whether a call is here that can begin. One that must wait for a slot does not count.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.has_message() && self.shared.phase() != Phase::NeedsSlot
    }

    /// The request that runs and the reason for which it is cancelled, if it was not told yet.
    /// `now` is the time; it is given if deadlines are to be checked.
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
        // The request may have been answered a moment ago.
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

    /// Whether nothing runs under the lease and nothing more may begin, so that the loop ends it.
    pub(super) fn is_over(&mut self) -> bool {
        if !self.ends() || self.has_message() || self.shared.phase() != Phase::Idle {
            return false;
        }
        if self.shared.file.refuse() {
            self.shared.peer.wake_caller(&self.shared.file);
        }
        true
    }

    /// Announces that the loop waits. Returns false if there is something to do.
    pub(super) fn begin_wait(&mut self) -> bool {
        let is_empty =
            self.reader.begin_wait() || self.is_broken || self.shared.phase() == Phase::NeedsSlot;
        let is_told = self.was_told || self.request.is_none();
        let is_left = matches!(self.shared.file.state(), DirectState::Abandoned(_));
        is_empty && (is_told || !is_left || self.shared.phase() != Phase::Running)
    }

    /// Notes that the loop no longer waits.
    pub(super) fn end_wait(&mut self) {
        self.bell.stop_waiting(&self.reader);
    }
}
