//! Asks the kernel to run a thread soon after it is woken or has yielded.
//!
//! A call is a few microseconds of work between two waits. With a short time slice (Linux 6.12 and
//! later) the kernel's scheduler runs a woken worker before the thread that woke it goes on. The
//! worker's share of CPU time does not change. A thread that yields lets others run for the length
//! of its slice. The measurements are in `docs/decisions/`.

use std::cell::Cell;
use std::mem::size_of;

/// The shortest slice that the kernel accepts, in ns. A call that computes for longer goes on in
/// the next slice.
pub const SHORTEST_SLICE_NS: u64 = 100_000;
/// The slice of a worker that spins on a ring, in ns: twice the engine's slice. The engine has two
/// turns in a call and each worker has one. So no thread gets a turn when it has nothing to do yet.
pub const WORKER_SLICE_NS: u64 = 2 * SHORTEST_SLICE_NS;
/// Threads and processes that a handler starts get the usual slice.
const RESET_ON_FORK: u64 = 1;

/// `struct sched_attr` in its first version.
#[derive(Default)]
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for a slice of this length for the calling thread. Nothing depends on the answer: older
/// kernels ignore the request, and sandboxes may refuse it.
pub fn ask_for_short_slice(slice_ns: u64) {
    let size = size_of::<SchedAttr>() as u32;
    let mut attr = SchedAttr { size, ..SchedAttr::default() };
    // SAFETY: the kernel reads and writes at most `size` bytes at `attr`, which is exactly that
    // long.
    unsafe {
        let got = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0);
        // A policy that was set explicitly for this thread is kept.
        if got == 0 && attr.policy == libc::SCHED_OTHER as u32 {
            attr.runtime = slice_ns;
            attr.flags |= RESET_ON_FORK;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0);
        }
    }
}

/// Asks for a short slice, once for each thread. This is for threads of the host program, when they
/// first need it.
#[inline]
pub fn ask_once_for_short_slice(slice_ns: u64) {
    thread_local! {
        static HAS_ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if !HAS_ASKED.replace(true) {
        ask_for_short_slice(slice_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_policy_and_niceness() {
        std::thread::spawn(|| {
            let of_thread = || {
                let mut attr =
                    SchedAttr { size: size_of::<SchedAttr>() as u32, ..SchedAttr::default() };
                // SAFETY: as above.
                let got = unsafe {
                    libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, attr.size, 0)
                };
                assert_eq!(got, 0);
                attr
            };
            let before = of_thread();
            ask_for_short_slice(SHORTEST_SLICE_NS);
            let after = of_thread();
            assert_eq!((before.policy, before.nice), (after.policy, after.nice));
        })
        .join()
        .unwrap();
    }
}
