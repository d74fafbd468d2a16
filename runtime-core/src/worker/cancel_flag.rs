//! A flag that tells a request of an event loop whether it is cancelled, and why.

use crate::protocol::CancelReason;
use std::sync::atomic::{AtomicU32, Ordering};

const NOT_CANCELLED: u32 = 0;
const DEADLINE: u32 = 1;
const CALLER: u32 = 2;

/// Whether a call is cancelled, and why. Any thread may read it.
#[derive(Debug, Default)]
pub(super) struct CancelFlag(AtomicU32);

impl CancelFlag {
    /// Notes that the call is cancelled.
    pub(super) fn set(&self, reason: CancelReason) {
        let value = match reason {
            CancelReason::Deadline => DEADLINE,
            CancelReason::Caller => CALLER,
        };
        self.0.store(value, Ordering::Relaxed);
    }

    /// The reason for which the call is cancelled; `None` if it is not.
    pub(super) fn reason(&self) -> Option<CancelReason> {
        match self.0.load(Ordering::Relaxed) {
            NOT_CANCELLED => None,
            DEADLINE => Some(CancelReason::Deadline),
            _ => Some(CancelReason::Caller),
        }
    }
}
