//! How many calls of a function may run at once.
//!
//! The product of Little's law, τ = λ·t (arrival rate × service time), is the concurrency that a
//! function needs. Nightcore manages concurrency by it (Jia and Witchel, "Nightcore: Efficient and
//! Scalable Serverless Computing for Latency-Sensitive, Interactive Microservices", ASPLOS 2021). A
//! limit of exactly ⌈τ⌉ would leave no slack, and a queue without slack grows without bound. So the
//! limit is ⌈τ⌉ + ⌈√τ⌉: square-root staffing (Halfin and Whitt, "Heavy-traffic limits for queues
//! with many exponential servers", Operations Research 1981). With it the wait stays a fraction of
//! the service time for every τ.
//!
//! λ and t are moving averages over 64 calls and 64 service times, as far as those fit into 5 s. So
//! the error of τ stays an eighth of the headroom; see `concurrency/average.rs`. A saturated
//! function's rate is what the limit lets through, so λ·t cannot show whether a higher limit would
//! help. Experiments find that out, by hill climbing; see `concurrency/hill_climbing.rs`.
//!
//! This is pure state: time is an argument, in nanoseconds of one monotonic clock. A time that goes
//! back counts as the latest time seen.

mod average;
mod hill_climbing;
mod known;
mod report;

use average::{Averages, FORGET_NS};
use hill_climbing::{HillClimber, Present};
use known::{ENDS_KNOWN, KNOWN_WITHIN_NS};
pub use report::{Report, Why};

/// A call may be queued for this long, in ns, or for one service time if that is longer, before the
/// limit is raised. A shorter wait is not worth an experiment.
const PATIENCE_MIN_NS: u64 = 1_000_000;

/// How long after its last call a function is forgotten, ns. The averages are empty then, and
/// [`Concurrency::is_quiet`] is true.
pub const QUIET_AFTER_NS: u64 = FORGET_NS;

/// The bounds of a function's concurrency, among them `workers.min` and `workers.max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least limit, and the least number of workers.
    pub min: u32,
    /// The highest limit. It is at least 1 and at least `min`.
    pub max: u32,
    /// The calls that end within this time, in ns, may always run at once. That more calls at once
    /// end no more of them is then no reason for a lower limit. 0 for workers that run one call
    /// each.
    pub in_one_go_ns: u64,
}

impl Bounds {
    fn widened(self) -> Bounds {
        Bounds { max: self.max.max(self.min).max(1), ..self }
    }
}

/// The concurrency controller of one function.
#[derive(Debug, Clone)]
pub struct Concurrency {
    bounds: Bounds,
    now_ns: u64,
    limit: u32,
    /// A call that is queued for longer than this asks for a higher limit.
    patience_ns: u64,
    averages: Averages,
    climber: HillClimber,
    ends: RecentEnds,
    /// Whether τ was known when the limit was last computed.
    known: bool,
}

impl Concurrency {
    /// The controller of a function that has not been called yet. If the bounds contradict each
    /// other, `max` is raised to 1 and to `min`.
    pub fn new(bounds: Bounds) -> Self {
        let bounds = bounds.widened();
        Concurrency {
            bounds,
            now_ns: 0,
            limit: bounds.max,
            patience_ns: PATIENCE_MIN_NS,
            averages: Averages::new(),
            climber: HillClimber::new(),
            ends: RecentEnds::default(),
            known: false,
        }
    }

    /// Sets new bounds. The controller keeps what it has learned.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        let bounds = bounds.widened();
        if self.bounds != bounds {
            self.bounds = bounds;
            self.recompute();
        }
    }

    /// Notes that a call was accepted, whether it is queued or starts at once.
    pub fn arrived(&mut self, now_ns: u64) {
        let now_ns = self.tick(now_ns);
        self.averages.arrived(now_ns);
        self.climber.arrived(now_ns);
    }

    /// Notes that a call ended. `run_ns` is the time its handler took without all waits for
    /// internal calls. `open_ns` is the time from its dispatch to its answer, without the time its
    /// internal calls spent queued.
    pub fn ended(&mut self, now_ns: u64, run_ns: u64, open_ns: u64) {
        let now_ns = self.tick(now_ns);
        self.averages.ended(now_ns, run_ns, open_ns);
        self.ends.push(now_ns);
        let window_is_full = self.climber.ended(now_ns, run_ns);
        if window_is_full || (!self.known && self.ends.are_known(now_ns)) {
            self.averages.pass(now_ns);
            if window_is_full && self.is_known() {
                self.climber.judge(self.present());
            }
            self.recompute();
        }
    }

    /// Notes direct calls, which did not go through the engine, that have come and ended since the
    /// last call of this method. `run_ns` is the time that their handlers took together.
    pub fn called_directly(&mut self, now_ns: u64, calls: u64, run_ns: u64) {
        if calls == 0 {
            return;
        }
        let now_ns = self.tick(now_ns);
        self.averages.add(now_ns, calls, run_ns);
        (0..calls.min(ENDS_KNOWN as u64)).for_each(|_| self.ends.push(now_ns));
    }

    /// How many calls may run now. `oldest_queued_since_ns` is the time since when the first call
    /// of the queue has been waiting.
    pub fn limit(&mut self, now_ns: u64, oldest_queued_since_ns: Option<u64>) -> u32 {
        let now_ns = self.tick(now_ns);
        let impatient = oldest_queued_since_ns
            .is_some_and(|since| now_ns.saturating_sub(since) > self.patience_ns);
        if (impatient || self.climber.is_driven()) && self.climber.raise(self.present()) {
            self.recompute();
        }
        self.limit
    }

    /// When the limit could rise merely because time passes, for a queue whose first call has been
    /// waiting since this time. `None` if nothing is queued.
    pub fn next_change_ns(&self, oldest_queued_since_ns: Option<u64>) -> Option<u64> {
        let since_ns = oldest_queued_since_ns?;
        if self.limit >= self.bounds.max {
            return None;
        }
        let impatient_ns = since_ns.saturating_add(self.patience_ns).saturating_add(1);
        let raise_ns = self
            .climber
            .next_raise_ns(self.limit, self.averages.run_ns())
            .map(|at| at.max(impatient_ns));
        // If no call ends by then, τ is unknown again.
        let unknown_ns = self.ends.known_until_ns();
        Some(
            raise_ns.map_or(unknown_ns, |at| at.min(unknown_ns)).max(self.now_ns.saturating_add(1)),
        )
    }

    /// How many workers the open calls need, running or waiting. `max` does not limit this number,
    /// as it applies to running calls only.
    pub fn workers_needed(&mut self, now_ns: u64) -> u32 {
        self.tick(now_ns);
        staffing(self.tau_open()).max(self.bounds.min)
    }

    /// Whether nothing is left of the last load. Time then need not pass here before the next call.
    pub fn is_quiet(&self, now_ns: u64) -> bool {
        self.averages.is_quiet(now_ns.max(self.now_ns))
    }

    /// The current figures, and the reason for the limit.
    pub fn report(&mut self, now_ns: u64) -> Report {
        let now_ns = self.tick(now_ns);
        // The calls in the open bucket count, too.
        self.averages.pass(now_ns);
        self.recompute();
        Report {
            rate_per_s: self.averages.rate_per_ns() * 1e9,
            run_ns: self.averages.run_ns(),
            open_ns: self.averages.open_ns(),
            tau: self.tau(),
            tau_open: self.tau_open(),
            limit: self.limit,
            why: self.why(),
        }
    }

    fn why(&self) -> Why {
        let by_tau = staffing(self.tau());
        let wanted = self.climber.apply(by_tau);
        if !self.known {
            Why::Unknown
        } else if wanted >= self.bounds.max {
            Why::HeldAtMax
        } else if wanted <= self.bounds.min {
            Why::HeldAtMin
        } else if wanted > by_tau {
            Why::Raised { by: wanted - by_tau }
        } else if self.climber.is_capped(by_tau) {
            Why::Saturated { wanted: by_tau }
        } else {
            Why::Tau { tau: self.tau(), headroom: headroom(self.tau()) }
        }
    }

    /// Lets time pass, and returns the latest time seen.
    fn tick(&mut self, now_ns: u64) -> u64 {
        self.now_ns = self.now_ns.max(now_ns);
        if self.averages.is_due(self.now_ns) || (self.known && !self.ends.are_known(self.now_ns)) {
            self.averages.pass(self.now_ns);
            self.recompute();
        }
        self.now_ns
    }

    fn recompute(&mut self) {
        let was_known = self.known;
        self.known = self.is_known();
        if !self.known {
            if was_known {
                // Lessons from the past load are no evidence about the next one.
                self.climber = HillClimber::new();
            }
            self.limit = self.bounds.max;
            self.patience_ns = PATIENCE_MIN_NS;
            return;
        }
        self.climber.pass(self.now_ns);
        let in_one_go = self.averages.rate_per_ns() * self.bounds.in_one_go_ns as f64;
        // The cast saturates.
        self.climber.widen(in_one_go.ceil() as u32);
        self.limit =
            self.climber.apply(staffing(self.tau())).clamp(self.bounds.min.max(1), self.bounds.max);
        self.patience_ns = (self.averages.run_ns() as u64).max(PATIENCE_MIN_NS);
    }

    fn is_known(&self) -> bool {
        self.averages.is_known() && self.ends.are_known(self.now_ns)
    }

    fn present(&self) -> Present {
        Present {
            now_ns: self.now_ns,
            run_ns: self.averages.run_ns(),
            span_ns: self.averages.span_ns(),
            rate_per_ns: self.averages.rate_per_ns(),
            tau: self.tau(),
            by_tau: staffing(self.tau()),
            limit: self.limit,
            max: self.bounds.max,
        }
    }

    fn tau(&self) -> f64 {
        self.averages.rate_per_ns() * self.averages.run_ns()
    }

    fn tau_open(&self) -> f64 {
        self.averages.rate_per_ns() * self.averages.open_ns()
    }
}

/// ⌈τ⌉ + ⌈√τ⌉. However small τ is, it needs a worker: only 0 itself gives 0.
fn staffing(tau: f64) -> u32 {
    // The cast saturates.
    (tau.ceil() as u32).saturating_add(headroom(tau))
}

fn headroom(tau: f64) -> u32 {
    tau.sqrt().ceil() as u32
}

/// When the last calls ended.
#[derive(Debug, Clone, Default)]
struct RecentEnds {
    at_ns: [u64; ENDS_KNOWN],
    /// The index of the oldest entry, which the next one replaces.
    oldest: usize,
    seen: usize,
}

impl RecentEnds {
    fn push(&mut self, now_ns: u64) {
        self.at_ns[self.oldest] = now_ns;
        self.oldest = (self.oldest + 1) % ENDS_KNOWN;
        self.seen = (self.seen + 1).min(ENDS_KNOWN);
    }

    fn are_known(&self, now_ns: u64) -> bool {
        self.seen == ENDS_KNOWN && now_ns < self.known_until_ns()
    }

    fn known_until_ns(&self) -> u64 {
        self.at_ns[self.oldest].saturating_add(KNOWN_WITHIN_NS)
    }
}
