//! The timer of an event loop, which wakes the loop at the earliest deadline of its direct calls.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The epoll data of the timer.
pub(super) const TIMER: u64 = 4;

/// Wakes the loop at a set time, or at once. Any thread may set it.
#[derive(Debug)]
pub(super) struct LoopTimer {
    fd: TimerFd,
    /// When it wakes the loop, in ns of the monotonic clock.
    at: Mutex<Option<u64>>,
}

impl LoopTimer {
    pub(super) fn new() -> io::Result<LoopTimer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(LoopTimer { fd, at: Mutex::new(None) })
    }

    fn at(&self) -> MutexGuard<'_, Option<u64>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the timer wake the loop at this time, in ns of the monotonic clock, or earlier if it
    /// is already set to an earlier time.
    #[inline]
    pub(super) fn wake_by(&self, time: u64) {
        let mut at = self.at();
        if at.is_some_and(|at| at <= time) {
            return;
        }
        *at = Some(time);
        // The time 0 would turn the timer off.
        let spec = TimeSpec::from_duration(Duration::from_nanos(time.max(1)));
        // This fails only for invalid arguments.
        let _ = self.fd.set(Expiration::OneShot(spec), TimerSetTimeFlags::TFD_TIMER_ABSTIME);
    }

    /// Wakes the loop at once.
    pub(super) fn wake_now(&self) {
        self.wake_by(0);
    }

    /// To be called after the timer may have woken the loop. Returns whether its time has come. If
    /// so, it must be set again.
    pub(super) fn take(&self) -> bool {
        let mut at = self.at();
        // There is nothing to read if it was set to a later time meanwhile.
        let has_fired = self.fd.wait().is_ok();
        if has_fired {
            *at = None;
        }
        has_fired
    }
}

impl AsFd for LoopTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now_ns;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn fires_within(timer: &LoopTimer, timeout: PollTimeout) -> bool {
        poll(&mut [PollFd::new(timer.as_fd(), PollFlags::POLLIN)], timeout) == Ok(1)
    }

    #[test]
    fn it_fires_at_the_earliest_time_and_once() {
        let (timer, hour) = (LoopTimer::new().unwrap(), 3_600_000_000_000);
        timer.wake_by(now_ns() + hour);
        assert!(!fires_within(&timer, PollTimeout::ZERO) && !timer.take());
        let soon = now_ns() + 1_000_000;
        timer.wake_by(soon);
        timer.wake_by(now_ns() + hour);
        assert!(fires_within(&timer, PollTimeout::NONE));
        assert!(now_ns() >= soon && timer.take() && !timer.take());
        timer.wake_by(now_ns() + hour);
        timer.wake_now();
        assert!(fires_within(&timer, PollTimeout::NONE) && timer.take());
    }
}
