//! Spinning for a message before parking, where that pays, with a yield between checks.
//!
//! Waking a parked thread costs about 2 µs on the same core, and about 22 µs on another core that
//! is halted. A reader that spins sees a message within 0.1 µs. So a reader that expects a message
//! soon spins, and yields its core to other threads meanwhile. Whether spinning pays is measured.
//! After a spin in which it found nothing, the next waits park at once; their number grows with
//! each such spin.

use std::hint::spin_loop;

/// The longest spin, in ns: about the cost of two wakes on other cores, which is what a spin can
/// save. Only the time that the spin takes from other threads counts: see [`TURN_NS`].
pub const MAX_YIELDING_SPIN_NS: u64 = 50_000;
/// The most that a check and a yield cost, in ns. Any longer time was used by another thread on
/// this core.
pub const TURN_NS: u64 = 2_000;
/// The number of checks between two yields. A yield costs about 0.3 µs if no other thread is
/// runnable. With fewer yields, a sender on the same core runs later; with more, the reader sees
/// its message later.
const CHECKS_PER_YIELD: u32 = 2;
/// A thread that does not run for this long after a yield, in ns, shares its core with a thread
/// that computes. It would have to wait that long after each yield. A parked thread runs sooner
/// once it is woken.
pub const CROWDED_NS: u64 = 500_000;
/// The most waits in a row that park at once before spinning is tried again.
const MAX_SKIPPED: u32 = 64;
/// The time without spinning, in ns, after a core was found crowded. Finding that out costs a time
/// slice of the computing thread, which is some milliseconds. The time doubles each time that the
/// core is found crowded again soon after.
const CROWDED_PAUSE_NS: u64 = 2_000_000;
/// The longest time without spinning after a core was found crowded, in ns.
const MAX_CROWDED_PAUSE_NS: u64 = 1_024_000_000;
/// A wait that parked at once and was shorter than this, in ns, might have been short enough to
/// spin. If all threads park, each of them waits for the others to be woken, and all waits are
/// longer.
const SHORT_SLEEP_NS: u64 = 2 * MAX_YIELDING_SPIN_NS;
/// The most waits in a row that park at once while waits are that short. So sooner or later all
/// threads spin at the same time, and go on spinning.
const MAX_SKIPPED_SHORT: u32 = 8;

/// The result of a spin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinResult {
    /// There is a message.
    Found,
    /// There was none.
    NotFound,
    /// Another thread computes on this core. There may be a message.
    Crowded,
}

/// Decides whether the next wait of a kind begins with a spin.
#[derive(Clone, Debug, Default)]
pub struct SpinPolicy {
    /// The number of waits that still park at once.
    skip: u32,
    /// The number of waits that park at once after the next spin in vain.
    skip_next: u32,
    /// If the core was found crowded: when spinning is tried again, in ns.
    crowded_until_ns: Option<u64>,
    /// The length of that pause, in ns.
    pause_ns: u64,
}

impl SpinPolicy {
    /// Begins a wait. Returns whether it is to begin with a spin.
    #[inline]
    pub fn spins(&mut self, now_ns: impl Fn() -> u64) -> bool {
        if self.skip == 0 {
            return self.crowded_until_ns.is_none_or(|until| now_ns() >= until);
        }
        self.skip -= 1;
        false
    }

    /// Forgets spins that were in vain: the next wait begins with one, unless the core is crowded.
    pub fn renew(&mut self) {
        self.skip = 0;
    }

    /// Whether spinning has not been in vain lately.
    #[inline]
    pub fn pays(&self) -> bool {
        self.skip_next == 0
    }

    /// Takes note of how long a wait took, in ns, that parked at once.
    #[inline]
    pub fn slept(&mut self, ns: u64) {
        if ns < SHORT_SLEEP_NS {
            self.skip = self.skip.min(MAX_SKIPPED_SHORT);
        }
    }

    /// Takes note of the result of a spin.
    #[inline]
    pub fn learn(&mut self, result: SpinResult, now_ns: impl Fn() -> u64) {
        match result {
            SpinResult::Found => self.skip_next /= 2,
            SpinResult::NotFound => {
                self.skip = self.skip_next;
                self.skip_next = (self.skip_next * 2 + 1).min(MAX_SKIPPED);
            }
            SpinResult::Crowded => {
                let now = now_ns();
                let soon = self.crowded_until_ns.is_some_and(|until| now < until + self.pause_ns);
                self.pause_ns = if soon { self.pause_ns * 2 } else { 0 };
                self.pause_ns = self.pause_ns.clamp(CROWDED_PAUSE_NS, MAX_CROWDED_PAUSE_NS);
                self.crowded_until_ns = Some(now + self.pause_ns);
            }
        }
    }
}

/// Checks a few times without a yield.
#[inline]
pub fn check_closely(checks: u32, found: impl Fn() -> bool) -> bool {
    for _ in 0..checks {
        if found() {
            return true;
        }
        spin_loop();
    }
    false
}

/// Yields this core to other threads.
#[inline]
pub fn yield_core() {
    // SAFETY: sched_yield has no preconditions, and does not fail on Linux.
    unsafe { libc::sched_yield() };
}

/// Spins until there is a message, for at most `for_ns`. A check with its yield counts for at most
/// `turn_ns`.
pub fn spin_yielding(
    for_ns: u64,
    turn_ns: u64,
    now_ns: impl Fn() -> u64,
    found: impl Fn() -> bool,
) -> SpinResult {
    let mut last = now_ns();
    let mut spent = 0;
    loop {
        if check_closely(CHECKS_PER_YIELD, &found) {
            return SpinResult::Found;
        }
        yield_core();
        let now = now_ns();
        if now - last > CROWDED_NS {
            return SpinResult::Crowded;
        }
        spent += (now - last).min(turn_ns);
        if spent > for_ns {
            return if found() { SpinResult::Found } else { SpinResult::NotFound };
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn spins_in_vain_become_rare_and_spins_that_pay_return_at_once() {
        let mut policy = SpinPolicy::default();
        // How many of this many waits begin with a spin, if each spin ends in this way.
        let mut spins_of = |result: SpinResult, waits: u32| {
            let mut spins = |_: &u32| {
                let spins = policy.spins(|| 0);
                if spins {
                    policy.learn(result, || 0);
                }
                spins
            };
            (0..waits).filter(&mut spins).count()
        };
        assert!(spins_of(SpinResult::NotFound, 6500) <= 107);
        // Each spin that pays halves the number of waits that park at once.
        assert!(spins_of(SpinResult::Found, 1000) >= 900);
        assert_eq!(spins_of(SpinResult::Found, 1000), 1000);
    }

    #[test]
    fn short_sleeps_are_a_reason_to_spin_sooner() {
        let mut policy = SpinPolicy::default();
        (0..20).for_each(|_| policy.learn(SpinResult::NotFound, || 0));
        policy.slept(SHORT_SLEEP_NS - 1);
        assert_eq!((0..).take_while(|_| !policy.spins(|| 0)).count(), MAX_SKIPPED_SHORT as usize);
    }

    #[test]
    fn a_crowded_core_is_tried_again_after_a_pause_which_doubles_while_it_stays_so() {
        let (mut policy, mut now) = (SpinPolicy::default(), 1);
        // The time without spinning after one more spin on a crowded core. Short sleeps do not
        // change it.
        let mut pause_ns = |policy: &mut SpinPolicy| {
            let began = now;
            policy.learn(SpinResult::Crowded, || now);
            while !policy.spins(|| now) {
                policy.slept(1);
                now += CROWDED_PAUSE_NS / 10;
            }
            now - began
        };
        let expected = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024].map(|ms| ms * 1_000_000);
        assert_eq!(expected.map(|_| pause_ns(&mut policy)), expected);
        // A crowd long after the last one is a new one.
        let later = now + 3 * MAX_CROWDED_PAUSE_NS;
        policy.learn(SpinResult::Found, || later);
        policy.learn(SpinResult::Crowded, || later);
        assert!(!policy.spins(|| later + CROWDED_PAUSE_NS - 1));
        assert!(policy.spins(|| later + CROWDED_PAUSE_NS));
    }

    #[test]
    fn a_spin_ends_with_what_there_is() {
        let clock = Cell::new(0);
        let tick = |by: u64| {
            clock.set(clock.get() + by);
            clock.get()
        };
        assert_eq!(
            spin_yielding(MAX_YIELDING_SPIN_NS, TURN_NS, || tick(1000), || clock.get() > 20_000),
            SpinResult::Found
        );
        assert_eq!(
            spin_yielding(MAX_YIELDING_SPIN_NS, TURN_NS, || tick(1000), || false),
            SpinResult::NotFound
        );
        // While others use the core, a spin takes no time from anybody.
        let later = clock.get() + 10 * MAX_YIELDING_SPIN_NS;
        assert_eq!(
            spin_yielding(MAX_YIELDING_SPIN_NS, TURN_NS, || tick(100_000), || clock.get() > later),
            SpinResult::Found
        );
        assert_eq!(
            spin_yielding(MAX_YIELDING_SPIN_NS, TURN_NS, || tick(CROWDED_NS + 1), || false),
            SpinResult::Crowded
        );
    }
}
