//! Why a call or an operation failed.

use crate::guard::{guard_value, number};
use nightcore_runtime::protocol::Failure;
use std::ffi::{CString, c_char};

/// Why a call or an operation failed. Opaque; given by functions that take an `nc_error **`, which may be
/// NULL. Belongs to who was given it, until nc_error_free; may be used from any thread.
pub struct nc_error {
    pub(crate) failure: Failure,
    function: CString,
    message: CString,
    causes: Box<[nc_error]>,
}

/// The text up to its first zero, for C.
fn c_text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

impl nc_error {
    fn new(failure: Failure) -> nc_error {
        let causes = failure.cause.iter().map(|cause| {
            let failure = Failure::new(cause.status, cause.message.clone());
            nc_error::new(Failure { function: cause.function.clone(), ..failure })
        });
        nc_error {
            function: c_text(&failure.function),
            message: c_text(&failure.message),
            causes: causes.collect(),
            failure,
        }
    }

    /// Gives an error to C.
    pub(crate) fn give(failure: Failure) -> *mut nc_error {
        Box::into_raw(Box::new(nc_error::new(failure)))
    }
}

/// The status. NC_OK for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_status(error: *const nc_error) -> i32 {
    // SAFETY: NULL or an error, as the header asks for.
    guard_value(0, || unsafe { error.as_ref() }.map_or(0, |error| number(&error.failure)))
}

/// What happened, for a person. Valid as long as the error; empty for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_message(error: *const nc_error) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: NULL or an error, as the header asks for.
        let error = unsafe { error.as_ref() };
        error.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// The name of the function whose call failed; empty if the error is the library's own. Valid as long as
/// the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_function(error: *const nc_error) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: NULL or an error, as the header asks for.
        let error = unsafe { error.as_ref() };
        error.map_or(c"".as_ptr(), |error| error.function.as_ptr())
    })
}

/// How many errors of functions beneath led to this one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_cause_count(error: *const nc_error) -> usize {
    // SAFETY: NULL or an error, as the header asks for.
    guard_value(0, || unsafe { error.as_ref() }.map_or(0, |error| error.causes.len()))
}

/// The cause at `index`, the nearest first; it has a function, a status and a message, and no causes of its
/// own. Borrowed: valid as long as the error, and not to be freed. NULL if there are not as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_cause_at(error: *const nc_error, index: usize) -> *const nc_error {
    guard_value(std::ptr::null(), || {
        // SAFETY: NULL or an error, as the header asks for.
        let cause = unsafe { error.as_ref() }.and_then(|error| error.causes.get(index));
        cause.map_or(std::ptr::null(), std::ptr::from_ref)
    })
}

/// Frees an error; takes NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_free(error: *mut nc_error) {
    guard_value((), || {
        if !error.is_null() {
            // SAFETY: an error of the caller's own, as the header asks for, which `give` has made.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}
