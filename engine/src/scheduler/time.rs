//! Durations of the configuration in the unit of the scheduler.

use std::time::Duration;

/// A duration in ns; the longest there is if it is longer.
#[inline]
pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
