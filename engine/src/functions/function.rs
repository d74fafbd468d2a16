//! A function: what is configured, its queue and slots, what was learned, what was counted.

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

/// A call that asks to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// Bytes of what it carries.
    pub bytes: u64,
    /// When it must have ended, ns.
    pub deadline: u64,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    spec: Spec,
    /// What its workers are, once one is there.
    mode: Option<Mode>,
    /// It is no longer in the configuration.
    is_removed: bool,
    /// Why it cannot be called now.
    unavailable: Option<String>,
    /// Its calls that wait for their turn.
    pub queue: Queue,
    /// Which of its calls run.
    pub slots: Slots,
    /// How many of them may.
    pub concurrency: Concurrency,
    /// How many of them may while handlers compute.
    pub cores: Cores,
    /// Which calls would end too late.
    pub lateness: Lateness,
    /// Which inputs crash its containers.
    pub quarantine: Quarantine,
    /// How many calls may be sent again.
    retry_budget: RetryBudget,
    /// What has become of its calls.
    pub counts: Counts,
    /// How many of its workers are lent: each runs a lease.
    pub lent: u32,
    /// The notice about the queue that is on the board.
    told: Notice,
    /// Of calls that a worker ended; none before the first.
    segments: Option<Box<Segments>>,
}

impl Function {
    /// A function that has not been called yet, and how many of its calls may run while its
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

    /// What is configured.
    #[inline]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The configuration has changed.
    pub fn set_spec(&mut self, spec: Spec) {
        if spec.quarantine_after.is_none() {
            self.quarantine.clear();
        }
        self.spec = spec;
        self.set_bounds();
    }

    /// Its workers are of this kind, which decides the default of `max`.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = Some(mode);
        self.set_bounds();
    }

    fn set_bounds(&mut self) {
        let bounds = self.spec.bounds(self.mode);
        self.slots.set_max(bounds.max);
        self.concurrency.set_bounds(bounds);
    }

    /// Whether it is no longer in the configuration.
    #[inline]
    pub fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// It is no longer in the configuration, or is there again.
    pub fn set_removed(&mut self, is_removed: bool) {
        self.is_removed = is_removed;
    }

    /// Sets what the board is to say about the queue. False: it says so already.
    #[inline]
    pub fn tell(&mut self, notice: Notice) -> bool {
        std::mem::replace(&mut self.told, notice) != notice
    }

    /// The notice about the queue that is on the board.
    #[inline]
    pub fn told(&self) -> Notice {
        self.told
    }

    /// Calls that run and came through the engine: all but the leases.
    #[inline]
    pub fn running_here(&self) -> u32 {
        self.slots.load().running().saturating_sub(self.lent)
    }

    /// How many calls that come through the engine may run now. `oldest_queued_since_ns`: since
    /// when the first call of the queue has been waiting.
    ///
    /// While workers are lent, most calls do not come through the engine. The rest is let run at
    /// once: a queue of them would send all others through the engine, too. One may always run if a
    /// slot is free: a lease whose handler waits may wait for it, also after `max` was lowered.
    #[inline]
    pub fn limit(&mut self, now: u64, oldest_queued_since_ns: Option<u64>) -> u32 {
        match self.lent {
            0 => self.concurrency.limit(now, oldest_queued_since_ns),
            lent => self.slots.max().saturating_sub(lent).max(1),
        }
    }

    /// How many calls that come through the engine may run now because of what their handlers
    /// compute; `None`: as many as [`Function::limit`] says. Event loops compute on one thread, and
    /// workers that are lent are not started here.
    #[inline]
    pub fn bound(&self) -> Option<u32> {
        let is_bound = self.lent == 0 && self.mode == Some(Mode::Threads);
        self.cores.bound().filter(|_| is_bound).map(|bound| bound.max(self.spec.min))
    }

    /// The figures of its concurrency, and why its limit is what it is.
    pub fn report(&mut self, now: u64) -> Report {
        let report = self.concurrency.report(now);
        match (self.bound(), self.cores.measured()) {
            (Some(limit), Some((share, cores))) if limit < report.limit => {
                Report { limit, why: Why::Cores { cores, share }, ..report }
            }
            _ => report,
        }
    }

    /// Why it cannot be called now, if it cannot.
    pub fn unavailable(&self) -> Option<&str> {
        self.unavailable.as_deref()
    }

    /// It cannot be called now, for this reason; or it can be.
    pub fn set_unavailable(&mut self, reason: Option<String>) {
        self.unavailable = reason;
    }

    /// Other code serves from now on. It may do well with an input that crashed the code before,
    /// and be faster.
    pub fn forget_code(&mut self) {
        self.unavailable = None;
        self.quarantine.clear();
        self.lateness.forget();
        self.cores.forget();
    }

    /// Whether a call may be queued now.
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

    /// Whether an input may run now; one that is refused is counted.
    pub fn check_quarantine(&mut self, now: u64, input: Fingerprint) -> Result<(), Refusal> {
        let checked = self.quarantine.check(now, input, &self.spec.name);
        self.counts.quarantine_refused += u64::from(checked.is_err());
        checked
    }

    /// A call was admitted, and is about to enter the queue.
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

    /// A queued call of this lane was started.
    #[inline]
    pub fn call_started(&mut self, now: u64, lane: Lane) {
        self.queue.pop(lane);
        self.lateness.started(now, self.slots.load().queued());
    }

    /// Whether a call whose process died may be sent again, for which a retry is taken. `retried`:
    /// how often it was before; `not_begun`: it surely never reached a worker.
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

    /// Counts a call that ended, or was not accepted.
    #[inline]
    pub fn count_end(&mut self, origin: Origin, status: Status) {
        self.counts.ended(origin, status);
    }

    /// Counts a response to a client, by its HTTP status.
    pub fn count_response(&mut self, status: u16) {
        self.counts.responded(status);
    }

    /// Where the time of its calls went; none before one was answered.
    pub fn segments(&self) -> Option<&Segments> {
        self.segments.as_deref()
    }

    /// The same, to count a call that was answered.
    #[inline]
    pub fn segments_mut(&mut self) -> &mut Segments {
        self.segments.get_or_insert_default()
    }
}
