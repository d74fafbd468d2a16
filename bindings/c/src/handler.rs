//! Handlers, and serving them on threads that the library runs.

use crate::bytes::text;
use crate::facts::{NC_OK, status};
use crate::guard::{guard, guard_value, invalid};
use crate::request::nc_request;
use nightcore_runtime::stderr::write_stderr;
use nightcore_runtime::worker::{HandlerError, Handlers, Request, serve};
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// The code of a function. The library calls it on its worker threads, on several at the same time.
///
/// A handler ends its request by nc_reply, nc_fail or one of the related functions, and returns
/// NC_OK. If it returns NC_OK without a reply, the caller gets an empty answer. If it returns
/// another status without a reply, the call fails:
///
/// - If it is the status of the last operation of this request that failed, such as a call, the
///   caller gets that error with its causes.
/// - If it is another status below NC_INVALID_ARGUMENT, the call fails with this status.
/// - If it is any other number, the call fails with FUNCTION_FAILED.
///
/// `req` is valid until the handler returns, and belongs to the thread that the handler runs on.
/// `user` is the pointer that the program passed to nc_handle. A C++ exception must not leave a
/// handler. The thread must not end inside a handler: pthread_exit and pthread_cancel abort the
/// process.
pub type nc_handler = Option<unsafe extern "C" fn(req: *mut nc_request, user: *mut c_void) -> i32>;

static HANDLERS: Mutex<Handlers> = Mutex::new(Handlers::new());

/// The pointer that the program registered with a handler. The library passes it back unchanged.
struct HandlerUserData(*mut c_void);

// SAFETY: the library only passes the pointer to the handler, whose documentation says that it runs
// on many threads.
unsafe impl Send for HandlerUserData {}
// SAFETY: as above.
unsafe impl Sync for HandlerUserData {}

/// Registers the handler of a function, from any thread, before nc_serve. The library copies
/// `name`. It passes `user` to the handler at every call, so `user` must stay valid while the
/// process serves.
///
/// Returns NC_INVALID_ARGUMENT if `name` cannot name a function or has a handler already. The
/// library also writes the reason to standard error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_handle(
    name: *const c_char,
    handler: nc_handler,
    user: *mut c_void,
) -> status {
    guard(|| {
        // SAFETY: `name` is NULL or ends with a zero byte.
        let name = unsafe { text(name, "name") };
        let added = name.and_then(|name| {
            let function =
                handler.ok_or_else(|| invalid(format!("the handler of {name:?} is NULL")))?;
            let user = HandlerUserData(user);
            let run = move |request: &Request<'_>| {
                let user = &user;
                // SAFETY: `function` is a handler of the program, which takes a request and `user`.
                nc_request::run(request, |req| unsafe { function(req, user.0) })
                    .map_err(HandlerError::from)
            };
            HANDLERS.lock().unwrap_or_else(PoisonError::into_inner).add(name, Arc::new(run))
        });
        // The reason also goes to standard error, because most programs do not check the status of
        // a registration.
        added.inspect_err(|failure| {
            write_stderr(format_args!("nightcore: nc_handle: {}", failure.message));
        })?;
        Ok(NC_OK)
    })
}

/// Serves requests until the engine ends this process. The calling thread becomes the launching
/// thread. The library creates the threads for handlers when the engine asks for them.
///
/// Returns the process exit code for main, not an `NC_*` status: 0 after a normal end; 1 if the
/// engine is gone or cannot be reached; 2 if the process was started in a wrong way or refused, for
/// example because it has no handler for its function. If the code is not 0, the library has
/// written the reason to standard error.
#[unsafe(no_mangle)]
pub extern "C" fn nc_serve() -> i32 {
    guard_value(1, || {
        let handlers = HANDLERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match serve(&handlers) {
            Ok(()) => 0,
            Err(error) => {
                write_stderr(format_args!("nightcore: {error}"));
                i32::from(error.exit_code())
            }
        }
    })
}
