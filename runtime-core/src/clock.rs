//! The one clock of the protocol: `CLOCK_MONOTONIC`, which every process of a machine shares.

/// Nanoseconds of `CLOCK_MONOTONIC`; never 0, which means "no time" in messages.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec, and CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64).max(1)
}
