//! Callbacks that run when a request is cancelled.

use crate::bytes::present;
use crate::facts::{NC_OK, status};
use crate::guard::{guard, guard_value, invalid};
use crate::request::nc_request;
use nightcore_runtime::worker::Watch;
use std::ffi::c_void;

/// A callback that runs when a request is cancelled. It must not throw. It should be short, because
/// it delays other such callbacks.
pub type nc_on_cancel = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// The registration of a callback that runs when a request is cancelled. Opaque. The program owns
/// it until nc_watch_free.
pub struct nc_watch {
    // The field exists only to be dropped. It is `None` for a test's request.
    _watch: Option<Watch>,
}

/// The pointer that the program gave with its callback. The library passes it back unchanged.
struct CancelUserData(*mut c_void);

// SAFETY: the library only passes the pointer to the callback, whose registration documents that it
// runs on another thread.
unsafe impl Send for CancelUserData {}

/// Registers a callback for the cancellation of a handler's request: the library then calls `run`
/// once with `user`. Allowed on the handler's thread only.
///
/// The library calls `run` a few milliseconds after the cancellation, on a thread of its own that
/// runs all such callbacks of the process one after the other. If the request is cancelled already,
/// this function calls `run` itself. `run` may therefore run at the same time as the handler, and
/// may use the request in the ways that are allowed on any thread.
///
/// `*watch` belongs to the program: free it by nc_watch_free before the memory behind `user` goes
/// away. After the handler has returned, the library does not call `run` any more. While a watch
/// exists, the library polls for cancellations every millisecond; otherwise it does not poll.
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
    // SAFETY: the program passes a request and a place for the watch.
    guard(|| unsafe {
        present(watch, "watch")?;
        watch.write(std::ptr::null_mut());
        let run = run.ok_or_else(|| invalid("run is NULL"))?;
        nc_request::operate(req, |content| {
            let user = CancelUserData(user);
            let made = content.side.on_cancel(Box::new(move || {
                let CancelUserData(user) = { user };
                // SAFETY: `run` is a callback that takes `user`, which stays valid until the watch
                // is freed.
                run(user);
            }))?;
            watch.write(Box::into_raw(Box::new(nc_watch { _watch: made })));
            Ok(NC_OK)
        })
    })
}

/// Frees a watch. Does nothing if `watch` is NULL. Afterwards its callback does not run any more.
/// If the callback is running on another thread, this function waits for its end. Any thread may
/// call it, also the callback itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_watch_free(watch: *mut nc_watch) {
    guard_value((), || {
        if !watch.is_null() {
            // SAFETY: `nc_request_on_cancel` made the watch, and the program gives up ownership.
            drop(unsafe { Box::from_raw(watch) });
        }
    });
}
