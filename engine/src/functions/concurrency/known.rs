//! When τ counts as known.

use super::average::FORGET_NS;

/// τ is unknown until this many calls have ended in the last [`KNOWN_WITHIN_NS`]. With fewer ends,
/// the error of the average service time is more than a quarter.
pub(super) const ENDS_KNOWN: usize = 16;
pub(super) const KNOWN_WITHIN_NS: u64 = FORGET_NS;
