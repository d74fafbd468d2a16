//! Parks and wakes threads at a word of shared memory, with the kernel's futexes.

use std::ptr::null;
use std::sync::atomic::AtomicU32;

/// Parks the calling thread while the word has this value, until it is woken, or until this time,
/// in ns of the monotonic clock. It may also return spuriously.
pub(super) fn wait(word: &AtomicU32, value: u32, until: Option<u64>) {
    let until = until.map(|ns| libc::timespec {
        tv_sec: (ns / 1_000_000_000) as _,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    });
    // For this operation the timeout is a time of the monotonic clock, not a duration.
    let operation = libc::FUTEX_WAIT_BITSET;
    // SAFETY: the word and the timespec live until the call returns. The kernel only reads them.
    // The possible errors are a changed word, a signal and a timeout, and the caller checks for all
    // of these anyway.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            value,
            until.as_ref().map_or(null(), |until| until as *const libc::timespec),
            null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
}

/// Wakes one thread that is parked at the word.
pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: the word is alive. The kernel uses it as a key and does not access it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
