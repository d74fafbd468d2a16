//! Which slice of the processor a worker's thread asks for: a short one, by which it runs soon after it is woken, or the usual one
//! when its handler computes for long. So whoever has little to do need not wait for those who have much: the kernel lets a
//! woken thread run at once where one with a longer slice runs (Linux 6.12 and later).

use crate::ipc::slice::ask_for_slice;
use std::time::Duration;

/// A handler that computes for so long is not what short slices are for: its calls take longer than a few turns of the others.
const LONG_NS: u64 = 1_000_000;
/// The slice of those: about what the kernel gives on most machines.
const LONG_SLICE_NS: u64 = 3_000_000;
/// After so many short calls in a row a worker is quick again. One in a while that is long then costs few changes.
const QUICK_CALLS: u32 = 16;

/// What a thread asked for, and what its last calls took.
#[derive(Debug)]
pub(super) struct Pace {
    quick_slice_ns: u64,
    has_long_slice: bool,
    short_calls: u32,
    /// The last call took long. Whether it computed the next one tells: to ask for the processor's time costs a system call.
    cpu_is_watched: bool,
}

/// A call that has begun.
pub(super) struct Begun {
    at_ns: u64,
    /// The thread's time on a processor, if it is watched.
    cpu_ns: Option<u64>,
}

impl Pace {
    /// Of the calling thread, which asks for this slice while its calls are short.
    pub(super) fn new(quick_slice_ns: u64) -> Pace {
        ask_for_slice(quick_slice_ns);
        Pace { quick_slice_ns, has_long_slice: false, short_calls: 0, cpu_is_watched: false }
    }

    /// A call begins.
    pub(super) fn begin(&self, now_ns: u64) -> Begun {
        Begun { at_ns: now_ns, cpu_ns: self.cpu_is_watched.then(cpu_ns) }
    }

    /// It has ended.
    pub(super) fn ended(&mut self, begun: Begun, now_ns: u64) {
        if now_ns.saturating_sub(begun.at_ns) < LONG_NS {
            self.cpu_is_watched = false;
            if self.has_long_slice {
                self.short_calls += 1;
                if self.short_calls == QUICK_CALLS {
                    self.has_long_slice = false;
                    ask_for_slice(self.quick_slice_ns);
                }
            }
            return;
        }
        self.cpu_is_watched = true;
        // It may have slept, or waited for another function.
        if begun.cpu_ns.is_none_or(|before| cpu_ns().saturating_sub(before) < LONG_NS) {
            return;
        }
        self.short_calls = 0;
        if !std::mem::replace(&mut self.has_long_slice, true) {
            ask_for_slice(LONG_SLICE_NS);
        }
    }
}

/// The time this thread has had a processor, ns.
fn cpu_ns() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::slice::SHORTEST_SLICE_NS;

    fn compute_for(ns: u64) {
        let end = cpu_ns() + ns;
        while cpu_ns() < end {}
    }

    #[test]
    fn who_computes_gets_a_long_slice_and_who_is_quick_again_a_short_one() {
        std::thread::spawn(|| {
            let mut pace = Pace::new(SHORTEST_SLICE_NS);
            let begun = pace.begin(0);
            pace.ended(begun, 30 * LONG_NS);
            assert!(!pace.has_long_slice, "what the first long call did is not known");
            let begun = pace.begin(0);
            pace.ended(begun, 30 * LONG_NS);
            assert!(!pace.has_long_slice, "it did not compute");
            let begun = pace.begin(0);
            compute_for(LONG_NS);
            pace.ended(begun, LONG_NS);
            assert!(pace.has_long_slice);
            for _ in 0..QUICK_CALLS {
                assert!(pace.has_long_slice, "a few short calls say little");
                let begun = pace.begin(0);
                assert!(begun.cpu_ns.is_none() || pace.short_calls == 0, "short calls cost no system call");
                pace.ended(begun, LONG_NS - 1);
            }
            assert!(!pace.has_long_slice);
        })
        .join()
        .unwrap();
    }
}
