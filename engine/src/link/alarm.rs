//! The hub's alarm clock: a timer of the kernel's, watched like a pipe. While it is the only timer, the I/O thread waits
//! without a timeout, which costs less on every call than a timer of the runtime's.

use super::hub::HubHandle;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An alarm clock that is set to one point in time.
pub struct Alarm {
    timer: TimerFd,
    /// What it is set to; `u64::MAX` when it is not.
    at: Cell<u64>,
}

struct Watched(Rc<Alarm>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.timer.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// An alarm clock that is not set.
    pub fn new() -> io::Result<Rc<Alarm>> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Rc::new(Alarm { timer, at: Cell::new(u64::MAX) }))
    }

    /// Rings at this time, in ns of the monotonic clock, or earlier if it is set to an earlier one.
    pub(super) fn set(&self, at: u64) {
        if at < self.at.get() {
            self.at.set(at);
            let time = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
            // It fails for times that are no times only.
            let _ = self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME);
        }
    }
}

/// Looks after deadlines and limits for ever.
pub async fn keep_time(alarm: Rc<Alarm>, hub: HubHandle) {
    // SAFETY: `Watched` keeps the timer open for as long as it is registered, and always names the same one.
    let watched =
        unsafe { AsyncFd::register_with_interest(Watched(alarm.clone()), Interest::READABLE) };
    let Ok(watched) = watched else { return };
    loop {
        let Ok(mut ready) = watched.readable().await else { return };
        ready.clear_ready();
        // Whether it has rung is all that matters, and `advance` looks at the clock itself.
        let _ = alarm.timer.wait();
        alarm.at.set(u64::MAX);
        hub.borrow_mut().advance();
    }
}
