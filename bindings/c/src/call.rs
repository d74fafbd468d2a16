//! Internal calls.

use crate::answer::nc_answer;
use crate::bytes::{nc_bytes, present, with_parts};
use crate::error::nc_error;
use crate::extensible::{self, extensible};
use crate::facts::{NC_AGAIN, NC_OK};
use crate::guard::{guard, invalid};
use crate::guard_error::guard_with_error;
use crate::metadata::{gather, nc_pair};
use crate::request::nc_request;
use nightcore_runtime::protocol::{Failure, Status};
use nightcore_runtime::worker::{Answer, Body, CallOptions, RunningCall};
use std::ffi::{CStr, c_char};
use std::time::Duration;

/// The smallest `struct_size` of nc_call_options that is accepted: that of its first version.
pub const NC_CALL_OPTIONS_MIN_SIZE: usize = 40;

/// Options of an internal call. Set the whole struct to zero, then `struct_size`, then the fields
/// that are wanted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nc_call_options {
    /// sizeof(nc_call_options). The program's header may be older or newer than the library: a
    /// field that the program does not know is zero; one that the library does not know must be.
    pub struct_size: usize,
    /// Ends the call if it takes longer; 0 for no limit but the request's own deadline, which
    /// always holds.
    pub timeout_ns: u64,
    /// Metadata for the callee.
    pub metadata: *const nc_pair,
    /// How many pairs of it.
    pub metadata_count: usize,
    /// No flags are known: 0.
    pub flags: u32,
}

extensible!(nc_call_options {
    NC_CALL_OPTIONS_MIN_SIZE => struct_size, timeout_ns, metadata, metadata_count, flags;
});

/// Reads the options of a call.
///
/// # Safety
/// `options` is NULL or as for [`extensible::read`], and its metadata as for [`gather`].
unsafe fn read_options(options: *const nc_call_options) -> Result<CallOptions, Failure> {
    if options.is_null() {
        return Ok(CallOptions::default());
    }
    // SAFETY: not NULL; the caller vouches for the rest.
    let options = unsafe { extensible::read(options, "options") }?;
    if options.flags != 0 {
        return Err(invalid(format!("unknown flags {:#x}", options.flags)));
    }
    Ok(CallOptions {
        timeout: (options.timeout_ns != 0).then(|| Duration::from_nanos(options.timeout_ns)),
        // SAFETY: the caller vouches for it.
        metadata: unsafe { gather(options.metadata, options.metadata_count) }?,
    })
}

/// The name of a function to call. What is not UTF-8 is the name of none.
///
/// # Safety
/// `name` is NULL or a text that ends with a zero and can be read for as long as it is used.
unsafe fn callee<'a>(name: *const c_char) -> Result<&'a str, Failure> {
    if name.is_null() {
        return Err(invalid("name is NULL"));
    }
    // SAFETY: not NULL; the caller vouches for the rest.
    let name = unsafe { CStr::from_ptr(name) };
    let not_found =
        |_| Failure::new(Status::NotFound, format!("{name:?} is not a name of a function"));
    name.to_str().map_err(not_found)
}

/// Hands what a program gave for a call to `call`.
///
/// # Safety
/// As the header says of `nc_call_with`.
pub(crate) unsafe fn with_asked<R>(
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    call: impl FnOnce(&str, &[&[u8]], &CallOptions) -> Result<R, Failure>,
) -> Result<R, Failure> {
    // SAFETY: what the header asks for.
    unsafe {
        let (name, options) = (callee(name)?, read_options(options)?);
        with_parts(parts, count, |parts| call(name, parts, &options))
    }
}

/// Gives the answer of `call` to the program; NULL if there is none.
///
/// # Safety
/// `answer` is NULL or may be written to.
pub(crate) unsafe fn give_answer(
    answer: *mut *mut nc_answer,
    call: impl FnOnce() -> Result<Answer, Failure>,
) -> Result<i32, Failure> {
    present(answer, "answer")?;
    // SAFETY: not NULL, so it may be written to.
    unsafe {
        answer.write(std::ptr::null_mut());
        answer.write(nc_answer::give(call()?));
    }
    Ok(NC_OK)
}

/// # Safety
/// As the header says of `nc_call_with`.
unsafe fn call(
    req: *mut nc_request,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    answer: *mut *mut nc_answer,
) -> Result<i32, Failure> {
    // SAFETY: what the header asks for.
    let call = || unsafe {
        nc_request::operate(req, |content| {
            with_asked(name, parts, count, options, |name, parts, options| {
                content.side.call(name, Body::Parts(parts), options)
            })
        })
    };
    // SAFETY: what the header asks for.
    unsafe { give_answer(answer, call) }
}

/// Calls a function of this name with a body of `count` parts, one after the other, and waits for
/// its answer. The wait lends the worker's place to another call. On a handler's thread only.
///
/// `parts` may be NULL if `count` is 0; what they hold has been copied or sent when the function
/// returns. NC_OK: `answer` is the caller's, to be freed by nc_answer_free. Otherwise `answer` is
/// NULL, and a handler that returns the status passes the error on.
///
/// NC_NOT_FOUND: there is no function of this name, or no function can have it. NC_INVALID_STATE:
/// the request has been answered or has ended, or is one of nc_worker_next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call(
    req: *mut nc_request,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    answer: *mut *mut nc_answer,
) -> i32 {
    // SAFETY: what the header asks for.
    guard(|| unsafe { call(req, name, parts, count, std::ptr::null(), answer) })
}

/// As nc_call, with options, which may be NULL, and the reason in `error`, which may be NULL. An
/// error is the caller's, to be freed by nc_error_free; without one `*error` is set to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call_with(
    req: *mut nc_request,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> i32 {
    // SAFETY: what the header asks for.
    unsafe { guard_with_error(error, || call(req, name, parts, count, options, answer)) }
}

/// Calls a function without waiting. Its answer comes with this tag, which the caller chooses: by
/// nc_next_answer to a handler, by nc_worker_next to an event loop. Any number of calls, up to
/// 1024, may be under way. Answering the request cancels those that are.
///
/// `options` and `error` may be NULL, as for nc_call_with. NC_OK: the call is under way. Otherwise
/// no answer will come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call_start(
    req: *mut nc_request,
    tag: u64,
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    error: *mut *mut nc_error,
) -> i32 {
    // SAFETY: what the header asks for.
    let start = || unsafe {
        nc_request::operate(req, |content| {
            with_asked(name, parts, count, options, |name, parts, options| {
                content.side.start_call(tag, name, Body::Parts(parts), options)
            })?;
            Ok(NC_OK)
        })
    };
    // SAFETY: what the header asks for.
    unsafe { guard_with_error(error, start) }
}

/// Says that the answer to a call of an event loop, which nc_call_start began with this tag, is not
/// wanted any more. It and all calls below it are cancelled; its event still comes, with
/// NC_CANCELLED unless it has just ended otherwise. A call that has ended already is left alone.
///
/// NC_INVALID_STATE: the request has been answered or has ended, or is a handler's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_call_cancel(req: *mut nc_request, tag: u64) -> i32 {
    // SAFETY: a request, as the header asks for.
    let cancel = || unsafe {
        nc_request::operate(req, |content| content.side.cancel_call(tag).map(|()| NC_OK))
    };
    guard(cancel)
}

/// Waits for the next answer to a call that nc_call_start began, in the order they arrive. On a
/// handler's thread only. `timeout_ns`: how long to wait; 0 only looks, UINT64_MAX waits for good,
/// and lends the worker's place meanwhile.
///
/// Answers the status of that call: NC_OK with its answer in `answer`, or how it failed, with the
/// reason in `error`, which may be NULL; `tag` is the call's. Statuses from NC_INVALID_ARGUMENT on
/// are about the waiting itself, and leave `tag` alone: NC_AGAIN: the time has passed.
/// NC_INVALID_STATE: no call is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_next_answer(
    req: *mut nc_request,
    timeout_ns: u64,
    tag: *mut u64,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> i32 {
    // SAFETY: what the header asks for.
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
    // SAFETY: what the header asks for.
    unsafe { guard_with_error(error, wait) }
}
