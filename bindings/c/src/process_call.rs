//! Calls that the process makes outside of any request.

use crate::answer::nc_answer;
use crate::bytes::nc_bytes;
use crate::call::{give_answer, nc_call_options, with_asked};
use crate::error::nc_error;
use crate::facts::{NC_OK, status};
use crate::given::Given;
use crate::guard::{guard, invalid, number};
use crate::guard_error::guard_with_error;
use nightcore_runtime::worker::caller::{self, StartedCall};
use std::ffi::{c_char, c_void};

/// A callback that nc_process_call_start runs when its call has ended. It gets the status of the
/// call, and either the answer or the error, which belongs to the program as that of nc_call_with
/// does. The callback must not throw. It should be short, because it delays those of other calls.
pub type nc_on_answer = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        status: i32,
        answer: *mut nc_answer,
        error: *mut nc_error,
    ),
>;

/// The pointer that the program gave with `done`. The library passes it back unchanged.
struct AnswerUserData(*mut c_void);

// SAFETY: the library only passes the pointer to `done`, whose documentation says that it runs on
// another thread.
unsafe impl Send for AnswerUserData {}

/// Calls a function outside of any request, and waits for its answer. Any thread of a process that
/// serves may call it, also while no handler runs. The parameters are those of nc_call_with. The
/// call has no parent, so the end of a request does not cancel it. Its deadline comes from the
/// called function's timeout or from `options`, whichever is earlier.
///
/// Such calls are possible until the process ends, also after nc_serve has returned. With an event
/// loop they are possible until nc_worker_free, and after it if the process has made one before.
/// The first one creates a channel, and a thread of the library, nc-caller.
///
/// Returns NC_INVALID_STATE if the process does not serve, or on the thread of nc_on_answer, which
/// must not wait. Returns NC_OVERLOADED if 1024 such calls are under way. Returns NC_UNAVAILABLE if
/// the engine is gone or too old.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_process_call(
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a text, and readable parts and options.
    let call = || unsafe {
        with_asked(name, parts, count, options, |name, parts, options| {
            caller::call(name, parts, options).map(Given::from)
        })
    };
    // SAFETY: `answer` and `error` are NULL or may be written to.
    unsafe { guard_with_error(error, || give_answer(answer, call)) }
}

/// Starts a call outside of any request without waiting for its answer. When the call has ended,
/// the library calls `done` once with `user`, on the thread nc-caller, perhaps before this function
/// returns. It writes the number of the call to `call`, for nc_process_call_cancel; `call` may be
/// NULL.
///
/// Returns NC_OK if the call is under way. After any other status the library does not call `done`.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)] // These are nc_call_start's, with a callback for the request.
pub unsafe extern "C" fn nc_process_call_start(
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    done: nc_on_answer,
    user: *mut c_void,
    call: *mut u64,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes a text, readable parts and options, and a place for the number.
    let start = || unsafe {
        let done = done.ok_or_else(|| invalid("done is NULL"))?;
        let user = AnswerUserData(user);
        let done = move |result| {
            let AnswerUserData(user) = { user };
            let (status, answer, error) = match result {
                Ok(answer) => (NC_OK, nc_answer::give(answer), std::ptr::null_mut()),
                Err(failure) => (number(&failure), std::ptr::null_mut(), nc_error::give(failure)),
            };
            // `done` expects `user`, which stays valid until the call has ended.
            done(user, status, answer, error);
        };
        let started = with_asked(name, parts, count, options, |name, parts, options| {
            caller::start(name, parts, options, Box::new(done))
        })?;
        if !call.is_null() {
            call.write(started.number());
        }
        Ok(NC_OK)
    };
    // SAFETY: `error` is NULL or may be written to.
    unsafe { guard_with_error(error, start) }
}

/// Cancels a call of nc_process_call_start, and all calls below it. `done` still runs, with
/// NC_CANCELLED unless the call ended in another way just before. Does nothing if the call has
/// ended. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn nc_process_call_cancel(call: u64) -> status {
    guard(|| {
        caller::cancel(StartedCall::of_number(call));
        Ok(NC_OK)
    })
}
