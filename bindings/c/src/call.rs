//! Internal calls.

use crate::answer::nc_answer;
use crate::bytes::{nc_bytes, present, with_parts};
use crate::error::nc_error;
use crate::extensible::{self, extensible};
use crate::facts::{NC_AGAIN, NC_OK, status};
use crate::given::Given;
use crate::guard::{guard, invalid};
use crate::guard_error::guard_with_error;
use crate::metadata::{gather, nc_pair};
use crate::request::nc_request;
use nightcore_runtime::protocol::{Failure, Status};
use nightcore_runtime::worker::CallOptions;
use std::ffi::{CStr, c_char};
use std::time::Duration;

/// The smallest `struct_size` of nc_call_options that the library accepts: the size of its first
/// version.
pub const NC_CALL_OPTIONS_MIN_SIZE: usize = 40;

/// Options of a call. Set the whole struct to zero, then set `struct_size` and the fields that you
/// need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nc_call_options {
    /// sizeof(nc_call_options). The program's header may be older or newer than the library. The
    /// library treats fields that the program does not know as zero, and rejects a field that it
    /// does not know itself unless the field is zero.
    pub struct_size: usize,
    /// The longest time that the call may take, in nanoseconds; 0 for no limit. The deadline of the
    /// request applies in any case.
    pub timeout_ns: u64,
    /// Metadata for the called function; borrowed until the function that takes the options
    /// returns.
    pub metadata: *const nc_pair,
    /// The number of pairs in `metadata`.
    pub metadata_count: usize,
    /// Must be 0: no flags are defined.
    pub flags: u32,
}

extensible!(nc_call_options {
    NC_CALL_OPTIONS_MIN_SIZE => struct_size, timeout_ns, metadata, metadata_count, flags;
});

/// Reads the options of a call.
///
/// # Safety
/// `options` is NULL or meets the conditions of [`extensible::read`]; its metadata meet those of
/// [`gather`].
unsafe fn read_options(options: *const nc_call_options) -> Result<CallOptions, Failure> {
    if options.is_null() {
        return Ok(CallOptions::default());
    }
    // SAFETY: `options` is not NULL, and points to as many bytes as its `struct_size`.
    let options = unsafe { extensible::read(options, "options") }?;
    if options.flags != 0 {
        return Err(invalid(format!("unknown flags {:#x}", options.flags)));
    }
    Ok(CallOptions {
        timeout: (options.timeout_ns != 0).then(|| Duration::from_nanos(options.timeout_ns)),
        // SAFETY: the pairs of the options can be read.
        metadata: unsafe { gather(options.metadata, options.metadata_count) }?,
    })
}

/// Reads the name of a function to call.
///
/// # Errors
/// NOT_FOUND if the name is not UTF-8.
///
/// # Safety
/// `name` is NULL, or a text that ends with a zero byte and can be read for as long as it is used.
unsafe fn callee<'a>(name: *const c_char) -> Result<&'a str, Failure> {
    if name.is_null() {
        return Err(invalid("name is NULL"));
    }
    // SAFETY: `name` is not NULL, and ends with a zero byte.
    let name = unsafe { CStr::from_ptr(name) };
    let not_found =
        |_| Failure::new(Status::NotFound, format!("{name:?} is not a name of a function"));
    name.to_str().map_err(not_found)
}

/// Reads the arguments of a call, and passes them to `call`.
///
/// # Safety
/// The arguments meet the conditions of [`callee`], [`with_parts`] and [`read_options`].
pub(crate) unsafe fn with_asked<R>(
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    call: impl FnOnce(&str, &[&[u8]], &CallOptions) -> Result<R, Failure>,
) -> Result<R, Failure> {
    // SAFETY: the arguments meet the conditions of the three functions.
    unsafe {
        let (name, options) = (callee(name)?, read_options(options)?);
        with_parts(parts, count, |parts| call(name, parts, &options))
    }
}

/// Writes the answer of `call` to `*answer`, or NULL if the call fails.
///
/// # Safety
/// `answer` is NULL or may be written to.
pub(crate) unsafe fn give_answer(
    answer: *mut *mut nc_answer,
    call: impl FnOnce() -> Result<Given, Failure>,
) -> Result<i32, Failure> {
    present(answer, "answer")?;
    // SAFETY: `answer` is not NULL, so it may be written to.
    unsafe {
        answer.write(std::ptr::null_mut());
        answer.write(nc_answer::give(call()?));
    }
    Ok(NC_OK)
}

/// # Safety
/// `req` is NULL or was a handle once; the others meet the conditions of [`with_asked`] and
/// [`give_answer`].
unsafe fn call(
    req: *mut nc_request,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    answer: *mut *mut nc_answer,
) -> Result<i32, Failure> {
    // SAFETY: `req` is NULL or was a handle once, and the arguments of the call can be read.
    let call = || unsafe {
        nc_request::operate(req, |content| {
            with_asked(name, parts, count, options, |name, parts, options| {
                content.side.call(name, parts, options)
            })
        })
    };
    // SAFETY: `answer` is NULL or may be written to.
    unsafe { give_answer(answer, call) }
}

/// Calls a function and waits for its answer, on a handler's thread only. The body of the call is
/// `count` parts, one after the other; `parts` may be NULL if `count` is 0. When nc_call returns,
/// the library has copied or sent the parts. While the handler waits, another call may use its
/// slot.
///
/// Returns NC_OK if the function answered: `*answer` then belongs to the program, which frees it by
/// nc_answer_free. Otherwise `*answer` is NULL, and a handler that returns the status passes the
/// error on.
///
/// Returns NC_NOT_FOUND if no function has this name. Returns NC_INVALID_STATE if the request has a
/// reply, has ended, or came from nc_worker_next. Another status is the reason of a failed call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call(
    req: *mut nc_request,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    answer: *mut *mut nc_answer,
) -> status {
    // SAFETY: the program passes a request, a text, readable parts and a place for the answer.
    guard(|| unsafe { call(req, name, parts, count, std::ptr::null(), answer) })
}

/// Does what nc_call does, with options and with the reason of a failure. `options` and `error` may
/// be NULL. After a failure `*error` belongs to the program, which frees it by nc_error_free; after
/// NC_OK it is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call_with(
    req: *mut nc_request,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a request, a text, readable parts and options, and places for the
    // answer and the error.
    unsafe { guard_with_error(error, || call(req, name, parts, count, options, answer)) }
}

/// Starts a call without waiting for its answer. The program chooses `tag` to recognize the answer:
/// a handler gets it from nc_next_answer, an event loop as NC_EVENT_ANSWER. At most 1024 calls may
/// be under way at the same time. A reply cancels the calls that are still under way.
///
/// `parts`, `options` and `error` are those of nc_call_with. Returns NC_OK if the call is under
/// way. After any other status no answer will come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call_start(
    req: *mut nc_request,
    tag: u64,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a request, a text, and readable parts and options.
    let start = || unsafe {
        nc_request::operate(req, |content| {
            with_asked(name, parts, count, options, |name, parts, options| {
                content.side.start_call(tag, name, parts, options)
            })?;
            Ok(NC_OK)
        })
    };
    // SAFETY: `error` is NULL or may be written to.
    unsafe { guard_with_error(error, start) }
}

/// Cancels a call that an event loop started with this tag, and all calls below it. Its event still
/// comes, with NC_CANCELLED unless the call ended in another way just before. Does nothing if the
/// call has ended.
///
/// Returns NC_INVALID_STATE if the request has a reply, has ended, or belongs to a handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call_cancel(req: *mut nc_request, tag: u64) -> status {
    // SAFETY: `req` is NULL or was a handle once.
    let cancel = || unsafe {
        nc_request::operate(req, |content| content.side.cancel_call(tag).map(|()| NC_OK))
    };
    guard(cancel)
}

/// Waits for the next answer to a call that nc_call_start started, on a handler's thread only.
/// Answers come in the order in which they arrive. `timeout_ns` is the longest wait: 0 never waits,
/// UINT64_MAX waits without a limit and lets another call use the handler's slot.
///
/// Returns how that call ended, and writes its tag to `tag`: NC_OK with the answer in `*answer`, or
/// its status with the reason in `*error`, which may be NULL. Both belong to the program. A status
/// of NC_INVALID_ARGUMENT or above is about the wait itself and leaves `tag` alone: NC_AGAIN if the
/// time has passed, NC_INVALID_STATE if no call is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_next_answer(
    req: *mut nc_request,
    timeout_ns: u64,
    tag: *mut u64,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a request, and places for the tag and the answer.
    let wait = || unsafe {
        present(tag, "tag")?;
        present(answer, "answer")?;
        answer.write(std::ptr::null_mut());
        nc_request::operate(req, |content| {
            let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
            let Some(next) = content.side.next_answer(timeout)? else {
                return Ok(NC_AGAIN);
            };
            tag.write(next.tag);
            answer.write(nc_answer::give(next.result?));
            Ok(NC_OK)
        })
    };
    // SAFETY: `error` is NULL or may be written to.
    unsafe { guard_with_error(error, wait) }
}
