//! The failure of calls after the engine has gone.

use crate::protocol::{Failure, Status};

/// The failure of a call whose engine has gone.
pub(super) fn engine_gone() -> Failure {
    Failure::new(Status::Unavailable, "the engine has gone")
}
