//! From when on τ is known.

use super::average::FORGET_NS;

/// Until this many calls have ended in the last [`KNOWN_WITHIN_NS`] τ is unknown: from fewer the
/// average of the service times is off by more than a quarter.
pub(super) const ENDS_KNOWN: usize = 16;
pub(super) const KNOWN_WITHIN_NS: u64 = FORGET_NS;
