//! The guard around the body of a C function that returns an error object.

use crate::error::nc_error;
use crate::guard::{number, run};
use nightcore_runtime::protocol::Failure;

/// Runs the body of a function that returns a status and, if its caller wants one, an error.
///
/// # Safety
/// `error` is NULL or may be written to.
pub(crate) unsafe fn guard_with_error(
    error: *mut *mut nc_error,
    body: impl FnOnce() -> Result<i32, Failure>,
) -> i32 {
    let (status, made) = match run(body) {
        Ok(status) => (status, std::ptr::null_mut()),
        Err(failure) if error.is_null() => (number(&failure), std::ptr::null_mut()),
        Err(failure) => (number(&failure), nc_error::give(failure)),
    };
    if !error.is_null() {
        // SAFETY: not NULL, so it may be written to.
        unsafe { error.write(made) };
    }
    status
}
