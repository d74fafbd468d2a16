//! How one side of a ring parks, and how the other side wakes it.
//!
//! A side that has to wait raises a flag in shared memory, then checks once more the position that
//! it waits for, and then parks. The other side changes the position, then checks the flag. If the
//! flag is raised, it lowers the flag and rings the bell: it writes one byte to the named pipe that
//! the parked side reads. Readers wait for messages in this way, and writers for room.
//!
//! Each side writes one word and then reads the other's. A full fence (`SeqCst`) must lie between
//! the two steps. Without it both sides could read the old value, and the parked side would sleep
//! for ever.
//!
//! The tests try every order of the two sides' steps with loom.

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The side does not wait, or its bell has been rung.
const AWAKE: u32 = 0;
/// The side waits, and its bell must be rung.
pub(super) const WAITING: u32 = 1;

/// A word in memory that both sides share. The model checker has a type of its own.
pub trait Word {
    /// Loads as an atomic does.
    fn load(&self, order: Ordering) -> u32;
    /// Stores as an atomic does.
    fn store(&self, value: u32, order: Ordering);
    /// Swaps as an atomic does.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// A `SeqCst` fence.
    fn fence();
}

impl Word for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }

    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// Changes `position`, which the other side may wait for. Returns whether its bell must be rung.
#[inline]
pub fn announce<W: Word>(position: &W, value: u32, waiting: &W) -> bool {
    position.store(value, Ordering::Release);
    W::fence();
    waiting.load(Ordering::Relaxed) != AWAKE && waiting.swap(AWAKE, Ordering::AcqRel) != AWAKE
}

/// Announces that this side waits until `position` is no longer `seen`. Returns whether it may
/// park, in which case its bell will be rung. If it may not park, the position has changed already.
#[inline]
pub fn begin_wait<W: Word>(waiting: &W, position: &W, seen: u32) -> bool {
    // This is a swap and not a store, so that it comes after the other side's last swap. Otherwise
    // the other side's next load might not see it.
    waiting.swap(WAITING, Ordering::AcqRel);
    W::fence();
    position.load(Ordering::Acquire) == seen
}

/// Ends the wait of this side. Returns whether its bell was rung, or will be in a moment.
#[inline]
pub fn end_wait<W: Word>(waiting: &W) -> bool {
    waiting.swap(AWAKE, Ordering::AcqRel) == AWAKE
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::atomic::AtomicU32 as Checked;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    impl Word for Checked {
        fn load(&self, order: Ordering) -> u32 {
            Checked::load(self, order)
        }

        fn store(&self, value: u32, order: Ordering) {
            Checked::store(self, value, order);
        }

        fn swap(&self, value: u32, order: Ordering) -> u32 {
            Checked::swap(self, value, order)
        }

        fn fence() {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }
    }

    /// Tries every order of steps with at most this many preemptions. More preemptions only take
    /// longer.
    fn check(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(6);
        builder.check(model);
    }

    /// A model of the pipe: the number of bytes in it, and a way to sleep until there is one.
    #[derive(Default)]
    struct ModelBell {
        rung: Mutex<u32>,
        heard: Condvar,
    }

    impl ModelBell {
        fn ring(&self) {
            *self.rung.lock().unwrap() += 1;
            self.heard.notify_one();
        }

        /// A blocking read of all bytes in the pipe.
        fn sleep(&self) {
            let mut rung = self.rung.lock().unwrap();
            while *rung == 0 {
                rung = self.heard.wait(rung).unwrap();
            }
            *rung = 0;
        }
    }

    struct ModelSide {
        position: Checked,
        waiting: Checked,
        bell: ModelBell,
    }

    impl ModelSide {
        fn new() -> ModelSide {
            ModelSide {
                position: Checked::new(0),
                waiting: Checked::new(AWAKE),
                bell: ModelBell::default(),
            }
        }

        fn advance(&self, to: u32) {
            if announce(&self.position, to, &self.waiting) {
                self.bell.ring();
            }
        }

        /// Waits until the position is at least `until`, and sleeps as long as it is not.
        fn wait_for(&self, until: u32) {
            loop {
                let seen = self.position.load(Ordering::Acquire);
                if seen >= until {
                    return;
                }
                if begin_wait(&self.waiting, &self.position, seen) {
                    self.bell.sleep();
                }
                end_wait(&self.waiting);
            }
        }
    }

    /// A side that another thread advances to 2.
    fn advanced_twice() -> (Arc<ModelSide>, thread::JoinHandle<()>) {
        let side = Arc::new(ModelSide::new());
        let writer = side.clone();
        let thread = thread::spawn(move || {
            writer.advance(1);
            writer.advance(2);
        });
        (side, thread)
    }

    /// loom ends with "deadlock" if there is an order in which the reader sleeps for ever.
    #[test]
    fn a_reader_that_sleeps_is_always_woken() {
        check(|| {
            let (side, thread) = advanced_twice();
            side.wait_for(2);
            thread.join().unwrap();
        });
    }

    /// A message and its answer: each side waits for the other.
    #[test]
    fn two_that_wait_for_each_other_both_go_on() {
        check(|| {
            let there = Arc::new(ModelSide::new());
            let back = Arc::new(ModelSide::new());
            let (other_there, other_back) = (there.clone(), back.clone());
            let thread = thread::spawn(move || {
                other_there.wait_for(1);
                other_back.advance(1);
            });
            there.advance(1);
            back.wait_for(1);
            thread.join().unwrap();
        });
    }

    /// For every wait that was begun there is at most one ring, so bells cannot pile up.
    #[test]
    fn nobody_is_rung_for_twice() {
        check(|| {
            let (side, thread) = advanced_twice();
            begin_wait(&side.waiting, &side.position, 0);
            thread.join().unwrap();
            assert!(*side.bell.rung.lock().unwrap() <= 1);
        });
    }
}
