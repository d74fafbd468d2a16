//! Answers to requests.

use crate::buffer::nc_buffer;
use crate::bytes::{nc_bytes, reason, with_parts};
use crate::error::nc_error;
use crate::facts::NC_OK;
use crate::guard::{guard, invalid};
use crate::metadata::{gather, nc_pair};
use crate::request::{Content, nc_request};
use nightcore_runtime::protocol::{Failure, MetadataBuffer, Status};
use nightcore_runtime::worker::{Body, HandlerError, RunningCall};
use std::ffi::c_char;

/// Runs an operation that answers.
///
/// # Safety
/// `req` is NULL or was a handle once.
unsafe fn answering(
    req: *const nc_request,
    answer: impl FnOnce(&Content) -> Result<(), Failure>,
) -> Result<i32, Failure> {
    // SAFETY: the caller vouches for it.
    unsafe {
        nc_request::operate(req, |content| {
            answer(content).inspect_err(|failure| content.side.note_refused(failure))?;
            Ok(NC_OK)
        })
    }
}

/// Answers with this body, which has been copied when the function returns. A request is answered
/// once; calls it has under way are cancelled. To an event loop the answer goes at once, from a
/// handler when it returns.
///
/// NC_PAYLOAD_TOO_LARGE: over the limit for bodies; the request can still be answered otherwise.
/// NC_INVALID_STATE: it has been answered or has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply(req: *mut nc_request, body: nc_bytes) -> i32 {
    // SAFETY: a request and readable bytes, as the header asks for.
    guard(|| unsafe {
        answering(req, |content| {
            content.side.reply(Body::Parts(&[body.borrow()?]), MetadataBuffer::new().as_metadata())
        })
    })
}

/// As nc_reply, with a body of `count` parts, one after the other, and metadata. A pair named
/// ":status" sets the HTTP status, such as "404". Arrays may be NULL if their count is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply_with(
    req: *mut nc_request,
    parts: *const nc_bytes,
    count: usize,
    metadata: *const nc_pair,
    metadata_count: usize,
) -> i32 {
    // SAFETY: a request and readable arrays, as the header asks for.
    guard(|| unsafe {
        answering(req, |content| {
            let metadata = gather(metadata, metadata_count)?;
            with_parts(parts, count, |parts| {
                content.side.reply(Body::Parts(parts), metadata.as_metadata())
            })
        })
    })
}

/// As nc_reply_with, with the first `len` bytes of a buffer as the body, which is not copied. The
/// buffer is taken in any case, whatever the function answers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply_buffer(
    req: *mut nc_request,
    buffer: *mut nc_buffer,
    len: usize,
    metadata: *const nc_pair,
    metadata_count: usize,
) -> i32 {
    guard(|| {
        if buffer.is_null() {
            return Err(invalid("buffer is NULL"));
        }
        // SAFETY: a buffer of the caller's own, as the header asks for, which `nc_buffer_new` has
        // made.
        let buffer = unsafe { Box::from_raw(buffer) }.buffer;
        // SAFETY: a request and a readable array, as the header asks for.
        unsafe {
            answering(req, |content| {
                let metadata = gather(metadata, metadata_count)?;
                content.side.reply(Body::Buffer(buffer, len), metadata.as_metadata())
            })
        }
    })
}

/// Answers with the error FUNCTION_FAILED and this message, of which callers see up to 512 bytes;
/// the function's log has it, too, in a line with the id of the call. For reasons that callers may
/// know: see nc_fail_unexpectedly for others. NC_OK: the request is answered, and what the handler
/// then returns says nothing more, so `return nc_fail(req, "no such user");` is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_fail(req: *mut nc_request, message: *const c_char) -> i32 {
    // SAFETY: a request and a text, as the header asks for.
    guard(|| unsafe {
        nc_request::operate(req, |content| {
            let failure = Failure::new(Status::FunctionFailed, reason(message)?);
            content.side.fail(&failure.into())?;
            Ok(NC_OK)
        })
    })
}

/// Answers with the error FUNCTION_FAILED for a reason that is not meant for callers, such as the
/// text of an exception: `message` goes to the function's log, and callers see the id by which it
/// is found there. A function with `expose_errors = true` tells it to callers, as nc_fail does.
/// Otherwise as nc_fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_fail_unexpectedly(req: *mut nc_request, message: *const c_char) -> i32 {
    // SAFETY: a request and a text, as the header asks for.
    guard(|| unsafe {
        nc_request::operate(req, |content| {
            content.side.fail(&HandlerError::Unexpected(reason(message)?.into_owned()))?;
            Ok(NC_OK)
        })
    })
}

/// Answers with an error of an internal call, as when a handler returns its status: callers see
/// that this function failed, and `error` and its causes as the reason. `error` stays the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_pass_on(req: *mut nc_request, error: *const nc_error) -> i32 {
    // SAFETY: a request and an error, as the header asks for.
    guard(|| unsafe {
        nc_request::operate(req, |content| {
            let error = error.as_ref().ok_or_else(|| invalid("error is NULL"))?;
            content.side.fail(&error.failure.clone().passed_on().into())?;
            Ok(NC_OK)
        })
    })
}
