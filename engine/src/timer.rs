//! A timer of the kernel's, watched like a pipe.
//!
//! It rings within some microseconds, where the runtime's own timers count in milliseconds. And
//! while none of the runtime's is set, the I/O thread waits without a timeout, which costs less on
//! every call.

use crate::watched::Watched;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::Interest;

/// One timer.
pub struct Timer {
    timer: TimerFd,
    /// A duplicate of its descriptor.
    watched: Watched,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left for it.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let watched = Watched::new(timer.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Timer { timer, watched })
    }

    /// Sets it to this time, in ns of the monotonic clock; a time that has passed rings at once.
    ///
    /// # Errors
    ///
    /// When the kernel does not take it for a time.
    pub fn set(&self, at: u64) -> io::Result<()> {
        let time = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
        Ok(self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Waits until it rings. Only the last task that waits is woken.
    ///
    /// # Errors
    ///
    /// When the runtime ends.
    pub async fn rung(&self) -> io::Result<()> {
        loop {
            let mut ready = self.watched.readable().await?;
            ready.clear_ready();
            match self.timer.wait() {
                Err(nix::errno::Errno::EAGAIN) => {}
                rung => return Ok(rung?),
            }
        }
    }

    /// Waits until this time, in ns of the monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`Timer::set`] and [`Timer::rung`].
    pub async fn wait_until(&self, at: u64) -> io::Result<()> {
        self.set(at)?;
        self.rung().await
    }
}
