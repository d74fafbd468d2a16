//! The cancellation of requests.

use crate::status::Status;
use nightcore_runtime::protocol;
use nightcore_runtime::worker::Watch;

/// Why nobody waits for the reply to a request any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// The deadline of the call has passed.
    Deadline,
    /// The caller has left, has cancelled the call, or was cancelled itself.
    Caller,
}

impl CancelReason {
    pub(crate) fn of(reason: protocol::CancelReason) -> CancelReason {
        match reason {
            protocol::CancelReason::Deadline => CancelReason::Deadline,
            protocol::CancelReason::Caller => CancelReason::Caller,
        }
    }

    pub(crate) fn to_protocol(self) -> protocol::CancelReason {
        match self {
            CancelReason::Deadline => protocol::CancelReason::Deadline,
            CancelReason::Caller => protocol::CancelReason::Caller,
        }
    }

    /// Returns the status with which the call ends: `DEADLINE_EXCEEDED` or `CANCELLED`.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            CancelReason::Deadline => Status::DeadlineExceeded,
            CancelReason::Caller => Status::Cancelled,
        }
    }
}

/// The registration of a function by [`crate::Request::on_cancel`].
///
/// Dropping it unregisters the function. If the function is running on another thread just then,
/// the drop waits for its end.
#[derive(Debug)]
#[must_use = "dropping it unregisters the function"]
pub struct CancelGuard(#[allow(dead_code, reason = "only its drop matters")] Option<Watch>);

impl CancelGuard {
    pub(crate) fn new(watch: Option<Watch>) -> CancelGuard {
        CancelGuard(watch)
    }
}
