//! Durations of the configuration, in the scheduler's unit.

use std::time::Duration;

/// Converts a duration to ns. One that is too long becomes `u64::MAX`.
#[inline]
pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
