//! A timer of the kernel, watched like a pipe.
//!
//! It expires within some microseconds of its time, while the runtime's own timers count in
//! milliseconds. As long as no timer of the runtime is set, the I/O thread also waits without a
//! timeout, which costs less on every call.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer. It takes one descriptor.
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
    /// When the process has no descriptor left for it.
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
    /// When the kernel rejects the time.
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
    /// When the runtime ends.
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
    /// The errors of [`Timer::set`] and [`Timer::rung`].
    pub async fn wait_until(&self, at: u64) -> io::Result<()> {
        self.set(at)?;
        self.rung().await
    }
}
