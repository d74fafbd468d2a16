//! A function: its configuration, its queue and slots, what was learned about it, and its counters.

use super::admission::lateness::{Lateness, Turnaround};
use super::admission::quarantine::Quarantine;
use super::admission::{Refusal, available, bounds};
use super::concurrency::{Concurrency, Report, Why};
use super::cores::Cores;
use super::counts::{Counts, Origin};
use super::queue::{Lane, Queue};
use super::retries::RetryBudget;
use super::segments::Segments;
use super::slots::Slots;
use super::spec::Spec;
use crate::ids::{CallNumber, Fingerprint};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::Status;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::desk_counts::{DeskCounts, Segment};

/// A call that is to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// The length of its payload, in bytes.
    pub bytes: u64,
    /// Its deadline, ns.
    pub deadline: u64,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    spec: Spec,
    /// The kind of its workers, once one has connected.
    mode: Option<Mode>,
    /// Whether it was removed from the configuration.
    is_removed: bool,
    /// The reason why it cannot be called now, if it cannot.
    unavailable: Option<String>,
    /// Its calls that wait for their turn.
    pub queue: Queue,
    /// The slots of its running calls.
    pub slots: Slots,
    /// How many of its calls may run.
    pub concurrency: Concurrency,
    /// How many of its calls may run while handlers compute.
    pub cores: Cores,
    /// Recognizes the calls that would end too late.
    pub lateness: Lateness,
    /// Recognizes the inputs that crash its containers.
    pub quarantine: Quarantine,
    /// How many of its calls may be sent again.
    retry_budget: RetryBudget,
    /// Counters of its calls.
    pub counts: Counts,
    /// How many of its workers are lent. Each of them runs a lease.
    pub lent: u32,
    /// The notice about the queue that is on the board.
    told: Notice,
    /// How long its calls spent in each segment; `None` before a worker ended the first call.
    segments: Option<Box<Segments>>,
}

impl Function {
    /// Creates a function that has not been called yet. `cores` bounds its running calls while its
    /// handlers compute.
    pub fn new(spec: Spec, cores: Cores) -> Function {
        let max = spec.max(None);
        Function {
            concurrency: Concurrency::new(spec.bounds(None)),
            cores,
            slots: Slots::new(max),
            spec,
            mode: None,
            is_removed: false,
            unavailable: None,
            queue: Queue::default(),
            lateness: Lateness::default(),
            quarantine: Quarantine::default(),
            retry_budget: RetryBudget::default(),
            counts: Counts::default(),
            lent: 0,
            told: Notice::default(),
            segments: None,
        }
    }

    /// The function's configuration.
    #[inline]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Applies a changed configuration.
    pub fn set_spec(&mut self, spec: Spec) {
        if spec.quarantine_after.is_none() {
            self.quarantine.clear();
        }
        self.spec = spec;
        self.set_bounds();
    }

    /// Sets the kind of its workers, which decides the default of `max`.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = Some(mode);
        self.set_bounds();
    }

    fn set_bounds(&mut self) {
        let bounds = self.spec.bounds(self.mode);
        self.slots.set_max(bounds.max);
        self.concurrency.set_bounds(bounds);
    }

    /// Whether it was removed from the configuration.
    #[inline]
    pub fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// Notes that it was removed from the configuration, or was restored.
    pub fn set_removed(&mut self, is_removed: bool) {
        self.is_removed = is_removed;
    }

    /// Sets the notice about the queue that the board is to show. Returns false if the board shows
    /// it already.
    #[inline]
    pub fn tell(&mut self, notice: Notice) -> bool {
        std::mem::replace(&mut self.told, notice) != notice
    }

    /// The notice about the queue that is on the board.
    #[inline]
    pub fn told(&self) -> Notice {
        self.told
    }

    /// How many running calls came through the engine: all but the leases.
    #[inline]
    pub fn running_here(&self) -> u32 {
        self.slots.load().running().saturating_sub(self.lent)
    }

    /// How many calls that come through the engine may run now. `oldest_queued_since_ns` is the
    /// time since when the first call of the queue has been waiting.
    ///
    /// While workers are lent, most calls do not come through the engine. The others are let run at
    /// once: if they were queued, all further calls would go through the engine, too. One call may
    /// always run if a slot is free: a lease whose handler waits may be waiting for it, even after
    /// `max` was lowered.
    #[inline]
    pub fn limit(&mut self, now: u64, oldest_queued_since_ns: Option<u64>) -> u32 {
        match self.lent {
            0 => self.concurrency.limit(now, oldest_queued_since_ns),
            lent => self.slots.max().saturating_sub(lent).max(1),
        }
    }

    /// How many calls that come through the engine may run now in view of what their handlers
    /// compute. `None` means as many as [`Function::limit`] allows. There is no such bound for
    /// event loops, which compute on one thread, or while workers are lent, whose calls do not
    /// start here.
    #[inline]
    pub fn bound(&self) -> Option<u32> {
        let is_bound = self.lent == 0 && self.mode == Some(Mode::Threads);
        self.cores.bound().filter(|_| is_bound).map(|bound| bound.max(self.spec.min))
    }

    /// The figures of its concurrency, and the reason for its limit.
    pub fn report(&mut self, now: u64) -> Report {
        let report = self.concurrency.report(now);
        match (self.bound(), self.cores.measured()) {
            (Some(limit), Some((share, cores))) if limit < report.limit => {
                Report { limit, why: Why::Cores { cores, share }, ..report }
            }
            _ => report,
        }
    }

    /// The reason why it cannot be called now, if it cannot.
    pub fn unavailable(&self) -> Option<&str> {
        self.unavailable.as_deref()
    }

    /// Sets the reason why it cannot be called now; `None` if it can.
    pub fn set_unavailable(&mut self, reason: Option<String>) {
        self.unavailable = reason;
    }

    /// Forgets what was learned about its code, as other code serves from now on. That code may
    /// cope with an input that crashed the old code, and may be faster.
    pub fn forget_code(&mut self) {
        self.unavailable = None;
        self.quarantine.clear();
        self.lateness.forget();
        self.cores.forget();
    }

    /// Admits a call to the queue.
    ///
    /// # Errors
    ///
    /// The reason for which the call is not admitted.
    pub fn admit(&mut self, now: u64, call: Candidate) -> Result<(), Refusal> {
        if let Some(input) = call.input {
            self.check_quarantine(now, input)?;
        }
        available::check(self.unavailable.as_deref(), &self.spec)?;
        let load = self.slots.load();
        bounds::check(load, &self.spec, call.bytes)?;
        let turnaround =
            Turnaround { queued: load.queued(), left_ns: call.deadline.saturating_sub(now) };
        self.lateness.check(now, turnaround)
    }

    /// Checks that an input may run now, and counts a refusal.
    ///
    /// # Errors
    ///
    /// If the input is in quarantine.
    pub fn check_quarantine(&mut self, now: u64, input: Fingerprint) -> Result<(), Refusal> {
        let checked = self.quarantine.check(now, input, &self.spec.name);
        self.counts.quarantine_refused += u64::from(checked.is_err());
        checked
    }

    /// Notes that a call was admitted and is about to enter the queue.
    #[inline]
    pub fn call_arrives(&mut self, now: u64) {
        self.concurrency.arrived(now);
        if self.slots.load().queued() == 0 {
            self.lateness.queue_began();
            self.cores.nothing_waits();
        }
        if self.spec.retries > 0 {
            self.retry_budget.called(now);
        }
    }

    /// Notes that a queued call of this lane was started.
    #[inline]
    pub fn call_started(&mut self, now: u64, lane: Lane) {
        self.queue.pop(lane);
        self.lateness.started(now, self.slots.load().queued());
    }

    /// Whether a call whose process died may be sent again. If so, one retry is used up. `retried`
    /// is how often it was sent again before; `not_begun` says that it certainly never reached a
    /// worker.
    pub fn take_retry(
        &mut self,
        now: u64,
        call: CallNumber,
        retried: u32,
        not_begun: bool,
    ) -> bool {
        if retried >= self.spec.retries {
            return false;
        }
        let may_run_again = not_begun || self.spec.idempotent;
        let is_served = !self.is_removed && self.unavailable.is_none();
        let is_taken = may_run_again && is_served && self.retry_budget.take(now);
        if is_taken {
            self.counts.retries += 1;
            self.queue.push_again(call);
        }
        is_taken
    }

    /// Counts direct calls that have ended.
    pub fn called_directly(&mut self, now: u64, counts: &DeskCounts) {
        self.counts.direct(&counts.outcomes);
        let segments = self.segments.get_or_insert_default();
        segments.add(counts);
        let calls = counts.outcomes.iter().copied().map(u64::from).sum();
        self.concurrency.called_directly(now, calls, counts.sums_ns[Segment::Ran as usize]);
    }

    /// Counts a call that ended or was not accepted.
    #[inline]
    pub fn count_end(&mut self, origin: Origin, status: Status) {
        self.counts.ended(origin, status);
    }

    /// Counts a response to a client, by its HTTP status.
    pub fn count_response(&mut self, status: u16) {
        self.counts.responded(status);
    }

    /// How long its calls spent in each segment; `None` before a call was answered.
    pub fn segments(&self) -> Option<&Segments> {
        self.segments.as_deref()
    }

    /// The same, mutably, to count a call that was answered.
    #[inline]
    pub fn segments_mut(&mut self) -> &mut Segments {
        self.segments.get_or_insert_default()
    }
}
