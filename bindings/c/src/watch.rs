//! Code that runs when a request is cancelled.

use crate::bytes::present;
use crate::facts::{NC_OK, status};
use crate::guard::{guard, guard_value, invalid};
use crate::request::nc_request;
use nightcore_runtime::worker::Watch;
use std::ffi::c_void;

/// Code that runs when a request is cancelled. It must not throw. It should be short, because other
/// such code waits for it.
pub type nc_on_cancel = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// The registration of code that runs when a request is cancelled. Opaque. Belongs to the program
/// until nc_watch_free.
pub struct nc_watch {
    // The field exists only to be dropped. It is `None` for a test's request.
    _watch: Option<Watch>,
}

/// The pointer that the program gave with its code. The library passes it back unchanged.
struct CancelUserData(*mut c_void);

// SAFETY: the pointer is only handed back to the program, which is told that another thread does
// so.
unsafe impl Send for CancelUserData {}

/// Runs code once when the request of a handler is cancelled: the library calls `run` with `user`.
/// Allowed on the handler's thread only.
///
/// The library calls `run` a few milliseconds after the cancellation, on a thread of its own that
/// runs all such code of the process one after the other. If the request is cancelled already, this
/// function calls `run` itself. `run` may therefore run at the same time as the handler, and may
/// use the request in the ways that are allowed on any thread.
///
/// `*watch` belongs to the program: free it by nc_watch_free before the memory behind `user` goes
/// away. When the handler returns, the library never starts `run` any more. While a watch exists,
/// the library looks for cancellations every millisecond; otherwise it never does.
///
/// Returns NC_INVALID_STATE if the request has ended or came from nc_worker_next, which reports a
/// cancellation by NC_EVENT_CANCELLED. Returns NC_OVERLOADED if the thread cannot be created.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_on_cancel(
    req: *mut nc_request,
    run: nc_on_cancel,
    user: *mut c_void,
    watch: *mut *mut nc_watch,
) -> status {
    // SAFETY: a request and a place for the watch, as the header asks for.
    guard(|| unsafe {
        present(watch, "watch")?;
        watch.write(std::ptr::null_mut());
        let run = run.ok_or_else(|| invalid("run is NULL"))?;
        nc_request::operate(req, |content| {
            let user = CancelUserData(user);
            let made = content.side.on_cancel(Box::new(move || {
                let CancelUserData(user) = { user };
                // SAFETY: the program's own code, made to be called with its `user`, which it keeps
                // until the watch ends.
                run(user);
            }))?;
            watch.write(Box::into_raw(Box::new(nc_watch { _watch: made })));
            Ok(NC_OK)
        })
    })
}

/// Frees a watch; takes NULL. Afterwards its code does not run any more. If the code is running on
/// another thread, this function waits for its end. Any thread may call it, also the code itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_watch_free(watch: *mut nc_watch) {
    guard_value((), || {
        if !watch.is_null() {
            // SAFETY: a watch of the caller's own, as the header asks for, which
            // `nc_request_on_cancel` has made.
            drop(unsafe { Box::from_raw(watch) });
        }
    });
}
