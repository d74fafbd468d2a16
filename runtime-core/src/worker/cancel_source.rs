//! Where the thread that watches for cancelled calls finds out whether one is.

use crate::clock::now_ns;
use crate::ipc::direct::{DirectFile, DirectState};
use crate::ipc::region::Region;
use crate::protocol::{CallNumber, CancelReason, CancelWord};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The place that shows whether a call of a thread is cancelled.
#[derive(Clone, Debug)]
pub(super) enum CancelSource {
    /// The cancel word of the thread's slot, in this region, and a message that may have come.
    Word { base: Arc<Region>, slot: u32, call: CallNumber, told: Option<CancelReason> },
    /// The words of a direct channel, and the deadline, in ns of the monotonic clock.
    Direct { file: DirectFile, deadline: u64 },
}

impl CancelSource {
    /// The reason for which the call is cancelled; `None` if it is not.
    pub(super) fn reason(&self) -> Option<CancelReason> {
        match self {
            CancelSource::Word { base, slot, call, told } => told.or_else(|| {
                CancelWord::reason_for(base.cancel_word(*slot).load(Ordering::Relaxed), *call)
            }),
            CancelSource::Direct { file, deadline } => direct_reason(file, *deadline),
        }
    }

    /// Notes that a message cancelled the call.
    pub(super) fn tell(&mut self, reason: CancelReason) {
        if let CancelSource::Word { told, .. } = self {
            *told = Some(reason);
        }
    }
}

/// The reason for which a direct call is cancelled; `None` if it is not.
#[inline]
pub(super) fn direct_reason(file: &DirectFile, deadline: u64) -> Option<CancelReason> {
    match file.state() {
        DirectState::Abandoned(reason) | DirectState::Left(reason) => Some(reason),
        // The caller itself may be late to abandon the call at its deadline.
        _ => (now_ns() >= deadline).then_some(CancelReason::Deadline),
    }
}
