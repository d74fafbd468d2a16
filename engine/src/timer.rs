//! A timer of the kernel's, watched like a pipe. It rings within some microseconds, where the runtime's own counts in
//! milliseconds; and while none of the runtime's is set, the I/O thread waits without a timeout, which costs less on every call.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One timer.
pub struct Timer(AsyncFd<Watched>);

struct Watched(TimerFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = Watched(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        // SAFETY: `Watched` owns the timer, keeps it open for as long as it is registered, and always names the same one.
        let watched = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        Ok(Timer(watched.map_err(io::Error::from)?))
    }

    /// Waits until this time, in ns of the monotonic clock.
    pub async fn wait_until(&self, at: u64) -> io::Result<()> {
        let timer = &self.0.get_ref().0;
        let time = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
        timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        loop {
            let mut ready = self.0.readable().await?;
            ready.clear_ready();
            match timer.wait() {
                Err(nix::errno::Errno::EAGAIN) => {}
                rung => return Ok(rung?),
            }
        }
    }
}
