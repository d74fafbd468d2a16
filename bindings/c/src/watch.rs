//! Code that runs when a request is cancelled.

use crate::bytes::present;
use crate::facts::NC_OK;
use crate::guard::{guard, guard_value, invalid};
use crate::request::nc_request;
use nightcore_runtime::worker::{RunningCall, Watch};
use std::ffi::c_void;

/// Code that runs when a request is cancelled. It must not throw, and should be short: others wait
/// for it.
pub type nc_on_cancel = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// Says that code is to run when a request is cancelled. Opaque.
pub struct nc_watch {
    // Only dropped.
    _watch: Watch,
}

/// What the program gave with its code, handed back to it untouched.
struct User(*mut c_void);

// SAFETY: the pointer is only handed back to the program, which is told that another thread does
// so.
unsafe impl Send for User {}

/// Has `run` called with `user` when nobody waits for the answer to a handler's request any more:
/// the caller has left or the deadline has passed. On the handler's thread only. It is called once,
/// some milliseconds later, on a thread of the library's that calls all such code of the process,
/// one after the other; or here and now if the request is cancelled already. So it may run while
/// the handler does, and may use of the request what any thread may.
///
/// The watch, in `watch`, is the caller's, to be freed by nc_watch_free before what `user` points
/// to goes. It ends in any case when the handler returns. While any is there the library looks for
/// cancellations a thousand times a second; nothing does otherwise.
///
/// NC_INVALID_STATE: the request has ended, or is one of nc_worker_next, which is told by
/// NC_EVENT_CANCELLED. NC_OVERLOADED: the thread cannot be made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_on_cancel(
    req: *mut nc_request,
    run: nc_on_cancel,
    user: *mut c_void,
    watch: *mut *mut nc_watch,
) -> i32 {
    // SAFETY: a request and a place for the watch, as the header asks for.
    guard(|| unsafe {
        present(watch, "watch")?;
        watch.write(std::ptr::null_mut());
        let run = run.ok_or_else(|| invalid("run is NULL"))?;
        nc_request::operate(req, |content| {
            let user = User(user);
            let made = content.side.on_cancel(Box::new(move || {
                let User(user) = { user };
                // SAFETY: the program's own code, made to be called with its `user`, which it keeps
                // until the watch ends.
                run(user);
            }))?;
            watch.write(Box::into_raw(Box::new(nc_watch { _watch: made })));
            Ok(NC_OK)
        })
    })
}

/// Frees a watch; takes NULL. From here on its code does not run any more: if it runs now on
/// another thread, this waits for its end. From any thread, also from that code itself.
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
