//! Hill climbing: experiments that show whether more concurrency brings more throughput, which λ·t
//! cannot show.
//!
//! While calls queue, the rate is what the limit lets through, so τ only echoes the limit. Two
//! things can go wrong then. τ can stay below what the clients need, although running more calls
//! would end more of them (handlers that sleep). And with the headroom it can creep up without end,
//! although running more only makes each call slower (handlers that compute on few cores). An
//! experiment tells the two apart: raise the limit, measure, and keep it or fall back.
//!
//! The limit to fall back to is throughput × the service time at a concurrency that still paid.
//! This is Little's law again, and the bandwidth-delay product of congestion control.
//!
//! The thread pool of .NET sets its number of threads by hill climbing, too (Hellerstein, Morrison
//! and Eilebrecht, "Applying Control Theory in the Real World: Experience With Building a
//! Controller for the .NET Thread Pool", SIGMETRICS Performance Evaluation Review, 2009).

use super::known::ENDS_KNOWN;

/// A window has this many ends. With exponential service times, a throughput from 128 ends has a
/// standard error of 9 %, and the quotient of two such throughputs has one of 13 %. So the factor
/// √2 that an experiment must bring is three standard errors away from no effect.
const WINDOW_CALLS: u64 = 128;
/// If calls are slow, a window of [`WINDOW_MAX_NS`] with this many ends is enough. One with fewer
/// ends says nothing.
const WINDOW_CALLS_SLOW: u64 = 64;
const WINDOW_MAX_NS: u64 = 10_000_000_000;
/// The first window is the point of comparison for a load that is still building up. So it must end
/// early, after [`ENDS_KNOWN`] ends, and may be [rough](HillClimber::rough).
const WINDOW_CALLS_FIRST: u64 = ENDS_KNOWN as u64;
/// The shortest window, ns. It is longer than a pause of the kernel's scheduler.
const WINDOW_MIN_NS: u64 = 10_000_000;
/// A window also lasts at least this many service times, so that the calls that end in it also
/// began in it.
const WINDOW_RUNS: f64 = 4.0;
/// How many service times to wait after a change of the limit before its effect is measured.
const SETTLE_RUNS: f64 = 2.0;

/// An experiment changes the limit by this factor. The effect of a smaller change would be lost in
/// the noise of a window.
const STEP: u32 = 2;
/// In an experiment that was not free of noise, this factor counts as a step, too.
const STEP_SEEN: f64 = 1.6;
/// While nothing shows that the function is saturated, waiting calls may raise the limit up to this
/// factor before the effect is measured. A burst should not wait for a measurement.
const STEP_FREE: u32 = 4;
/// After this many failed experiments upwards a lower cap is tried. A single failure may be due to
/// a load that changed meanwhile.
const FAILURES_TO_LOWER: u32 = 2;
/// If at least this part of a raised limit was running, the limit was used, and its throughput is
/// meaningful.
const USED: f64 = 0.75;
/// If less than this many times as many calls run under twice the limit, the limit was not what
/// held calls back.
const BARELY: f64 = 1.2;
/// If less than this part of the last window's throughput is left while calls wait, experiments and
/// their lessons are void: calls take longer now, or hang. Too much or too little concurrency alone
/// does not have this effect.
const VOID: f64 = 0.25;
/// A lower limit cost nothing if this part of the throughput is still there.
const FREE: f64 = 0.85;
/// A lower limit clearly cost throughput if less than this part is there.
const DEAR: f64 = 0.7;
/// If this many ends were due and less than half of them came, the lower limit clearly cost
/// throughput, and the experiment does not wait for a whole window.
const DEAR_CALLS: f64 = 32.0;

/// After the first failed experiment the next one waits for one window, which gives it a base of
/// its own. After each further failure it waits this many times longer, up to [`COOL_WINDOWS_MAX`]
/// windows. So a function whose throughput is saturated is under experiment for a few per cent of
/// the time.
const COOL_FACTOR: u64 = 4;
const COOL_WINDOWS_MAX: u64 = 64;
/// The longest wait for the next experiment, ns.
const COOL_MAX_NS: u64 = 60_000_000_000;
/// A raised limit is kept for this many time constants, until τ has caught up with the calls it let
/// through.
const HOLD_SPANS: u64 = 3;

/// The highest limit that τ may ask for; `None` if there is no cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cap(Option<u32>);

impl Cap {
    const NONE: Cap = Cap(None);

    /// Whether the cap holds back a function that asks for this limit.
    fn is_below(self, limit: u32) -> bool {
        self.0.is_some_and(|cap| cap < limit)
    }

    /// Whether the cap would allow a limit higher than this one.
    fn is_above(self, limit: u32) -> bool {
        self.0.is_none_or(|cap| cap > limit)
    }

    /// The lower of the cap and this limit.
    fn cut(self, limit: u32) -> u32 {
        self.0.map_or(limit, |cap| cap.min(limit))
    }
}

/// The result of a window.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// How many calls ran, on average.
    running: f64,
    /// How many calls ended per nanosecond.
    throughput: f64,
}

impl Sample {
    /// Whether the additional concurrency over `base` paid: throughput grew by at least the square
    /// root of the factor, which is halfway between no growth and growth in proportion.
    fn paid(self, base: Sample) -> bool {
        self.throughput >= base.throughput * (self.running / base.running).sqrt()
    }

    /// Whether the additional concurrency over `base` clearly did not pay: throughput did not even
    /// grow by the fourth root of the factor.
    fn clearly_failed(self, base: Sample) -> bool {
        self.throughput < base.throughput * (self.running / base.running).sqrt().sqrt()
    }

    /// Whether this has so much more concurrency than `base` that noise does not decide. The
    /// reference moves up by such steps only. Otherwise windows in which more calls happened to end
    /// would carry it up.
    fn is_step_above(self, base: Sample) -> bool {
        self.running >= f64::from(STEP) * base.running
    }
}

#[derive(Debug, Clone, Copy)]
enum ClimbPhase {
    /// The limit follows τ, up to the cap.
    Follow,
    /// The limit rises to `target`, to see whether `base` is surpassed. It rises by one whenever
    /// calls wait or, if the target is above the cap, in any case: under a cap, the waits of short
    /// calls may never be long enough to raise it.
    Raise { base: Sample, target: u32 },
    /// The cap was lowered from `cap`, to see whether the throughput of `base` is kept.
    Lower { base: Sample, cap: Cap },
}

/// The facts of the present that the experiments need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    pub now_ns: u64,
    /// The average service time, ns.
    pub run_ns: f64,
    /// The time constant of the averages, ns.
    pub span_ns: u64,
    /// λ and τ, the limit that follows from τ alone, and the limit in force.
    pub rate_per_ns: f64,
    pub tau: f64,
    pub by_tau: u32,
    pub limit: u32,
    pub max: u32,
}

#[derive(Debug, Clone)]
pub(super) struct HillClimber {
    phase: ClimbPhase,
    cap: Cap,
    /// The limit is at least this, whatever τ is.
    raised: u32,
    hold_until_ns: u64,
    next_raise_ns: u64,
    cool_until_ns: u64,
    failures: u32,
    /// Whether a lower cap was tried and cost throughput.
    lowest: bool,
    /// The last window, measured under the limit in force.
    last: Option<Sample>,
    /// The highest concurrency that paid.
    reference: Option<Sample>,
    /// Whether the reference is the first window. It is too short for calls that run long, and has
    /// too few calls for more than a clear verdict.
    rough: bool,
    /// When the window began or will begin; `None` before the first call.
    window_from_ns: Option<u64>,
    ended: u64,
    run_sum_ns: f64,
    /// Whether a call waited for long in this window.
    pressed: bool,
}

impl HillClimber {
    pub fn new() -> Self {
        HillClimber {
            phase: ClimbPhase::Follow,
            cap: Cap::NONE,
            raised: 0,
            hold_until_ns: 0,
            next_raise_ns: 0,
            cool_until_ns: 0,
            failures: 0,
            lowest: false,
            last: None,
            reference: None,
            rough: true,
            window_from_ns: None,
            ended: 0,
            run_sum_ns: 0.0,
            pressed: false,
        }
    }

    /// Notes that a call arrived. The first window begins with the first call.
    pub fn arrived(&mut self, now_ns: u64) {
        self.window_from_ns.get_or_insert(now_ns);
    }

    /// Counts an end. Returns true when the window may be full.
    pub fn ended(&mut self, now_ns: u64, run_ns: u64) -> bool {
        let Some(from_ns) = self.window_from_ns.filter(|from_ns| now_ns >= *from_ns) else {
            return false;
        };
        self.ended += 1;
        self.run_sum_ns += run_ns as f64;
        let calls = if self.reference.is_none() { WINDOW_CALLS_FIRST } else { WINDOW_CALLS };
        let elapsed = now_ns - from_ns;
        elapsed >= WINDOW_MIN_NS
            && (self.ended >= calls || elapsed >= WINDOW_MAX_NS || self.is_dear(elapsed))
    }

    /// Whether a lower cap has cost so much throughput that the experiment may end early.
    fn is_dear(&self, elapsed_ns: u64) -> bool {
        let ClimbPhase::Lower { base, .. } = self.phase else { return false };
        let due = base.throughput * elapsed_ns as f64;
        due >= DEAR_CALLS && (self.ended as f64) < due / 2.0
    }

    /// The limit, given the one that follows from τ alone.
    pub fn apply(&self, by_tau: u32) -> u32 {
        self.cap.cut(by_tau).max(self.raised)
    }

    /// Whether the limit is held below what τ asks for.
    pub fn is_capped(&self, by_tau: u32) -> bool {
        self.cap.is_below(by_tau)
    }

    /// Raises the cap to at least this.
    pub fn widen(&mut self, least_cap: u32) {
        self.cap = Cap(self.cap.0.map(|cap| cap.max(least_cap)));
    }

    /// Forgets a raise once τ has had the time to catch up with it.
    pub fn pass(&mut self, now_ns: u64) {
        if matches!(self.phase, ClimbPhase::Follow) && now_ns >= self.hold_until_ns {
            self.raised = 0;
        }
    }

    /// When the limit could be raised next if calls waited for too long: by the next step, or
    /// because no call ends.
    pub fn next_raise_ns(&self, limit: u32, run_ns: f64) -> Option<u64> {
        match self.phase {
            ClimbPhase::Follow if self.cap.is_above(limit) => Some(self.next_raise_ns),
            ClimbPhase::Follow => self.last.and_then(|last| self.void_ns(last, run_ns)),
            ClimbPhase::Raise { target, .. } if limit < target => Some(self.next_raise_ns),
            ClimbPhase::Raise { base, .. } | ClimbPhase::Lower { base, .. } => {
                self.void_ns(base, run_ns)
            }
        }
        .map(|at| at.max(self.next_raise_ns))
    }

    /// When too little would be left of the throughput if no further call ended until then.
    fn void_ns(&self, base: Sample, run_ns: f64) -> Option<u64> {
        let hopeless_ns = self.ended as f64 / (VOID * base.throughput);
        let after_ns = hopeless_ns.max(WINDOW_RUNS * run_ns).max(WINDOW_MIN_NS as f64);
        Some(after(self.window_from_ns?, after_ns))
    }

    /// Whether the limit rises even if no call has waited for long.
    pub fn is_driven(&self) -> bool {
        matches!(self.phase, ClimbPhase::Raise { target, .. } if self.cap.is_below(target))
    }

    /// Raises the limit by one if it is time. To be called when a call has waited for long, or the
    /// experiment [is driven](HillClimber::is_driven). Returns true if the limit was raised.
    pub fn raise(&mut self, at: Present) -> bool {
        self.pressed = true;
        if at.now_ns < self.next_raise_ns || at.limit >= at.max {
            return false;
        }
        let base = match self.phase {
            // Without a window so far, the averages serve as the base.
            ClimbPhase::Follow => {
                self.last.unwrap_or(Sample { running: at.tau, throughput: at.rate_per_ns })
            }
            ClimbPhase::Raise { base, .. } | ClimbPhase::Lower { base, .. } => base,
        };
        match self.phase {
            ClimbPhase::Raise { target, .. } if at.limit < target => {}
            ClimbPhase::Follow if self.cap.is_above(at.limit) => {
                let target = self.cap.cut(at.limit.saturating_mul(STEP_FREE).min(at.max));
                self.phase = ClimbPhase::Raise { base, target };
            }
            ClimbPhase::Follow if self.last.is_none() => return false,
            _ if self.void_ns(base, at.run_ns).is_none_or(|void_ns| at.now_ns < void_ns) => {
                return false;
            }
            _ => {
                self.uncap();
                let target = at.limit.saturating_mul(STEP_FREE).min(at.max);
                self.phase = ClimbPhase::Raise { base, target };
            }
        }
        self.raised = at.limit + 1;
        self.next_raise_ns = after(at.now_ns, at.run_ns);
        self.open_window(at);
        true
    }

    fn open_window(&mut self, at: Present) {
        self.begin_window(after(at.now_ns, SETTLE_RUNS * at.run_ns));
    }

    fn begin_window(&mut self, from_ns: u64) {
        self.window_from_ns = Some(from_ns);
        self.ended = 0;
        self.run_sum_ns = 0.0;
        self.pressed = false;
    }

    /// Judges the window, if it is full.
    pub fn judge(&mut self, at: Present) {
        let from_ns = self.window_from_ns.unwrap_or(at.now_ns);
        let elapsed_ns = at.now_ns.saturating_sub(from_ns);
        if (elapsed_ns as f64) < WINDOW_RUNS * at.run_ns && elapsed_ns < WINDOW_MAX_NS {
            return;
        }
        let first = self.reference.is_none();
        if !first && self.ended < WINDOW_CALLS_SLOW && !self.is_dear(elapsed_ns) {
            // There were too few ends to judge by, or to confirm the cap. A raised limit is kept
            // for as long as τ needs to catch up.
            self.settle(at);
            self.uncap();
            self.open_window(at);
            return;
        }
        let elapsed = elapsed_ns as f64;
        // If the calls took no time at all, one nanosecond is assumed, so that nothing is divided
        // by zero.
        let running = self.run_sum_ns.max(1.0) / elapsed;
        let sample = Sample { running, throughput: self.ended as f64 / elapsed };
        let pressed = self.pressed;
        self.begin_window(at.now_ns);
        let Some(reference) = self.reference else {
            self.reference = Some(sample);
            self.last = Some(sample);
            return;
        };
        match self.phase {
            ClimbPhase::Follow => self.judge_follow(at, sample, reference, pressed),
            // The cap was not what held calls back.
            ClimbPhase::Raise { base, .. }
                if self.is_driven() && sample.running < BARELY * base.running =>
            {
                self.phase = ClimbPhase::Follow;
                self.raised = 0;
                self.cap = Cap::NONE;
                self.last = Some(sample);
            }
            ClimbPhase::Raise { base, target } => {
                let used = sample.running >= USED * f64::from(target);
                let driven = self.is_driven();
                if sample.paid(base) {
                    self.settle(at);
                    if driven {
                        self.cap = Cap::NONE;
                    }
                    if sample.running >= STEP_SEEN * base.running {
                        self.reference = Some(sample);
                        self.failures = 0;
                    }
                    self.last = Some(sample);
                } else if used || driven {
                    self.fall_back(at, sample, reference);
                    self.cool(at, elapsed_ns);
                } else {
                    // The queue emptied by itself, so this was no experiment, and there is nothing
                    // to keep.
                    self.phase = ClimbPhase::Follow;
                    self.raised = 0;
                    self.last = Some(sample);
                }
            }
            ClimbPhase::Lower { base, cap } => {
                self.phase = ClimbPhase::Follow;
                self.last = None;
                self.cap = cap;
                self.lowest = true;
                if sample.throughput >= FREE * base.throughput {
                    self.reference = Some(sample);
                    self.cap = Cap(Some(cap.cut(sample.running.ceil() as u32).max(1)));
                    self.lowest = self.cap == cap;
                    // This counts like a failure upwards, so that the cap is lowered further.
                    self.failures = self.failures.max(FAILURES_TO_LOWER);
                } else if !cap.is_below(at.max) {
                    if sample.throughput < DEAR * base.throughput {
                        // So the earlier concurrency did pay.
                        self.reference = Some(base);
                    }
                    self.cap = Cap::NONE;
                    self.cool(at, elapsed_ns);
                }
                self.open_window(at);
            }
        }
    }

    fn judge_follow(&mut self, at: Present, sample: Sample, reference: Sample, pressed: bool) {
        self.last = Some(sample);
        let above = sample.is_step_above(reference);
        let rough = std::mem::replace(&mut self.rough, false);
        let failed =
            above && if rough { sample.clearly_failed(reference) } else { !sample.paid(reference) };
        if sample.running <= reference.running || (!failed && (above || rough)) {
            self.reference = Some(sample);
        } else if failed && self.cap == Cap::NONE {
            // The clients raised the concurrency themselves. Whether this was a fair experiment is
            // checked at once: the lower limit must not cost throughput.
            self.fall_back(at, sample, reference);
            self.phase = ClimbPhase::Lower { base: sample, cap: Cap::NONE };
            return;
        }
        let cooled = at.now_ns >= self.cool_until_ns;
        let Cap(Some(cap)) = self.cap else {
            // Calls wait at `max`, where nothing can be tried upwards. The load may have begun with
            // too much concurrency.
            if pressed
                && cooled
                && at.limit == at.max
                && at.max > 1
                && sample.running >= USED * f64::from(at.max)
            {
                self.lower(at, sample, at.max);
            }
            return;
        };
        if sample.running * f64::from(STEP) < f64::from(cap) {
            self.uncap();
        } else if at.by_tau > cap && cooled {
            if self.failures >= FAILURES_TO_LOWER && !self.lowest && cap > 1 {
                self.lower(at, sample, cap);
            } else {
                let target = cap.saturating_mul(STEP).min(at.max);
                self.phase = ClimbPhase::Raise { base: sample, target };
                self.next_raise_ns = at.now_ns;
            }
        }
    }

    /// Falls back, as more concurrency did not pay, to the concurrency that this throughput needed
    /// when calls did not yet slow each other down.
    fn fall_back(&mut self, at: Present, sample: Sample, reference: Sample) {
        let needed = sample.throughput * reference.running / reference.throughput;
        self.cap = Cap(Some((needed.min(sample.running).ceil() as u32).max(1)));
        self.phase = ClimbPhase::Follow;
        self.raised = 0;
        self.lowest = false;
        self.last = None;
        self.open_window(at);
    }

    fn lower(&mut self, at: Present, base: Sample, cap: u32) {
        self.phase = ClimbPhase::Lower { base, cap: Cap(Some(cap)) };
        self.cap = Cap(Some(cap / STEP));
        self.raised = 0;
        self.open_window(at);
    }

    fn uncap(&mut self) {
        self.cap = Cap::NONE;
        self.failures = 0;
    }

    fn cool(&mut self, at: Present, window_ns: u64) {
        let windows = COOL_FACTOR.saturating_pow(self.failures).min(COOL_WINDOWS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.cool_until_ns =
            at.now_ns.saturating_add(window_ns.saturating_mul(windows).min(COOL_MAX_NS));
    }

    /// Keeps a raised limit until τ has caught up with it.
    fn settle(&mut self, at: Present) {
        self.phase = ClimbPhase::Follow;
        self.hold_until_ns = at.now_ns.saturating_add(HOLD_SPANS * at.span_ns);
    }
}

/// `now + wait`. The wait may be absurdly long, so the cast saturates.
fn after(now_ns: u64, wait_ns: f64) -> u64 {
    now_ns.saturating_add(wait_ns as u64)
}
