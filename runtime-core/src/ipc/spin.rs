//! Spinning for a message before parking, where that pays.
//!
//! Waking a thread on another core that is halted costs about 22 µs, and waking one on the same
//! core about 2 µs. A thread that spins sees a message within 0.1 µs, but keeps its core from other
//! threads. So a receiver spins only if three things hold: the sender runs on another core, the
//! messages it waited for lately came soon, and no other thread of the process has work. It spins
//! for as long as a wake costs, so that it never costs more than twice the best choice (Karlin,
//! Manasse, McGeoch and Owicki, "Competitive randomized algorithms for nonuniform problems",
//! Algorithmica 1994). It never yields: which thread runs after a yield, and for how long, depends
//! on what else is runnable.

use crate::clock::now_ns;
use std::hint::spin_loop;

/// The longest spin, in ns: the cost of a wake on another core, including the switch to the thread.
pub const MAX_SPIN_NS: u64 = 25_000;
/// The number of checks between two readings of the clock. Reading the clock costs more than a
/// check.
const CHECKS: u32 = 16;
/// The highest certainty of a prediction. A message that comes soon adds one to it, any other
/// message takes one away.
const MOST_SURE: u32 = 4;
/// The certainty from which on a receiver spins. It is below the highest one, so that a single
/// pause between two bursts of messages does not end the spinning.
const SURE: u32 = 2;

/// Predicts whether the next message comes within [`MAX_SPIN_NS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Prediction {
    sure: u32,
}

impl Prediction {
    /// Takes note of how long it took, in ns, until a message was sent.
    #[inline]
    pub fn learn(&mut self, ns: u64) {
        self.sure = match ns <= MAX_SPIN_NS {
            true => (self.sure + 1).min(MOST_SURE),
            false => self.sure.saturating_sub(1),
        };
    }

    /// Whether the next message is expected soon.
    #[inline]
    pub fn is_soon(&self) -> bool {
        self.sure >= SURE
    }
}

/// Checks a few times. This takes about as long as reading the clock once or twice.
#[inline]
fn spin_briefly(found: impl Fn() -> bool) -> bool {
    for _ in 0..CHECKS {
        if found() {
            return true;
        }
        spin_loop();
    }
    false
}

/// Spins until `found`, for at most [`MAX_SPIN_NS`]. Returns whether it was found.
pub fn spin(found: impl Fn() -> bool) -> bool {
    let began = now_ns();
    loop {
        if spin_briefly(&found) {
            return true;
        }
        // A thread that did not run for a while finds its time over, and parks.
        if now_ns().saturating_sub(began) > MAX_SPIN_NS {
            return found();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_with_pauses_are_expected_and_rare_messages_are_not() {
        let mut prediction = Prediction::default();
        assert!(!prediction.is_soon());
        for _ in 0..3 {
            (0..9).for_each(|_| prediction.learn(1_000));
            assert!(prediction.is_soon());
            prediction.learn(250_000_000);
            assert!(prediction.is_soon());
        }
        (0..3).for_each(|_| prediction.learn(MAX_SPIN_NS + 1));
        assert!(!prediction.is_soon());
    }
}
