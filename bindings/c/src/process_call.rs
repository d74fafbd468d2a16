//! Calls that the process makes outside of any request.

use crate::answer::nc_answer;
use crate::bytes::nc_bytes;
use crate::call::{give_answer, nc_call_options, with_asked};
use crate::error::nc_error;
use crate::facts::NC_OK;
use crate::guard::{guard, invalid, number};
use crate::guard_error::guard_with_error;
use nightcore_runtime::worker::caller::{self, StartedCall};
use std::ffi::{c_char, c_void};

/// Takes the end of a call of nc_process_call_start: its status, and the answer or the reason why
/// there is none, which is then the program's, as nc_call_with gives it. It must not throw, and
/// should be short: the ends of other calls wait for it.
pub type nc_on_answer = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        status: i32,
        answer: *mut nc_answer,
        error: *mut nc_error,
    ),
>;

/// What the program gave with its code, handed back to it untouched.
struct User(*mut c_void);

// SAFETY: the pointer is only handed back to the program, which is told that another thread does
// so.
unsafe impl Send for User {}

/// As nc_call_with, outside of any request: from any thread of a process that serves, also while
/// none of its handlers runs. The call has no request above it, so the end of a request does not
/// cancel it. Its deadline is the function's own timeout, or sooner by `options`.
///
/// Such calls can be made until the process ends, also after nc_serve has returned; with an event
/// loop until nc_worker_free, or longer if there was one before. The first one makes a channel, and
/// a thread of the library's, nc-caller.
///
/// NC_INVALID_STATE: the process does not serve, or this is the thread of nc_on_answer, which must
/// not wait. NC_OVERLOADED: 1024 such calls are under way. NC_UNAVAILABLE: the engine has gone, or
/// is too old.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_process_call(
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    answer: *mut *mut nc_answer,
    error: *mut *mut nc_error,
) -> i32 {
    // SAFETY: what the header asks for.
    let call = || unsafe { with_asked(name, parts, count, options, caller::call) };
    // SAFETY: what the header asks for.
    unsafe { guard_with_error(error, || give_answer(answer, call)) }
}

/// As nc_process_call, without waiting: `done` is called with `user` when the call has ended, once,
/// on the thread nc-caller, maybe before this function returns. `call`, which may be NULL, is given
/// the call's number, for nc_process_call_cancel.
///
/// NC_OK: the call is under way. Otherwise `done` is not called.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)] // Of nc_call_start, with whom to tell in place of the request.
pub unsafe extern "C" fn nc_process_call_start(
    name: *const c_char,
    parts: *const nc_bytes,
    count: usize,
    options: *const nc_call_options,
    done: nc_on_answer,
    user: *mut c_void,
    call: *mut u64,
    error: *mut *mut nc_error,
) -> i32 {
    // SAFETY: what the header asks for.
    let start = || unsafe {
        let done = done.ok_or_else(|| invalid("done is NULL"))?;
        let user = User(user);
        let done = move |result| {
            let User(user) = { user };
            let (status, answer, error) = match result {
                Ok(answer) => (NC_OK, nc_answer::give(answer), std::ptr::null_mut()),
                Err(failure) => (number(&failure), std::ptr::null_mut(), nc_error::give(failure)),
            };
            // The program's own code, made to be called with its `user` at the end of the call,
            // which it keeps until then.
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
    // SAFETY: what the header asks for.
    unsafe { guard_with_error(error, start) }
}

/// Says that the answer to a call of nc_process_call_start is not wanted any more. It and all calls
/// below it are cancelled; it still ends, with NC_CANCELLED unless it has just ended otherwise. A
/// call that has ended already is left alone. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn nc_process_call_cancel(call: u64) -> i32 {
    guard(|| {
        caller::cancel(StartedCall::of_number(call));
        Ok(NC_OK)
    })
}
