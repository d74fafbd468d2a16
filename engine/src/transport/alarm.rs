//! The core's alarm clock: one timer of the kernel's, set to the earliest time that matters.

use crate::timer::Timer;
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// An alarm clock that is set to one point in time.
pub struct Alarm {
    timer: Timer,
    /// What it is set to, in ns of the monotonic clock.
    at: Cell<Option<u64>>,
}

impl Alarm {
    /// An alarm clock that is not set.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left for it.
    pub fn new() -> io::Result<Rc<Alarm>> {
        Ok(Rc::new(Alarm { timer: Timer::new()?, at: Cell::new(None) }))
    }

    /// Rings at this time, in ns of the monotonic clock, or earlier if it is set to an earlier one.
    #[inline]
    pub(crate) fn set(&self, at: u64) {
        if self.at.get().is_none_or(|set| at < set) {
            self.at.set(Some(at));
            // Setting fails only for values that are not a time.
            let _ = self.timer.set(at);
        }
    }

    /// Waits until it rings; then it is no longer set.
    ///
    /// # Errors
    ///
    /// When the runtime ends.
    pub(crate) async fn rung(&self) -> io::Result<()> {
        self.timer.rung().await?;
        self.at.set(None);
        Ok(())
    }
}
