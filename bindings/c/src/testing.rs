//! Runs a handler without an engine.

use crate::answer::nc_answer;
use crate::bytes::{nc_bytes, present, text};
use crate::error::nc_error;
use crate::extensible::{self, Plain, extensible};
use crate::facts::{NC_OK, status};
use crate::fake::{Asked, Callee, Fake};
use crate::guard::invalid;
use crate::guard_error::guard_with_error;
use crate::handler::nc_handler;
use crate::metadata::{gather, nc_pair};
use crate::request::nc_request;
use nightcore_runtime::protocol::{CancelReason, Failure, Status};
use std::ffi::{c_char, c_void};
use std::rc::Rc;
use std::time::Duration;

/// The smallest `struct_size` of nc_test_request that the library accepts: the size of its first
/// version.
pub const NC_TEST_REQUEST_MIN_SIZE: usize = 88;

/// A request for a test of a handler. Set the whole struct to zero, then set `struct_size` and the
/// fields that you need. The library copies everything before the handler runs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nc_test_request {
    /// sizeof(nc_test_request), for the same reason as in nc_call_options.
    pub struct_size: usize,
    /// The name of the function under test. NULL stands for "Test".
    pub function: *const c_char,
    /// The name of the function that makes the call. NULL means that it comes through the gateway.
    pub caller: *const c_char,
    /// The body of the request.
    pub body: nc_bytes,
    /// The metadata of the request.
    pub metadata: *const nc_pair,
    /// The number of pairs in `metadata`.
    pub metadata_count: usize,
    /// The time left until the deadline, in nanoseconds. It stays the same while the handler runs.
    /// 0 means no deadline.
    pub time_left_ns: u64,
    /// The reason for which the request is cancelled from the start: NC_CANCELLED or
    /// NC_DEADLINE_EXCEEDED. NC_OK means that it is not cancelled.
    pub cancel_reason: i32,
    /// Must be 0: no flags are defined.
    pub flags: u32,
    /// The test double: it handles each call that the handler makes. Its own request has the name,
    /// the body and the metadata of that call, so it can replace several functions. If it is NULL,
    /// every call fails with NC_NOT_FOUND.
    pub callee: nc_handler,
    /// The `user` of `callee`.
    pub callee_user: *mut c_void,
}

// SAFETY: the struct has a pointer and a number, and no padding.
unsafe impl Plain for nc_bytes {}
// SAFETY: zeros are `None`; any other value is the address of a function of the program.
unsafe impl Plain for nc_handler {}

extensible!(nc_test_request {
    NC_TEST_REQUEST_MIN_SIZE => struct_size, function, caller, body, metadata, metadata_count,
        time_left_ns, cancel_reason, flags, callee, callee_user;
});

/// The name of the function under test if the request does not set it.
const DEFAULT_FUNCTION: &str = "Test";

/// Reads the properties that a test gives to its request.
///
/// # Safety
/// `request` is NULL or meets the conditions of [`extensible::read`]; its texts, its body and its
/// metadata can be read.
unsafe fn read(request: *const nc_test_request) -> Result<Asked, Failure> {
    present(request.cast_mut(), "request")?;
    // SAFETY: `request` is not NULL, and points to as many bytes as its `struct_size`.
    let request = unsafe { extensible::read(request, "request") }?;
    if request.flags != 0 {
        return Err(invalid(format!("unknown flags {:#x}", request.flags)));
    }
    let named = |name: *const c_char, what| {
        // SAFETY: `name` is not NULL, and ends with a zero byte.
        (!name.is_null()).then(|| unsafe { text(name, what) }).transpose()
    };
    let reason = cancel_reason(request.cancel_reason)?;
    let left = (request.time_left_ns != 0).then(|| Duration::from_nanos(request.time_left_ns));
    Ok(Asked {
        function: named(request.function, "function")?.unwrap_or(DEFAULT_FUNCTION).into(),
        caller: named(request.caller, "caller")?.map(str::to_owned),
        // SAFETY: the body can be read.
        body: unsafe { request.body.borrow() }?.to_vec(),
        // SAFETY: the pairs can be read.
        metadata: unsafe { gather(request.metadata, request.metadata_count) }?,
        time_left: if reason == Some(CancelReason::Deadline) { Some(Duration::ZERO) } else { left },
        cancel_reason: reason,
        callee: request.callee.map(|callee| -> Callee {
            let user = request.callee_user;
            Rc::new(move |fake| {
                // SAFETY: `callee` is a handler of the test, which takes a request and `user`.
                nc_request::run_fake(fake, |req| unsafe { callee(req, user) })
            })
        }),
    })
}

/// Returns the reason that a status stands for, or `None` for NC_OK.
fn cancel_reason(status: i32) -> Result<Option<CancelReason>, Failure> {
    let reason = |number| CancelReason::from_status(Status::from_number(number)?);
    match u32::try_from(status).ok().and_then(reason) {
        None if status != NC_OK => {
            Err(invalid(format!("no request is cancelled for the reason {status}")))
        }
        reason => Ok(reason),
    }
}

/// Runs a handler for a test, without an engine, nc_handle and nc_serve: calls `handler` with a
/// request that `request` describes, and with `user`. The handler and the test double run on the
/// calling thread. Calls that the handler starts by nc_call_start are answered in the order in
/// which they were started. nc_process_call returns NC_INVALID_STATE.
///
/// Returns NC_OK if the handler replied: `*answer` then belongs to the program, which frees it by
/// nc_answer_free. Otherwise returns the status that the caller would get, and `*error` has the
/// reason that the caller would get with `expose_errors = true`; `error` may be NULL. Returns
/// NC_INVALID_ARGUMENT if `request` is not valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_test_run(
    request: *const nc_test_request,
    handler: nc_handler,
    user: *mut c_void,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a readable request, a handler that takes `user`, and a place for
    // the answer.
    let run = || unsafe {
        present(answer, "answer")?;
        answer.write(std::ptr::null_mut());
        let handler = handler.ok_or_else(|| invalid("handler is NULL"))?;
        let asked = read(request)?;
        let function = asked.function.clone();
        let made = nc_request::run_fake(Fake::new(asked), |req| handler(req, user));
        answer.write(nc_answer::give(made.map_err(|failure| Failure { function, ..failure })?));
        Ok(NC_OK)
    };
    // SAFETY: `error` is NULL or may be written to.
    unsafe { guard_with_error(error, run) }
}
