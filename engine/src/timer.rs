//! A kernel timer (timerfd), whose descriptor tokio watches like that of a pipe.
//!
//! A kernel timer expires within a few microseconds of its time, while tokio's own timers have a
//! resolution of one millisecond. As long as no tokio timer is set, the I/O thread also waits
//! without a timeout, which makes every call cheaper.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer, which takes one file descriptor.
pub struct Timer(AsyncFd<Descriptor>);

struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// Creates a timer that is not set.
    ///
    /// # Errors
    ///
    /// Fails if the process has no descriptor left for the timer.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // SAFETY: the AsyncFd owns the timer, which is never replaced, so its descriptor stays open
        // as long as it is registered, and is always the same one.
        let watched =
            unsafe { AsyncFd::register_with_interest(Descriptor(timer), Interest::READABLE) };
        Ok(Timer(watched.map_err(io::Error::from)?))
    }

    /// Sets the timer to this time, in ns of the monotonic clock. If the time has passed, the timer
    /// expires at once.
    ///
    /// # Errors
    ///
    /// Fails if the kernel rejects the time.
    pub fn set(&self, at: u64) -> io::Result<()> {
        let time = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
        Ok(self
            .0
            .get_ref()
            .0
            .set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Waits until the timer expires. Only the last task that waits is woken.
    ///
    /// # Errors
    ///
    /// Fails if the tokio runtime shuts down.
    pub async fn rung(&self) -> io::Result<()> {
        loop {
            poll_fn(|context| self.0.poll_read_ready(context)).await?.clear_ready();
            match self.0.get_ref().0.wait() {
                Err(nix::errno::Errno::EAGAIN) => {}
                rung => return Ok(rung?),
            }
        }
    }

    /// Waits until this time, in ns of the monotonic clock.
    ///
    /// # Errors
    ///
    /// Fails if [`Timer::set`] or [`Timer::rung`] fails.
    pub async fn wait_until(&self, at: u64) -> io::Result<()> {
        self.set(at)?;
        self.rung().await
    }
}
