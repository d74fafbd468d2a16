//! A container, and whether it takes calls.

use super::edges::Edges;
use super::failed_calls::FailedCalls;
use super::workers::Workers;
use crate::calls::ContainerLoad;
use crate::ids::{CallNumber, ChannelKey, Fingerprint, FunctionId, Generation};

/// If a container dies within this time, in ns, after one of its channels was closed, the inputs
/// that were under way then count for its death. For the same time the slots of its handlers are
/// kept. The time is much longer than a process takes to die on an idle machine: on a busy one, 50
/// ms were too short.
const DIES_WITHIN_NS: u64 = 1_000_000_000;

/// The phases of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has not passed its readiness check yet, so it gets no calls but the probe.
    Checking,
    /// Its generation does not serve yet, so it gets no calls.
    Warming,
    /// It gets calls.
    Serving,
    /// It gets no new calls, and exits after its last one.
    SetAside,
    /// It was told to exit, or has ended.
    Ending,
}

/// The generation of its function's containers that a container belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The launcher started it in this generation.
    Launched(Generation),
    /// A user started it by hand, perhaps in a debugger, while this generation served. It gets all
    /// calls of its function, and deadlines are off.
    Attached(Generation),
}

impl Membership {
    /// The generation.
    pub fn generation(self) -> Generation {
        match self {
            Membership::Launched(generation) | Membership::Attached(generation) => generation,
        }
    }

    /// Whether it was started by hand.
    pub fn is_attached(self) -> bool {
        matches!(self, Membership::Attached(_))
    }
}

/// A call that runs alone in a container.
#[derive(Clone, Copy, Debug)]
struct Alone {
    call: CallNumber,
    /// The time until which it runs alone, ns.
    until: u64,
}

/// The inputs that were under way in a container when the first of its channels was closed.
#[derive(Debug)]
struct LastWords {
    closed_at: u64,
    under_way: Vec<Fingerprint>,
}

/// A connected container.
#[derive(Debug)]
pub struct Container {
    function: FunctionId,
    membership: Membership,
    phase: Phase,
    /// Its workers.
    pub workers: Workers,
    load: ContainerLoad,
    alone: Option<Alone>,
    last_words: Option<LastWords>,
    /// The time, in ns, until which it gets no calls, as one of its channels was closed and its
    /// process may be dying.
    dying_until: Option<u64>,
    /// Slots that are kept for its handlers although their calls have ended with their workers.
    kept_slots: u32,
    /// The time until which these slots are kept, ns, unless its process ends before.
    slots_kept_until: Option<u64>,
    /// Whether its workers can make and run direct calls.
    pub is_direct: bool,
    /// The calls that failed because their worker was lost.
    pub failed_calls: FailedCalls,
    /// The channel of its process calls, if it makes any.
    pub caller: Option<ChannelKey>,
    /// The functions that it calls through the engine, and the numbers of these calls.
    pub edges: Edges,
    direct_calls: u64,
}

impl Container {
    /// Creates a container that has just connected.
    pub fn new(
        function: FunctionId,
        membership: Membership,
        phase: Phase,
        workers: Workers,
    ) -> Container {
        Container {
            function,
            membership,
            phase,
            workers,
            load: ContainerLoad::default(),
            alone: None,
            last_words: None,
            dying_until: None,
            kept_slots: 0,
            slots_kept_until: None,
            is_direct: false,
            failed_calls: FailedCalls::default(),
            caller: None,
            edges: Edges::default(),
            direct_calls: 0,
        }
    }

    /// Its function.
    #[inline]
    pub fn function(&self) -> FunctionId {
        self.function
    }

    /// Its generation, and whether it was started by hand.
    #[inline]
    pub fn membership(&self) -> Membership {
        self.membership
    }

    /// Its phase.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Lets it get calls, as its generation serves from now on.
    pub fn serve(&mut self) {
        if self.phase == Phase::Warming {
            self.phase = Phase::Serving;
        }
    }

    /// Notes that it has passed its readiness check. It gets calls if its generation is the serving
    /// one.
    pub fn pass(&mut self, serving: Generation) {
        if self.phase == Phase::Checking {
            let serves = self.membership.generation() == serving;
            self.phase = if serves { Phase::Serving } else { Phase::Warming };
            // All failures so far were those of probes.
            self.failed_calls = FailedCalls::default();
        }
    }

    /// Gives it no new calls from now on. Returns false if it was set aside before.
    pub fn set_aside(&mut self) -> bool {
        let is_new = self.phase < Phase::SetAside;
        self.phase = self.phase.max(Phase::SetAside);
        is_new
    }

    /// Whether it was set aside and has not been told to exit.
    pub fn is_set_aside(&self) -> bool {
        self.phase == Phase::SetAside
    }

    /// Notes that it is told to exit.
    pub fn end(&mut self) {
        self.phase = Phase::Ending;
    }

    /// The counters of its calls.
    #[inline]
    pub fn load(&self) -> &ContainerLoad {
        &self.load
    }

    /// The counters of its calls, mutably, for a transition of a call.
    #[inline]
    pub fn load_mut(&mut self) -> &mut ContainerLoad {
        &mut self.load
    }

    /// Adds to the number of direct calls that its workers have run.
    pub fn add_direct_calls(&mut self, calls: u64) {
        self.direct_calls += calls;
    }

    /// How many calls it has been given, through the engine and directly.
    pub fn calls(&self) -> u64 {
        self.load.sent() + self.direct_calls
    }

    /// Whether its generation gets calls, and it was not set aside.
    #[inline]
    pub fn serves(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// The time, in ns, until which it gets no calls although it serves. It pauses while one call
    /// runs alone in it, or while its process may be dying.
    #[inline]
    pub fn pauses_until(&self, now: u64) -> Option<u64> {
        let alone = self.alone.map(|alone| alone.until);
        alone.max(self.dying_until).filter(|until| now < *until)
    }

    /// Whether it serves and does not pause.
    #[inline]
    pub fn takes_calls(&self, now: u64) -> bool {
        self.serves() && self.pauses_until(now).is_none()
    }

    /// A worker that can take a call now.
    #[inline]
    pub fn free_worker(&self, now: u64) -> Option<ChannelKey> {
        if !self.takes_calls(now) {
            return None;
        }
        self.workers.free(self.load.running())
    }

    /// Whether it may be asked for another worker thread.
    pub fn has_room(&self, now: u64) -> bool {
        self.takes_calls(now) && self.workers.has_room(now)
    }

    /// Whether it should have a worker, but none is ready and none was asked for.
    pub fn lacks_workers(&self) -> bool {
        self.phase < Phase::SetAside && self.workers.is_empty()
    }

    /// Lets a call run alone in it until this time, ns.
    pub fn begin_alone(&mut self, call: CallNumber, until: u64) {
        self.alone = Some(Alone { call, until });
    }

    /// Ends the time for which this call runs alone: it has ended, or waits for another call.
    #[inline]
    pub fn end_alone(&mut self, call: CallNumber) {
        if self.alone.is_some_and(|alone| alone.call == call) {
            self.alone = None;
        }
    }

    /// Notes that one of its channels was closed, so that its process may be dying. It gets no
    /// calls until this time, ns.
    pub fn may_die(&mut self, until: u64) {
        self.dying_until = Some(until);
    }

    /// Keeps this many slots for handlers in it until its process has ended, or turns out to live.
    pub fn keep_slots(&mut self, now: u64, slots: u32) {
        // A process that dies closes its channels one after the other: the first one counts.
        if self.kept_slots == 0 {
            self.slots_kept_until = Some(now.saturating_add(DIES_WITHIN_NS));
        }
        self.kept_slots += slots;
    }

    /// The time, in ns, until which its slots are kept unless its process ends before.
    #[inline]
    pub fn slots_kept_until(&self, now: u64) -> Option<u64> {
        self.slots_kept_until.filter(|until| self.kept_slots > 0 && now < *until)
    }

    /// Stops keeping slots. Returns how many were kept.
    pub fn free_slots(&mut self) -> u32 {
        std::mem::take(&mut self.kept_slots)
    }

    /// Whether slots are kept for it.
    pub fn keeps_slots(&self) -> bool {
        self.kept_slots > 0
    }

    /// Whether the inputs that are under way now must be kept as its last words.
    pub fn needs_last_words(&self, now: u64) -> bool {
        self.phase < Phase::Ending
            && self.last_words.as_ref().is_none_or(|kept| now >= kept.closed_at + DIES_WITHIN_NS)
    }

    /// Keeps the inputs that are under way. Calls that are sent to it after this moment have no
    /// part in its death.
    pub fn keep_last_words(&mut self, now: u64, under_way: Vec<Fingerprint>) {
        self.last_words = Some(LastWords { closed_at: now, under_way });
    }

    /// Takes the inputs that were under way when the first of its channels was closed. `None` if
    /// that was too long ago.
    pub fn take_last_words(&mut self, now: u64) -> Option<Vec<Fingerprint>> {
        let kept = self.last_words.take()?;
        (now < kept.closed_at + DIES_WITHIN_NS).then_some(kept.under_way)
    }
}
