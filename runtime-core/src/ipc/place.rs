//! The core that a spinning worker runs on.
//!
//! A worker that spins on the engine's core takes turns with the engine; on another core it works
//! at the same time. The kernel takes both threads for busy and leaves them where they are. So a
//! worker that finds itself on the engine's core again and again moves to another core by itself.
//! The kernel may move it back, as it may move any thread.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The number of spins in a row on the engine's core after which a worker moves: some milliseconds
/// of calls.
const STAYS: u32 = 256;
/// The least time between two moves, in ns. A move costs about 20 µs.
const PAUSE_NS: u64 = 100_000_000;

/// Moves one worker away from the engine's core.
#[derive(Debug, Default)]
pub struct Place {
    beside_engine: u32,
    not_before_ns: u64,
}

impl Place {
    /// Takes note of a spin on core `here`, with the engine last seen on core `engine`.
    #[inline]
    pub fn looks(&mut self, here: u32, engine: u32, now_ns: impl Fn() -> u64) {
        if here != engine {
            self.beside_engine = 0;
            return;
        }
        self.beside_engine += 1;
        if self.beside_engine >= STAYS {
            self.beside_engine = 0;
            let now = now_ns();
            if now >= self.not_before_ns {
                self.not_before_ns = now + PAUSE_NS;
                leave(here as usize);
            }
        }
    }
}

/// Moves the calling thread to another core that it may run on, if there is one. Its affinity stays
/// as it was.
fn leave(core: usize) {
    let this = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this) else { return };
    let mut others = allowed;
    let is_set = |set: &CpuSet| (0..CpuSet::count()).any(|cpu| set.is_set(cpu).unwrap_or(false));
    if others.unset(core).is_err() || !is_set(&others) {
        return;
    }
    // It fails only where the cores were taken away meanwhile.
    if sched_setaffinity(this, &others).is_ok() {
        let _ = sched_setaffinity(this, &allowed);
    }
}
