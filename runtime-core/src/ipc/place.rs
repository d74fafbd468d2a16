//! The core that a spinning worker runs on.
//!
//! A worker that spins on the engine's core takes turns with the engine; on another core it works
//! at the same time. For the kernel both threads are busy, so it leaves them where they are. A
//! worker that finds itself on the engine's core again and again therefore moves to another core by
//! itself. The kernel may move it back, as it may move any thread.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The number of spins in a row on the engine's core after which a worker moves. They take some
/// milliseconds of calls.
const STAYS: u32 = 256;
/// The least time between two moves, in ns. A move costs about 20 µs, and the kernel may undo it at
/// once. Until the next move, each call takes five times as long.
const PAUSE_NS: u64 = 4_000_000;

/// Moves one worker away from the engine's core.
#[derive(Debug, Default)]
pub struct Place {
    beside_engine: u32,
    not_before_ns: u64,
}

impl Place {
    /// Takes note of a spin on core `here`, with the engine last seen on core `engine`.
    #[inline]
    pub fn note_spin(&mut self, here: u32, engine: u32, now_ns: impl Fn() -> u64) {
        if self.is_to_leave(here, engine, now_ns) {
            leave(here);
        }
    }

    /// Does the same as [`Place::note_spin`], but returns whether the thread is to [`leave`]
    /// instead of moving it.
    #[inline]
    pub fn is_to_leave(&mut self, here: u32, engine: u32, now_ns: impl Fn() -> u64) -> bool {
        if here != engine {
            self.beside_engine = 0;
            return false;
        }
        self.beside_engine += 1;
        if self.beside_engine < STAYS {
            return false;
        }
        self.beside_engine = 0;
        let now = now_ns();
        let may_move = now >= self.not_before_ns;
        if may_move {
            self.not_before_ns = now + PAUSE_NS;
        }
        may_move
    }
}

/// Moves the calling thread to another core that it may run on, if there is one. Its affinity stays
/// the same.
pub fn leave(core: u32) {
    let core = core as usize;
    let this = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this) else { return };
    let mut others = allowed;
    let is_set = |set: &CpuSet| (0..CpuSet::count()).any(|cpu| set.is_set(cpu).unwrap_or(false));
    if others.unset(core).is_err() || !is_set(&others) {
        return;
    }
    // This fails only if the cores were taken away meanwhile.
    if sched_setaffinity(this, &others).is_ok() {
        let _ = sched_setaffinity(this, &allowed);
    }
}

/// Binds the calling thread to one core, and releases it again.
#[derive(Debug, Default)]
pub struct Home {
    /// All cores on which the thread may run.
    allowed: Option<CpuSet>,
    core: Option<u32>,
}

impl Home {
    /// The core to which the thread is bound.
    #[inline]
    pub fn core(&self) -> Option<u32> {
        self.core
    }

    /// Binds the thread to this core. Nothing happens if it may not run there.
    pub fn bind(&mut self, core: u32) {
        let this = Pid::from_raw(0);
        let allowed = match self.allowed.filter(|_| self.core.is_some()) {
            Some(allowed) => allowed,
            None => {
                let Ok(allowed) = sched_getaffinity(this) else { return };
                *self.allowed.insert(allowed)
            }
        };
        let mut only = CpuSet::new();
        if allowed.is_set(core as usize).unwrap_or(false)
            && only.set(core as usize).is_ok()
            && sched_setaffinity(this, &only).is_ok()
        {
            self.core = Some(core);
        }
    }

    /// Lets the thread run on all its cores again.
    pub fn leave(&mut self) {
        if self.core.take().is_some()
            && let Some(allowed) = &self.allowed
        {
            // This fails only if the cores were taken away meanwhile.
            let _ = sched_setaffinity(Pid::from_raw(0), allowed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spins 256 times on core `here`, at this time, with the engine on core 0. Returns how often
    /// the thread is to leave.
    fn spins(place: &mut Place, here: u32, now_ns: u64) -> usize {
        (0..STAYS).filter(|_| place.is_to_leave(here, 0, || now_ns)).count()
    }

    #[test]
    fn a_thread_that_was_moved_back_leaves_again_a_few_ms_later() {
        const MS: u64 = 1_000_000;
        let mut place = Place::default();
        assert_eq!(spins(&mut place, 0, MS), 1);
        assert_eq!(spins(&mut place, 0, 2 * MS), 0, "it does not move all the time");
        assert_eq!(spins(&mut place, 0, 6 * MS), 1);
        assert_eq!(spins(&mut place, 1, 20 * MS), 0, "it is on another core");
    }

    #[test]
    fn a_thread_that_was_bound_runs_everywhere_again() {
        std::thread::spawn(|| {
            let affinity = || sched_getaffinity(Pid::from_raw(0)).unwrap();
            let count =
                |set: &CpuSet| (0..CpuSet::count()).filter(|c| set.is_set(*c).unwrap()).count();
            let before = affinity();
            let core = (0..CpuSet::count()).find(|core| before.is_set(*core).unwrap()).unwrap();
            let mut home = Home::default();
            home.bind(CpuSet::count() as u32);
            assert_eq!((home.core(), affinity()), (None, before));
            home.bind(core as u32);
            assert_eq!((home.core(), count(&affinity())), (Some(core as u32), 1));
            home.leave();
            assert_eq!((home.core(), affinity()), (None, before));
        })
        .join()
        .unwrap();
    }
}
