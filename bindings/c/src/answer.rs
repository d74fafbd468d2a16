//! The answer to an internal call.

use crate::bytes::{nc_bytes, present, text};
use crate::facts::{NC_NOT_FOUND, NC_OK};
use crate::guard::{guard, guard_value, invalid};
use crate::metadata::{Pairs, nc_pair};
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::worker::Answer;
use std::ffi::c_char;

/// The answer to an internal call. Opaque. Belongs to who was given it, until nc_answer_free, also
/// after the request has ended; may be used from any thread. What it hands out is valid as long as
/// the answer.
pub struct nc_answer {
    answer: Answer,
    pairs: Pairs,
}

impl nc_answer {
    /// Gives an answer to C.
    pub(crate) fn give(answer: Answer) -> *mut nc_answer {
        Box::into_raw(Box::new(nc_answer { answer, pairs: Pairs::default() }))
    }

    /// # Safety
    /// `answer` is NULL or from `give` and not freed.
    unsafe fn borrow<'a>(answer: *const nc_answer) -> Result<&'a nc_answer, Failure> {
        // SAFETY: the caller vouches for it.
        unsafe { answer.as_ref() }.ok_or_else(|| invalid("answer is NULL"))
    }

    fn pairs(&self) -> &[nc_pair] {
        self.pairs.of(self.answer.metadata())
    }
}

/// The body.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_body(answer: *const nc_answer) -> nc_bytes {
    guard_value(nc_bytes::EMPTY, || {
        // SAFETY: NULL or an answer, as the header asks for.
        unsafe { answer.as_ref() }
            .map_or(nc_bytes::EMPTY, |answer| nc_bytes::lend(answer.answer.body()))
    })
}

/// The HTTP status that the function chose; 200 if it chose none, 0 for NULL. An answer with any
/// status is an answer: the call has gone well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_status(answer: *const nc_answer) -> u32 {
    guard_value(0, || {
        // SAFETY: NULL or an answer, as the header asks for.
        unsafe { answer.as_ref() }.map_or(0, |answer| u32::from(answer.answer.status()))
    })
}

/// The first value of the metadata with this name, to `value`.
///
/// NC_NOT_FOUND: there is none; `value` is then empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_metadata(
    answer: *const nc_answer,
    name: *const c_char,
    value: *mut nc_bytes,
) -> i32 {
    // SAFETY: an answer, a name and a place for the value, as the header asks for.
    guard(|| unsafe {
        present(value, "value")?;
        let found = nc_answer::borrow(answer)?.answer.metadata().get(text(name, "name")?);
        value.write(found.map_or(nc_bytes::EMPTY, nc_bytes::lend));
        Ok(if found.is_some() { NC_OK } else { NC_NOT_FOUND })
    })
}

/// How many pairs of metadata there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_metadata_count(answer: *const nc_answer) -> usize {
    // SAFETY: NULL or an answer, as the header asks for.
    guard_value(0, || unsafe { answer.as_ref() }.map_or(0, |answer| answer.pairs().len()))
}

/// The pair of metadata at `index`, in their order, to `pair`.
///
/// NC_NOT_FOUND: there are not as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_metadata_at(
    answer: *const nc_answer,
    index: usize,
    pair: *mut nc_pair,
) -> i32 {
    // SAFETY: an answer and a place for the pair, as the header asks for.
    guard(|| unsafe {
        present(pair, "pair")?;
        let Some(found) = nc_answer::borrow(answer)?.pairs().get(index) else {
            return Ok(NC_NOT_FOUND);
        };
        pair.write(*found);
        Ok(NC_OK)
    })
}

/// Frees an answer; takes NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_answer_free(answer: *mut nc_answer) {
    guard_value((), || {
        if !answer.is_null() {
            // SAFETY: an answer of the caller's own, as the header asks for, which `give` has made.
            drop(unsafe { Box::from_raw(answer) });
        }
    });
}
