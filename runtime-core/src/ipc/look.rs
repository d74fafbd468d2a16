//! Looking for a message for a while before sleeping, where that pays.
//!
//! To wake a sleeping thread costs some 2 µs on the same core and some 22 µs on another one that is halted; a reader that is still
//! looking sees a message within a tenth of a microsecond. So who expects a message soon looks for it, and lets others run on its core
//! meanwhile. Whether it pays is measured: after a wait in which looking was in vain the next ones begin asleep, each time more of them.

use std::hint::spin_loop;

/// The longest that anybody looks at a time: about what two wakes on other cores cost, which is what can be saved. Only what
/// it takes from others counts: see [`TURN_NS`].
pub const MAX_LOOK_NS: u64 = 50_000;
/// What a look and a yield cost at most. What is longer is time that somebody else has used on this core.
pub const TURN_NS: u64 = 2_000;
/// How often a reader looks before it lets others run. A yield costs some 0.3 µs when nobody else is there; with fewer of them
/// a message that somebody on the same core is to send comes later, with more the reader sees its own later.
const LOOKS_PER_YIELD: u32 = 2;
/// Who yields and is not run for so long shares its core with somebody who computes. It would wait so after each yield, and a
/// sleeper is run sooner when it is woken.
pub const CROWDED_NS: u64 = 500_000;
/// Most waits in a row that begin asleep before looking is tried again.
const MAX_SKIPPED: u32 = 64;
/// How long nobody looks who has found a core crowded: to find out costs what a computing thread may run at a time, some
/// milliseconds. It doubles each time that trying again soon finds the same.
const CROWDED_PAUSE_NS: u64 = 2_000_000;
/// The longest such pause.
const MAX_CROWDED_PAUSE_NS: u64 = 1_024_000_000;
/// A wait that began asleep and was over so soon might have been one that looking is for: when all sleep, each waits for the
/// others to be woken.
const SHORT_SLEEP_NS: u64 = 2 * MAX_LOOK_NS;
/// Most waits in a row that begin asleep while they are so short: sooner or later all look at once, and go on looking.
const MAX_SKIPPED_SHORT: u32 = 8;

/// What came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// There is a message.
    Found,
    /// There was none.
    InVain,
    /// Somebody else computes on this core; there may be a message.
    Crowded,
}

/// Whether the next wait of a kind begins with looking.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// Waits that still begin asleep.
    skip: u32,
    /// How many waits begin asleep when looking is in vain again.
    skip_next: u32,
    /// When looking is tried again on a core that was crowded, ns; 0 if it was not.
    crowded_until_ns: u64,
    /// How long that pause is.
    pause_ns: u64,
}

impl Patience {
    /// A wait begins: whether it is to begin with looking.
    #[inline]
    pub fn looks(&mut self, now_ns: impl Fn() -> u64) -> bool {
        if self.skip == 0 {
            return self.crowded_until_ns == 0 || now_ns() >= self.crowded_until_ns;
        }
        self.skip -= 1;
        false
    }

    /// Whether looking has not been in vain of late.
    #[inline]
    pub fn pays(&self) -> bool {
        self.skip_next == 0
    }

    /// A wait that began asleep took so long.
    #[inline]
    pub fn slept(&mut self, ns: u64) {
        if ns < SHORT_SLEEP_NS {
            self.skip = self.skip.min(MAX_SKIPPED_SHORT);
        }
    }

    /// Looking ended so.
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
                let soon = now < self.crowded_until_ns + self.pause_ns;
                self.pause_ns = if soon { self.pause_ns * 2 } else { 0 };
                self.pause_ns = self.pause_ns.clamp(CROWDED_PAUSE_NS, MAX_CROWDED_PAUSE_NS);
                self.crowded_until_ns = now + self.pause_ns;
            }
        }
    }
}

/// Looks a few times.
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

/// Lets others run on this core.
#[inline]
pub fn let_others_run() {
    // SAFETY: sched_yield has no preconditions, and does not fail on Linux.
    unsafe { libc::sched_yield() };
}

/// Looks until there is a message, at most for `for_ns`, of which a turn counts for at most `turn_ns`.
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
        // How many of so many waits begin with looking that ends so.
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
        // Each time it pays halves the number.
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
        // How long nobody looks after one more look that ends in a crowd; short sleeps change nothing.
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
        // While others use the core nobody loses anything.
        let later = clock.get() + 10 * MAX_LOOK_NS;
        assert_eq!(
            look(MAX_LOOK_NS, TURN_NS, || tick(100_000), || clock.get() > later),
            Looked::Found
        );
        assert_eq!(look(MAX_LOOK_NS, TURN_NS, || tick(CROWDED_NS + 1), || false), Looked::Crowded);
    }
}
