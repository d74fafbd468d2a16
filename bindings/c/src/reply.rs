//! Answers to requests.

use crate::buffer::nc_buffer;
use crate::bytes::{nc_bytes, reason, text, with_parts};
use crate::error::nc_error;
use crate::facts::{NC_OK, status};
use crate::guard::{guard, invalid};
use crate::http_status;
use crate::metadata::{gather, nc_pair};
use crate::request::{Content, nc_request};
use nightcore_runtime::protocol::{Failure, MetadataBuffer, Status};
use nightcore_runtime::worker::HandlerError;
use std::ffi::c_char;

/// Runs an operation that replies to a request. If it is refused, records the reason.
///
/// # Safety
/// `req` is NULL or was a handle once.
unsafe fn answering(
    req: *const nc_request,
    answer: impl FnOnce(&Content) -> Result<(), Failure>,
) -> Result<i32, Failure> {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe {
        nc_request::operate(req, |content| {
            answer(content).inspect_err(|failure| content.side.note_refused(failure))?;
            Ok(NC_OK)
        })
    }
}

/// Replies with this body. When nc_reply returns, the library has copied the body. A request takes
/// one reply, which cancels the calls that the request has under way. The library sends the reply
/// of a handler when the handler returns, and that of an event loop at once.
///
/// Returns NC_PAYLOAD_TOO_LARGE if the body is over the limit; another reply is still possible.
/// Returns NC_INVALID_STATE if the request has a reply or has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply(req: *mut nc_request, body: nc_bytes) -> status {
    // SAFETY: the program passes a request and readable bytes.
    guard(|| unsafe {
        answering(req, |content| {
            content.side.reply(&[body.borrow()?], MetadataBuffer::new().as_metadata())
        })
    })
}

/// Does what nc_reply does, with a body of `count` parts, one after the other, and with metadata.
/// `parts` and `metadata` may be NULL if their count is 0. The pair ":status" sets the HTTP status;
/// nc_reply_http is shorter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply_with(
    req: *mut nc_request,
    parts: *const nc_bytes,
    count: usize,
    metadata: *const nc_pair,
    metadata_count: usize,
) -> status {
    // SAFETY: the program passes a request and readable arrays.
    guard(|| unsafe {
        answering(req, |content| {
            let metadata = gather(metadata, metadata_count)?;
            with_parts(parts, count, |parts| content.side.reply(parts, metadata.as_metadata()))
        })
    })
}

/// Does what nc_reply does, with an HTTP status from 200 to 599 and, unless it is NULL, a content
/// type: `return nc_reply_http(req, 404, "text/plain; charset=utf-8", NC_LITERAL("no such
/// user"));`. The call succeeds whatever the HTTP status is, and nothing is written to the log.
///
/// Returns NC_INVALID_ARGUMENT if the HTTP status is not from 200 to 599.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply_http(
    req: *mut nc_request,
    http_status: u32,
    content_type: *const c_char,
    body: nc_bytes,
) -> status {
    // SAFETY: the program passes a request, a text or NULL, and readable bytes.
    guard(|| unsafe {
        answering(req, |content| {
            let mut metadata = MetadataBuffer::new();
            metadata.push(":status", http_status::digits(http_status)?.as_bytes())?;
            if !content_type.is_null() {
                let content_type = text(content_type, "content_type")?;
                metadata.push("content-type", content_type.as_bytes())?;
            }
            content.side.reply(&[body.borrow()?], metadata.as_metadata())
        })
    })
}

/// Does what nc_reply_with does, with the first `len` bytes of a buffer as the body, which is not
/// copied. The library takes ownership of the buffer, whatever status it returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_reply_buffer(
    req: *mut nc_request,
    buffer: *mut nc_buffer,
    len: usize,
    metadata: *const nc_pair,
    metadata_count: usize,
) -> status {
    guard(|| {
        if buffer.is_null() {
            return Err(invalid("buffer is NULL"));
        }
        // SAFETY: `nc_buffer_new` made the buffer, and the program gives up its ownership.
        let room = unsafe { Box::from_raw(buffer) }.room;
        // SAFETY: the program passes a request and a readable array.
        unsafe {
            answering(req, |content| {
                let metadata = gather(metadata, metadata_count)?;
                content.side.reply_from(room, len, metadata.as_metadata())
            })
        }
    })
}

/// Fails the call with FUNCTION_FAILED and this message. Callers see up to 512 bytes of it, and the
/// function's log has it in a line with the call id. Use nc_fail_unexpectedly for a reason that
/// callers must not know. NC_OK means that the call fails; the handler's return value then has no
/// effect, so `return nc_fail(req, "no such user");` is correct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_fail(req: *mut nc_request, message: *const c_char) -> status {
    // SAFETY: the program passes a request and a text.
    guard(|| unsafe {
        nc_request::operate(req, |content| {
            let failure = Failure::new(Status::FunctionFailed, reason(message)?);
            content.side.fail(&failure.into())?;
            Ok(NC_OK)
        })
    })
}

/// Fails the call with FUNCTION_FAILED for a reason that is not meant for callers, such as the text
/// of an exception. `message` goes to the function's log. Callers get the `nightcore logs` command
/// that finds it. A function with `expose_errors = true` shows the message to its callers, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_fail_unexpectedly(
    req: *mut nc_request,
    message: *const c_char,
) -> status {
    // SAFETY: the program passes a request and a text.
    guard(|| unsafe {
        nc_request::operate(req, |content| {
            content.side.fail(&HandlerError::Unexpected(reason(message)?.into_owned()))?;
            Ok(NC_OK)
        })
    })
}

/// Fails the call with the error of a call that this handler made. Callers see that this function
/// failed, with `error` and its causes as the reason. A handler that returns the status of a failed
/// call does the same. The program keeps ownership of `error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_pass_on(req: *mut nc_request, error: *const nc_error) -> status {
    // SAFETY: the program passes a request and an error.
    guard(|| unsafe {
        nc_request::operate(req, |content| {
            let error = error.as_ref().ok_or_else(|| invalid("error is NULL"))?;
            content.side.fail(&error.failure.clone().passed_on().into())?;
            Ok(NC_OK)
        })
    })
}
