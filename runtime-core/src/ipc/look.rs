//! Spinning for a message before parking, where that pays. In code a *look* is a spin.
//!
//! Waking a parked thread costs about 2 µs on the same core, and about 22 µs on another core that
//! is halted. A reader that spins sees a message within 0.1 µs. So a reader that expects a message
//! soon spins, and yields its core to other threads meanwhile. Whether spinning pays is measured.
//! After a spin in which it found nothing, the next waits park at once; their number grows with
//! each such spin.

use std::hint::spin_loop;

/// The longest spin, in ns: about the cost of two wakes on other cores, which is what a spin can
/// save. Only the time that the spin takes from other threads counts: see [`TURN_NS`].
pub const MAX_LOOK_NS: u64 = 50_000;
/// The most that a check and a yield cost, in ns. Any longer time was used by another thread on
/// this core.
pub const TURN_NS: u64 = 2_000;
/// The number of checks between two yields. A yield costs about 0.3 µs if no other thread is
/// runnable. With fewer yields, a sender on the same core runs later; with more, the reader sees
/// its message later.
const LOOKS_PER_YIELD: u32 = 2;
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
const SHORT_SLEEP_NS: u64 = 2 * MAX_LOOK_NS;
/// The most waits in a row that park at once while waits are that short. So sooner or later all
/// threads spin at the same time, and go on spinning.
const MAX_SKIPPED_SHORT: u32 = 8;

/// The result of a spin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// There is a message.
    Found,
    /// There was none.
    InVain,
    /// Another thread computes on this core. There may be a message.
    Crowded,
}

/// Decides whether the next wait of a kind begins with a spin.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// The number of waits that still park at once.
    skip: u32,
    /// The number of waits that park at once after the next spin in vain.
    skip_next: u32,
    /// If the core was found crowded: when spinning is tried again, in ns.
    crowded_until_ns: Option<u64>,
    /// The length of that pause, in ns.
    pause_ns: u64,
}

impl Patience {
    /// Begins a wait. Returns whether it is to begin with a spin.
    #[inline]
    pub fn looks(&mut self, now_ns: impl Fn() -> u64) -> bool {
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
    pub fn learn(&mut self, looked: Looked, now_ns: impl Fn() -> u64) {
        match looked {
            Looked::Found => self.skip_next /= 2,
            Looked::InVain => {
                self.skip = self.skip_next;
                self.skip_next = (self.skip_next * 2 + 1).min(MAX_SKIPPED);
            }
            Looked::Crowded => {
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
pub fn look_closely(looks: u32, found: impl Fn() -> bool) -> bool {
    for _ in 0..looks {
        if found() {
            return true;
        }
        spin_loop();
    }
    false
}

/// Yields this core to other threads.
#[inline]
pub fn let_others_run() {
    // SAFETY: sched_yield has no preconditions, and does not fail on Linux.
    unsafe { libc::sched_yield() };
}

/// Spins until there is a message, for at most `for_ns`. A check with its yield counts for at most
/// `turn_ns`.
pub fn look(
    for_ns: u64,
    turn_ns: u64,
    now_ns: impl Fn() -> u64,
    found: impl Fn() -> bool,
) -> Looked {
    let mut last = now_ns();
    let mut spent = 0;
    loop {
        if look_closely(LOOKS_PER_YIELD, &found) {
            return Looked::Found;
        }
        let_others_run();
        let now = now_ns();
        if now - last > CROWDED_NS {
            return Looked::Crowded;
        }
        spent += (now - last).min(turn_ns);
        if spent > for_ns {
            return if found() { Looked::Found } else { Looked::InVain };
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_is_in_vain_is_tried_ever_more_seldom_and_what_pays_again_at_once() {
        let mut patience = Patience::default();
        // How many of this many waits begin with a spin, if each spin ends in this way.
        let mut waits_of = |looked: Looked, waits: u32| {
            let mut looks = |_: &u32| {
                let looks = patience.looks(|| 0);
                if looks {
                    patience.learn(looked, || 0);
                }
                looks
            };
            (0..waits).filter(&mut looks).count()
        };
        assert!(waits_of(Looked::InVain, 6500) <= 107);
        // Each spin that pays halves the number of waits that park at once.
        assert!(waits_of(Looked::Found, 1000) >= 900);
        assert_eq!(waits_of(Looked::Found, 1000), 1000);
    }

    #[test]
    fn short_sleeps_are_a_reason_to_look_sooner() {
        let mut patience = Patience::default();
        (0..20).for_each(|_| patience.learn(Looked::InVain, || 0));
        patience.slept(SHORT_SLEEP_NS - 1);
        assert_eq!((0..).take_while(|_| !patience.looks(|| 0)).count(), MAX_SKIPPED_SHORT as usize);
    }

    #[test]
    fn a_crowded_core_is_tried_again_after_a_pause_which_doubles_while_it_stays_so() {
        let (mut patience, mut now) = (Patience::default(), 1);
        // The time without spinning after one more spin on a crowded core. Short sleeps do not
        // change it.
        let mut pause_ns = |patience: &mut Patience| {
            let began = now;
            patience.learn(Looked::Crowded, || now);
            while !patience.looks(|| now) {
                patience.slept(1);
                now += CROWDED_PAUSE_NS / 10;
            }
            now - began
        };
        let expected = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024].map(|ms| ms * 1_000_000);
        assert_eq!(expected.map(|_| pause_ns(&mut patience)), expected);
        // A crowd long after the last one is a new one.
        let later = now + 3 * MAX_CROWDED_PAUSE_NS;
        patience.learn(Looked::Found, || later);
        patience.learn(Looked::Crowded, || later);
        assert!(!patience.looks(|| later + CROWDED_PAUSE_NS - 1));
        assert!(patience.looks(|| later + CROWDED_PAUSE_NS));
    }

    #[test]
    fn looking_ends_with_what_there_is() {
        let clock = Cell::new(0);
        let tick = |by: u64| {
            clock.set(clock.get() + by);
            clock.get()
        };
        assert_eq!(
            look(MAX_LOOK_NS, TURN_NS, || tick(1000), || clock.get() > 20_000),
            Looked::Found
        );
        assert_eq!(look(MAX_LOOK_NS, TURN_NS, || tick(1000), || false), Looked::InVain);
        // While others use the core, a spin takes no time from anybody.
        let later = clock.get() + 10 * MAX_LOOK_NS;
        assert_eq!(
            look(MAX_LOOK_NS, TURN_NS, || tick(100_000), || clock.get() > later),
            Looked::Found
        );
        assert_eq!(look(MAX_LOOK_NS, TURN_NS, || tick(CROWDED_NS + 1), || false), Looked::Crowded);
    }
}
