//! The answer to an internal call.

use crate::bytes::{nc_bytes, present, text};
use crate::error::nc_error;
use crate::facts::{NC_NOT_FOUND, NC_OK, status};
use crate::given::Given;
use crate::guard::{guard, guard_value, invalid};
use crate::guard_error::guard_with_error;
use crate::http_status;
use crate::metadata::{Pairs, nc_pair};
use crate::request::nc_request;
use nightcore_runtime::protocol::Failure;
use std::ffi::c_char;

/// The answer to a call. Opaque. The program owns it until nc_answer_free, also after the request
/// has ended. Any thread may use it. Its body and metadata are valid as long as the answer.
pub struct nc_answer {
    answer: Given,
    pairs: Pairs,
}

impl nc_answer {
    /// Converts an answer to an object that the C program owns.
    pub(crate) fn give(answer: impl Into<Given>) -> *mut nc_answer {
        Box::into_raw(Box::new(nc_answer { answer: answer.into(), pairs: Pairs::default() }))
    }

    /// # Safety
    /// `answer` is NULL, or `give` made it and nobody has freed it.
    unsafe fn borrow<'a>(answer: *const nc_answer) -> Result<&'a nc_answer, Failure> {
        // SAFETY: `answer` is NULL, or `give` made it and nobody has freed it.
        unsafe { answer.as_ref() }.ok_or_else(|| invalid("answer is NULL"))
    }

    fn pairs(&self) -> &[nc_pair] {
        self.pairs.of(self.answer.metadata())
    }
}

/// Returns the body. It is empty if `answer` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_body(answer: *const nc_answer) -> nc_bytes {
    guard_value(nc_bytes::EMPTY, || {
        // SAFETY: `answer` is NULL or points to a live object.
        unsafe { answer.as_ref() }
            .map_or(nc_bytes::EMPTY, |answer| nc_bytes::lend(answer.answer.body()))
    })
}

/// Returns the HTTP status that the function chose, or 200 if it chose none. Returns 0 if `answer`
/// is NULL. A call that was answered with any HTTP status has succeeded; nc_answer_check turns a
/// status of 400 or more into an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_http_status(answer: *const nc_answer) -> u32 {
    guard_value(0, || {
        // SAFETY: `answer` is NULL or points to a live object.
        unsafe { answer.as_ref() }.map_or(0, |answer| u32::from(answer.answer.http_status()))
    })
}

/// The old name of nc_answer_http_status.
#[unsafe(no_mangle)]
#[deprecated(note = "use nc_answer_http_status")]
pub unsafe extern "C" fn nc_answer_status(answer: *const nc_answer) -> u32 {
    // SAFETY: `answer` is NULL or points to a live object.
    unsafe { nc_answer_http_status(answer) }
}

/// Turns an answer whose HTTP status is 400 or more into an error. `function` is the name of the
/// function that gave the answer.
///
/// Returns NC_OK if the HTTP status is below 400. Otherwise returns NC_FUNCTION_FAILED, and the
/// error names the HTTP status and quotes the first 200 characters of a text body. A handler that
/// returns this status passes the error on, as it does with the error of a call. `req` is the
/// request of the handler, or NULL for an answer to nc_process_call. `error` may be NULL; `*error`
/// belongs to the program. The program keeps ownership of the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_check(
    req: *mut nc_request,
    function: *const c_char,
    answer: *const nc_answer,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a request or NULL, a name and an answer.
    let check = || unsafe {
        let (name, answer) = (text(function, "function")?, nc_answer::borrow(answer)?);
        let failure = http_status::failure_of(name, answer.answer.metadata(), answer.answer.body());
        if req.is_null() {
            return failure.map_or(Ok(NC_OK), Err);
        }
        nc_request::operate(req, |_| failure.map_or(Ok(NC_OK), Err))
    };
    // SAFETY: `error` is NULL or may be written to.
    unsafe { guard_with_error(error, check) }
}

/// Writes the first value of the metadata with this name to `value`.
///
/// Returns NC_NOT_FOUND if there is none; `value` is then empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_metadata(
    answer: *const nc_answer,
    name: *const c_char,
    value: *mut nc_bytes,
) -> status {
    // SAFETY: the program passes an answer, a name and a place for the value.
    guard(|| unsafe {
        present(value, "value")?;
        let found = nc_answer::borrow(answer)?.answer.metadata().get(text(name, "name")?);
        value.write(found.map_or(nc_bytes::EMPTY, nc_bytes::lend));
        Ok(if found.is_some() { NC_OK } else { NC_NOT_FOUND })
    })
}

/// Returns the number of pairs of metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_metadata_count(answer: *const nc_answer) -> usize {
    // SAFETY: `answer` is NULL or points to a live object.
    guard_value(0, || unsafe { answer.as_ref() }.map_or(0, |answer| answer.pairs().len()))
}

/// Writes the pair of metadata at `index` to `pair`. Pairs keep the order in which they were sent.
///
/// Returns NC_NOT_FOUND if `index` is not below the number of pairs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_metadata_at(
    answer: *const nc_answer,
    index: usize,
    pair: *mut nc_pair,
) -> status {
    // SAFETY: the program passes an answer and a place for the pair.
    guard(|| unsafe {
        present(pair, "pair")?;
        let Some(found) = nc_answer::borrow(answer)?.pairs().get(index) else {
            return Ok(NC_NOT_FOUND);
        };
        pair.write(*found);
        Ok(NC_OK)
    })
}

/// Frees an answer. Does nothing if `answer` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_free(answer: *mut nc_answer) {
    guard_value((), || {
        if !answer.is_null() {
            // SAFETY: `give` made the answer, and the program gives up its ownership.
            drop(unsafe { Box::from_raw(answer) });
        }
    });
}
