//! Decides where a thread that makes direct calls parks between infrequent requests.
//!
//! The first direct call of such a request finds the callee parked. A wake costs about 2 µs on the
//! same core, and 20 to 150 µs on another core that has been halted for a while. So both threads
//! park on one core: the callee on the core from which it was called last (see [`super::lent`]),
//! and the caller on that core, too. Otherwise the engine's wake would place the caller on any
//! core.
//!
//! The thread is bound to that core only while it is parked. Threads that a handler starts inherit
//! the binding, so no handler runs while the thread is bound.

use crate::clock::now_ns;
use crate::ipc::place::Home;

/// A thread that parks at most once in this time, in ns, may be bound each time. Binding costs it
/// about 2 µs.
pub(super) const SELDOM_NS: u64 = 2_000_000;
/// The number of waits for answers, after a rest, in which the thread stays bound as well.
/// Otherwise the kernel would move it to a core that has just become idle, away from its callee.
const STAYS: u32 = 16;

/// Binds a thread to a core while it is parked.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The core on which the thread made its last direct call, if it has made one since it parked
    /// last.
    called_at: Option<u32>,
    /// When the thread last parked after a direct call, in ns.
    parked_at: u64,
    /// The number of waits for answers in which the thread still stays bound.
    stays: u32,
    home: Home,
}

impl Rest {
    /// Notes that the thread makes a direct call, on this core.
    #[inline]
    pub(super) fn calls(&mut self, core: u32) {
        self.called_at = Some(core);
    }

    /// Notes that the thread is about to park until the engine has something for it. The caller
    /// must call [`Rest::end`] afterwards.
    #[inline]
    pub(super) fn begin(&mut self) {
        let Some(core) = self.called_at.take() else { return };
        let now = now_ns();
        let is_seldom = now.saturating_sub(self.parked_at) >= SELDOM_NS;
        self.parked_at = now;
        self.stays = if is_seldom { STAYS } else { 0 };
        if is_seldom {
            self.home.bind(core);
        }
    }

    /// Notes that the thread, which runs on this core, is about to park until it has the answer to
    /// a direct call. The caller must call [`Rest::end`] afterwards.
    #[inline]
    pub(super) fn begin_wait(&mut self, core: u32) {
        if self.stays > 0 {
            self.stays -= 1;
            self.home.bind(core);
        }
    }

    /// Notes that the thread is no longer parked. It may run on all its cores again.
    #[inline]
    pub(super) fn end(&mut self) {
        self.home.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::ring::this_core;
    use nix::sched::{CpuSet, sched_getaffinity};
    use nix::unistd::Pid;

    fn affinity() -> CpuSet {
        sched_getaffinity(Pid::from_raw(0)).unwrap()
    }

    fn only(core: u32) -> CpuSet {
        let mut set = CpuSet::new();
        set.set(core as usize).unwrap();
        set
    }

    /// Runs the test in a thread of its own, whose affinity may change.
    fn in_a_thread(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_thread_that_called_parks_where_it_called_and_then_runs_everywhere() {
        in_a_thread(|| {
            let (all, here) = (affinity(), this_core());
            let mut rest = Rest::default();
            rest.begin();
            assert_eq!(affinity(), all, "it has called nobody");
            rest.end();
            rest.calls(here);
            rest.begin();
            assert_eq!(affinity(), only(here));
            rest.end();
            assert_eq!(affinity(), all);
        });
    }

    #[test]
    fn after_a_rest_it_stays_for_some_waits() {
        in_a_thread(|| {
            let (all, here) = (affinity(), this_core());
            let mut rest = Rest::default();
            rest.begin_wait(here);
            assert_eq!(affinity(), all, "it has not rested");
            rest.calls(here);
            rest.begin();
            rest.end();
            for _ in 0..STAYS {
                rest.begin_wait(here);
                assert_eq!(affinity(), only(here));
                rest.end();
                assert_eq!(affinity(), all);
            }
            rest.begin_wait(here);
            assert_eq!(affinity(), all);
        });
    }

    #[test]
    fn a_thread_that_parks_often_is_not_bound() {
        in_a_thread(|| {
            let (all, here) = (affinity(), this_core());
            let mut rest = Rest { parked_at: now_ns() + SELDOM_NS, ..Rest::default() };
            rest.calls(here);
            rest.begin();
            assert_eq!(affinity(), all);
            rest.begin_wait(here);
            assert_eq!(affinity(), all);
        });
    }
}
