//! How many calls of a function may run at once while its handlers compute.
//!
//! Handlers that compute end no more calls per second if more of them run than there are cores, and
//! then every other thread of the machine waits behind all of them.
//! [`Concurrency`](super::concurrency::Concurrency) finds this out by experiments with throughput,
//! which take seconds. This module measures it: while calls wait, the CPU time that the function's
//! processes use shows within a few milliseconds how many of the running handlers compute. As many
//! calls may run as keep all cores busy. Until there is a measurement, as many calls may run as
//! there are cores.
//!
//! A call must not wait for ever behind some that take long. So more and more calls are let run
//! while none ends: see [`PATIENCE_NS`].
//!
//! This is pure state: time is an argument, in nanoseconds of one monotonic clock.

use std::num::NonZeroU32;

/// The shortest time between two readings, ns. In this time handlers that have just started reach
/// the point where they sleep.
const WINDOW_MIN_NS: u64 = 1_000_000;
/// The longest time between two readings while calls wait, ns.
const WINDOW_MAX_NS: u64 = 25_000_000;
/// The time between two readings is the time that calls have been waiting, divided by this. So a
/// load that lasts is measured less often, and more exactly.
const WINDOW_PART: u64 = 4;
/// The time constant of the average over readings, ns. A single reading says little: the machine
/// may have stood still, or handlers had not been woken yet.
const SPAN_NS: f64 = 4e6;
/// A longer time between two readings counts as this time, ns.
const COUNTED_NS: f64 = 2e6;
/// Handlers would have used more CPU time if other threads had not used it. The estimate of that
/// time is at most this many times the time they did use. On a core shared by many more threads, a
/// handler that computes little looks like one that does not get to compute.
const MAX_CROWD: f64 = 4.0;
/// A load that is this much below one core for each running handler counts as one core each: a
/// handler waits a little between two calls.
const FULL: f64 = 7.0 / 8.0;
/// The smallest part of its time for which a handler is assumed to compute. With this part no bound
/// is left.
const LEAST_SHARE: f64 = 1e-4;
/// If calls wait and none ends for this long, in ns, one more call is let run, and the next one
/// after twice as long. So a few calls that take long do not hold up short ones.
const PATIENCE_NS: u64 = 20_000_000;
/// The patience is doubled at most this many times.
const MAX_DOUBLED: u32 = 16;

/// A reading of the machine and of a function's processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The CPU time that the processes have used since they began, ns.
    pub used_ns: u64,
    /// How many threads of the whole machine run or could run, per core.
    pub crowd: f64,
}

/// When to check again a call that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The time of the next check, ns.
    pub recheck_at: u64,
    /// Whether a [`Reading`] must be taken now.
    pub reads: bool,
}

/// A period in which calls wait because of the bound.
#[derive(Clone, Copy, Debug)]
struct Window {
    began_at: u64,
    /// When the next reading is due.
    read_at: u64,
    last: Option<(u64, Reading)>,
    /// The time since when no call has ended, and how many had ended by then.
    no_end_since: u64,
    ended: u64,
}

/// The bound on one function's running calls.
#[derive(Clone, Debug)]
pub struct Cores {
    /// The number of cores; `None` if there is no bound.
    count: Option<NonZeroU32>,
    /// The bound that follows from the other fields.
    bound: Option<u32>,
    /// The part of its time for which a running handler computes: 1 until it was measured.
    share: f64,
    is_measured: bool,
    window: Option<Window>,
    ended: u64,
    /// How many calls may run beyond the bound, as none has ended for long.
    long: u32,
}

impl Cores {
    /// The bound of a function that has not been called, on a machine with this many cores. `None`
    /// means that there is no bound.
    pub fn new(count: Option<NonZeroU32>) -> Cores {
        let bound = count.map(NonZeroU32::get);
        Cores { count, bound, share: 1.0, is_measured: false, window: None, ended: 0, long: 0 }
    }

    /// How many calls may run at once; `None` if there is no bound.
    #[inline]
    pub fn bound(&self) -> Option<u32> {
        self.bound
    }

    fn set_bound(&mut self) {
        self.bound = self.count.map(|count| {
            let count = count.get();
            // The cast saturates.
            let busy = (f64::from(count) / self.share * FULL).ceil() as u32;
            busy.max(count).saturating_add(self.long)
        });
    }

    /// The part of its time for which a running handler computes, and the number of cores; `None`
    /// before the first measurement.
    pub fn measured(&self) -> Option<(f64, u32)> {
        Some((self.share, self.count?.get())).filter(|_| self.is_measured)
    }

    /// Whether handlers were measured to compute for most of their time.
    pub fn computes(&self) -> bool {
        self.measured().is_some_and(|(share, _)| share > 0.5)
    }

    /// Forgets what was learned, as other code serves from now on.
    pub fn forget(&mut self) {
        *self = Cores::new(self.count);
    }

    /// Removes the bound, as nothing can be measured.
    pub fn give_up(&mut self) {
        *self = Cores::new(None);
    }

    /// Notes that no call waits any more.
    #[inline]
    pub fn nothing_waits(&mut self) {
        self.window = None;
        if self.long > 0 {
            self.long = 0;
            self.set_bound();
        }
    }

    /// Notes that a call ended after it had run for this long.
    #[inline]
    pub fn ended(&mut self, run_ns: u64) {
        self.ended = self.ended.wrapping_add(1);
        if self.long > 0 && run_ns >= PATIENCE_NS {
            self.long -= 1;
            self.set_bound();
        }
    }

    /// Notes that a call waits because of the bound.
    pub fn hold(&mut self, now: u64) -> Hold {
        let window = self.window.get_or_insert(Window {
            began_at: now,
            read_at: now,
            last: None,
            no_end_since: now,
            ended: self.ended,
        });
        let reads = now >= window.read_at;
        if reads {
            let waited = now.saturating_sub(window.began_at);
            let pause = (waited / WINDOW_PART).clamp(WINDOW_MIN_NS, WINDOW_MAX_NS);
            window.read_at = now.saturating_add(pause);
        }
        Hold { recheck_at: window.read_at, reads }
    }

    /// Takes a reading, while this many calls run.
    pub fn read(&mut self, now: u64, reading: Reading, running: u32) {
        let Some(window) = &mut self.window else { return };
        if window.ended != self.ended {
            window.ended = self.ended;
            window.no_end_since = now;
        } else {
            let patience = PATIENCE_NS << self.long.min(MAX_DOUBLED);
            if now.saturating_sub(window.no_end_since) >= patience {
                window.no_end_since = now;
                self.long = self.long.saturating_add(1);
            }
        }
        self.learn(now, reading, running);
        self.set_bound();
    }

    fn learn(&mut self, now: u64, reading: Reading, running: u32) {
        let Some(window) = &mut self.window else { return };
        let Some((then, before)) = window.last.replace((now, reading)) else { return };
        // If less was used than before, a process has ended.
        let used_ns = reading.used_ns.checked_sub(before.used_ns);
        let (Some(used_ns), Some(passed)) = (used_ns, now.checked_sub(then).filter(|ns| *ns > 0))
        else {
            return;
        };
        let passed_ns = passed as f64;
        let crowd = ((reading.crowd + before.crowd) / 2.0).clamp(1.0, MAX_CROWD);
        let computing = used_ns as f64 / passed_ns * crowd;
        let share = (computing / f64::from(running.max(1))).clamp(LEAST_SHARE, 1.0);
        let counted_ns = passed_ns.min(COUNTED_NS);
        self.share += (share - self.share) * counted_ns / (counted_ns + SPAN_NS);
        self.is_measured = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const CORES: NonZeroU32 = NonZeroU32::new(2).unwrap();

    /// A function whose calls wait, and of which as many run as may.
    struct SaturatedFunction {
        cores: Cores,
        now: u64,
        used_ns: u64,
        readings: u32,
    }

    impl SaturatedFunction {
        fn new() -> SaturatedFunction {
            SaturatedFunction { cores: Cores::new(Some(CORES)), now: 0, used_ns: 0, readings: 0 }
        }

        fn bound(&self) -> u32 {
            self.cores.bound().unwrap()
        }

        /// Lets time pass in which `computing(running)` cores are used, and calls end all the time.
        fn pass(&mut self, ms: u64, crowd: f64, computing: impl Fn(f64) -> f64) {
            self.pass_without_ends(ms, crowd, computing, 0);
        }

        fn pass_without_ends(
            &mut self,
            ms: u64,
            crowd: f64,
            computing: impl Fn(f64) -> f64,
            run_ns: impl Into<Option<u64>>,
        ) {
            let end = self.now + ms * MS;
            let run_ns = run_ns.into();
            while self.now < end {
                let hold = self.cores.hold(self.now);
                if hold.reads {
                    self.readings += 1;
                    let reading = Reading { used_ns: self.used_ns, crowd };
                    let running = self.bound();
                    self.cores.read(self.now, reading, running);
                }
                let passed = self.cores.hold(self.now).recheck_at.min(end) - self.now;
                self.used_ns += (computing(f64::from(self.bound())) * passed as f64) as u64;
                self.now += passed;
                if let Some(run_ns) = run_ns {
                    self.cores.ended(run_ns);
                }
            }
        }
    }

    fn on_two_cores(running: f64) -> f64 {
        running.min(2.0)
    }

    #[test]
    fn handlers_that_compute_are_as_many_as_there_are_cores_from_the_first_call_on() {
        let mut load = SaturatedFunction::new();
        assert_eq!(load.bound(), 2);
        for _ in 0..1000 {
            load.pass(1, 1.5, on_two_cores);
            assert_eq!(load.bound(), 2);
        }
        assert!(load.cores.computes());
        // With a load that lasts there is about one reading per 25 ms.
        assert!(load.readings < 80, "{} readings", load.readings);
    }

    #[test]
    fn handlers_that_compute_beside_others_are_not_taken_to_sleep() {
        let mut load = SaturatedFunction::new();
        // Eight threads run on two cores: each gets a quarter of a core.
        load.pass(1000, 4.0, |running| running / 4.0);
        assert_eq!(load.bound(), 2);
    }

    #[test]
    fn handlers_that_sleep_are_not_bounded_after_thirty_milliseconds() {
        let mut load = SaturatedFunction::new();
        load.pass(30, 1.0, |running| 0.01 * running);
        assert!(load.bound() >= 64, "{}", load.bound());
        assert!(!load.cores.computes());
        // This holds, too, when others compute.
        load.pass(1000, 4.0, |running| 0.01 * running);
        assert!(load.bound() >= 32, "{}", load.bound());
    }

    #[test]
    fn handlers_that_compute_half_of_their_time_keep_all_cores_busy() {
        let mut load = SaturatedFunction::new();
        load.pass(1000, 1.0, |running| (0.5 * running).min(2.0));
        assert!((4..=5).contains(&load.bound()), "{}", load.bound());
        let mut load = SaturatedFunction::new();
        load.pass(1000, 1.0, |running| (0.75 * running).min(2.0));
        assert_eq!(load.bound(), 3);
    }

    #[test]
    fn a_learned_bound_stays_for_the_next_load_and_changes_with_it() {
        let mut load = SaturatedFunction::new();
        load.pass(1000, 1.0, |running| 0.01 * running);
        load.cores.nothing_waits();
        load.now += 60_000 * MS;
        assert!(load.bound() >= 64);
        load.pass(200, 4.0, on_two_cores);
        assert_eq!(load.bound(), 2);
        load.cores.forget();
        assert_eq!((load.bound(), load.cores.measured()), (2, None));
    }

    #[test]
    fn a_machine_that_stands_still_for_once_lets_few_more_run() {
        let mut load = SaturatedFunction::new();
        load.pass(500, 1.5, on_two_cores);
        load.pass(25, 1.0, |_| 0.0);
        assert!(load.bound() <= 4, "{}", load.bound());
        load.pass(200, 1.5, on_two_cores);
        assert_eq!(load.bound(), 2);
    }

    #[test]
    fn calls_that_take_long_hold_up_short_ones_only_for_a_while() {
        let mut load = SaturatedFunction::new();
        load.pass_without_ends(15, 1.5, on_two_cores, None);
        assert_eq!(load.bound(), 2);
        load.pass_without_ends(30, 1.5, on_two_cores, None);
        assert_eq!(load.bound(), 3);
        // From then on, short calls run beside the long ones.
        load.pass(100, 1.5, on_two_cores);
        assert_eq!(load.bound(), 3);
        load.cores.ended(150 * MS);
        assert_eq!(load.bound(), 2);
        // Each further call takes twice as long.
        load.pass_without_ends(1_000, 4.0, on_two_cores, None);
        assert!((6..=8).contains(&load.bound()), "{}", load.bound());
        load.cores.nothing_waits();
        assert_eq!(load.bound(), 2);
    }

    #[test]
    fn processes_that_end_say_nothing_and_what_cannot_be_read_bounds_nothing() {
        let mut load = SaturatedFunction::new();
        load.pass(10, 1.0, on_two_cores);
        load.used_ns = 0;
        load.pass(10, 1.0, on_two_cores);
        assert_eq!(load.bound(), 2);
        load.cores.give_up();
        assert_eq!(load.cores.bound(), None);
        assert_eq!(Cores::new(None).bound(), None);
    }
}
