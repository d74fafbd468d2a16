//! The guard around the body of every C function. It keeps panics out of C, and turns failures into
//! statuses.

use crate::facts::NC_OK;
use nightcore_runtime::protocol::{Failure, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of a function that returns a status.
pub(crate) fn guard(body: impl FnOnce() -> Result<i32, Failure>) -> i32 {
    run(body).unwrap_or_else(|failure| number(&failure))
}

/// Runs the body of a function that returns a value. Returns `otherwise` if the body panics.
pub(crate) fn guard_value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Runs the body of a function. A panic becomes a failure.
pub(crate) fn run(body: impl FnOnce() -> Result<i32, Failure>) -> Result<i32, Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        Err(Failure::new(Status::Internal, "a fault in libnightcore; see standard error"))
    })
}

/// Returns the status of a failure, which is never NC_OK.
pub(crate) fn number(failure: &Failure) -> i32 {
    match failure.status.number() as i32 {
        NC_OK => Status::Internal.number() as i32,
        number => number,
    }
}

/// Returns the failure of a function whose argument is not valid.
pub(crate) fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(Status::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::NC_INTERNAL;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(guard(|| panic!("on purpose")), NC_INTERNAL);
        assert_eq!(guard_value(7, || panic!("on purpose")), 7);
    }
}
