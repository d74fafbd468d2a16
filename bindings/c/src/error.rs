//! Error objects: the reason why a call or an operation failed.

use crate::bytes::{present, reason, text};
use crate::facts::{NC_OK, status};
use crate::guard::{guard, guard_value, invalid, number};
use nightcore_runtime::protocol::{Cause, Failure, Status};
use std::borrow::Cow;
use std::ffi::{CString, c_char};

/// The reason why a call or an operation failed. Opaque. Any thread may use it. A function that has
/// a parameter `nc_error **error` gives an error to the program, which frees it by nc_error_free;
/// the parameter may be NULL.
pub struct nc_error {
    pub(crate) failure: Failure,
    function: CString,
    message: CString,
    causes: Box<[nc_error]>,
}

/// Converts a text for C, up to its first zero.
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

    /// Converts a failure to an error that the C program owns.
    pub(crate) fn give(failure: Failure) -> *mut nc_error {
        Box::into_raw(Box::new(nc_error::new(failure)))
    }
}

/// Creates an error for nc_pass_on. `function` names the function that failed; NULL or "" stands
/// for the program itself. `message` may be NULL; bytes in it that are not UTF-8 are replaced. The
/// library copies both texts. `*error` belongs to the program: free it by nc_error_free.
///
/// Returns NC_INVALID_ARGUMENT if no call can end with `status`, or `function` is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_new(
    status: i32,
    function: *const c_char,
    message: *const c_char,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes texts and a place for the error.
    guard(|| unsafe {
        present(error, "error")?;
        error.write(std::ptr::null_mut());
        let failure = Failure::new(ending(status)?, optional_reason(message)?);
        error.write(nc_error::give(Failure {
            function: optional(function, "function")?.into(),
            ..failure
        }));
        Ok(NC_OK)
    })
}

/// Adds a cause after the causes that `error` has already. The parameters are those of
/// nc_error_new. No other thread may use the error at the same time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_add_cause(
    error: *mut nc_error,
    status: i32,
    function: *const c_char,
    message: *const c_char,
) -> status {
    // SAFETY: the program passes an error that no other thread uses, and texts.
    guard(|| unsafe {
        let error = error.as_mut().ok_or_else(|| invalid("error is NULL"))?;
        let (function, message) = (optional(function, "function")?, optional_reason(message)?);
        let mut failure = error.failure.clone();
        let status = ending(status)?;
        failure.cause.push(Cause { function: function.into(), status, message: message.into() });
        *error = nc_error::new(failure);
        Ok(NC_OK)
    })
}

/// Returns the status with this number. A call must be able to end with it.
fn ending(number: i32) -> Result<Status, Failure> {
    let status = u32::try_from(number).ok().and_then(Status::failure_from_wire);
    status.ok_or_else(|| invalid(format!("no call ends with the status {number}")))
}

/// # Safety
/// `given` is NULL or ends with a zero byte.
unsafe fn optional<'a>(given: *const c_char, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: `given` ends with a zero byte, as it is not NULL.
    if given.is_null() { Ok("") } else { unsafe { text(given, what) } }
}

/// # Safety
/// As for [`optional`].
unsafe fn optional_reason<'a>(given: *const c_char) -> Result<Cow<'a, str>, Failure> {
    // SAFETY: `given` ends with a zero byte, as it is not NULL.
    if given.is_null() { Ok(Cow::default()) } else { unsafe { reason(given) } }
}

/// Returns the status. Returns NC_OK if `error` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_status(error: *const nc_error) -> status {
    // SAFETY: `error` is NULL or points to a live object.
    guard_value(0, || unsafe { error.as_ref() }.map_or(0, |error| number(&error.failure)))
}

/// Returns a human-readable description of the failure. The text is valid as long as the error. It
/// is empty if `error` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_message(error: *const nc_error) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: `error` is NULL or points to a live object.
        let error = unsafe { error.as_ref() };
        error.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// Returns the name of the function whose call failed. The text is valid as long as the error. It
/// is empty if the library itself reports the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_function(error: *const nc_error) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: `error` is NULL or points to a live object.
        let error = unsafe { error.as_ref() };
        error.map_or(c"".as_ptr(), |error| error.function.as_ptr())
    })
}

/// Returns the number of causes: the errors of called functions that led to this one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_cause_count(error: *const nc_error) -> usize {
    // SAFETY: `error` is NULL or points to a live object.
    guard_value(0, || unsafe { error.as_ref() }.map_or(0, |error| error.causes.len()))
}

/// Returns the cause at `index`, the nearest first. It has a function, a status and a message, and
/// no causes of its own. It is borrowed: valid as long as the error; do not free it. Returns NULL
/// if `index` is not below the number of causes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_cause_at(
    error: *const nc_error,
    index: usize,
) -> *const nc_error {
    guard_value(std::ptr::null(), || {
        // SAFETY: `error` is NULL or points to a live object.
        let cause = unsafe { error.as_ref() }.and_then(|error| error.causes.get(index));
        cause.map_or(std::ptr::null(), std::ptr::from_ref)
    })
}

/// Frees an error. Does nothing if `error` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_error_free(error: *mut nc_error) {
    guard_value((), || {
        if !error.is_null() {
            // SAFETY: `give` made the error, and the program gives up its ownership.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}
