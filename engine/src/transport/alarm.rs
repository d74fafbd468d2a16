//! The core's alarm clock: one kernel timer, set to the earliest time at which the core must act.

use crate::timer::Timer;
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// An alarm clock that is set to one point in time.
pub struct Alarm {
    timer: Timer,
    /// The time it is set to, in ns of the monotonic clock.
    at: Cell<Option<u64>>,
}

impl Alarm {
    /// Creates an alarm clock that is not set.
    ///
    /// # Errors
    ///
    /// If the process has no file descriptor left.
    pub fn new() -> io::Result<Rc<Alarm>> {
        Ok(Rc::new(Alarm { timer: Timer::new()?, at: Cell::new(None) }))
    }

    /// Makes the alarm ring at this time, in ns of the monotonic clock. If it is already set to an
    /// earlier time, it keeps that one.
    #[inline]
    pub(crate) fn set(&self, at: u64) {
        if self.at.get().is_none_or(|set| at < set) {
            self.at.set(Some(at));
            // Setting a timer fails only for values that are not a time.
            let _ = self.timer.set(at);
        }
    }

    /// Waits until the alarm rings. It is no longer set then.
    ///
    /// # Errors
    ///
    /// If the runtime ends.
    pub(crate) async fn rung(&self) -> io::Result<()> {
        self.timer.rung().await?;
        self.at.set(None);
        Ok(())
    }
}
