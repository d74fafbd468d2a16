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
    /// The name of the function under test. NULL: "Test".
    pub function: *const c_char,
    /// The name of the function that makes the call. NULL: the call comes in by the gateway.
    pub caller: *const c_char,
    /// The body.
    pub body: nc_bytes,
    /// The metadata.
    pub metadata: *const nc_pair,
    /// The number of pairs.
    pub metadata_count: usize,
    /// The time left until the deadline, in nanoseconds; it does not pass. 0: no deadline.
    pub time_left_ns: u64,
    /// NC_CANCELLED or NC_DEADLINE_EXCEEDED: the request is cancelled for this reason from the
    /// start. NC_OK: it is not cancelled.
    pub cancel_reason: i32,
    /// 0: no flags are defined.
    pub flags: u32,
    /// The test double: it handles each call that the handler makes. Its own request has the name,
    /// the body and the metadata of that call, so it can replace several functions. NULL: every
    /// call fails with NC_NOT_FOUND.
    pub callee: nc_handler,
    /// The `user` of `callee`.
    pub callee_user: *mut c_void,
}

// SAFETY: a pointer and a number, without padding.
unsafe impl Plain for nc_bytes {}
// SAFETY: zeros are `None`; any other value is a function's address, which the program has set.
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
/// `request` is as for [`extensible::read`]; its texts, its body and its metadata can be read.
unsafe fn read(request: *const nc_test_request) -> Result<Asked, Failure> {
    present(request.cast_mut(), "request")?;
    // SAFETY: not NULL; the caller vouches for the rest.
    let request = unsafe { extensible::read(request, "request") }?;
    if request.flags != 0 {
        return Err(invalid(format!("unknown flags {:#x}", request.flags)));
    }
    let named = |name: *const c_char, what| {
        // SAFETY: a text, the caller vouches for it; `text` is given no NULL.
        (!name.is_null()).then(|| unsafe { text(name, what) }).transpose()
    };
    let reason = cancel_reason(request.cancel_reason)?;
    let left = (request.time_left_ns != 0).then(|| Duration::from_nanos(request.time_left_ns));
    Ok(Asked {
        function: named(request.function, "function")?.unwrap_or(DEFAULT_FUNCTION).into(),
        caller: named(request.caller, "caller")?.map(str::to_owned),
        // SAFETY: readable bytes, the caller vouches for it.
        body: unsafe { request.body.borrow() }?.to_vec(),
        // SAFETY: readable pairs, the caller vouches for it.
        metadata: unsafe { gather(request.metadata, request.metadata_count) }?,
        time_left: if reason == Some(CancelReason::Deadline) { Some(Duration::ZERO) } else { left },
        cancel_reason: reason,
        callee: request.callee.map(|callee| -> Callee {
            let user = request.callee_user;
            Rc::new(move |fake| {
                // SAFETY: the test's own function, made to be called with a request and its `user`.
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

/// Runs a handler without an engine, for tests: calls `handler` with a request that `request`
/// describes, and with `user`. No engine, no nc_handle and no nc_serve is needed. The handler and
/// the test double run on the calling thread. Calls that the handler starts by nc_call_start are
/// answered in the order in which they were started. nc_process_call returns NC_INVALID_STATE.
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
    // SAFETY: what the header asks for.
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
    // SAFETY: `error` is NULL or may be written to, as the header asks for.
    unsafe { guard_with_error(error, run) }
}
