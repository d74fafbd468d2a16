//! Handlers and serving: the skin in which the library runs the threads.

use crate::bytes::text;
use crate::facts::NC_OK;
use crate::guard::{guard, guard_value, invalid};
use crate::request::nc_request;
use nightcore_runtime::complain::complain;
use nightcore_runtime::worker::{HandlerError, Handlers, Request, serve};
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// A function's code. It runs on a worker thread, on several at once, and answers by nc_reply or
/// one of its kin; an answer of NC_OK without a reply is an empty answer. Any other status fails
/// the call:
///
/// - the status of the last internal call of this request that failed: that error is passed on,
///   with its causes;
/// - another status below NC_INVALID_ARGUMENT: the call fails with it;
/// - anything else: FUNCTION_FAILED.
///
/// No exception may leave it, and its thread must not end in it: pthread_exit, and a pthread_cancel
/// of the thread, abort the process. `req` is valid until it returns, and belongs to the thread it
/// runs on.
pub type nc_handler = Option<unsafe extern "C" fn(req: *mut nc_request, user: *mut c_void) -> i32>;

static HANDLERS: Mutex<Handlers> = Mutex::new(Handlers::new());

/// What the program gave with a handler, handed back to it untouched.
struct User(*mut c_void);

// SAFETY: the pointer is only handed back to the program, which is told that handlers run on many
// threads.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

/// Registers the handler of a function. `name` is copied. `user` is handed to the handler and must
/// stay valid while functions are served. Call it before nc_serve, from any thread.
///
/// NC_INVALID_ARGUMENT: the name is not one, or has a handler already. The reason is also on
/// standard error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_handle(
    name: *const c_char,
    handler: nc_handler,
    user: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: a text that ends with a zero, as the header asks for.
        let name = unsafe { text(name, "name") };
        let added = name.and_then(|name| {
            let function =
                handler.ok_or_else(|| invalid(format!("the handler of {name:?} is NULL")))?;
            let user = User(user);
            let run = move |request: &Request<'_>| {
                let user = &user;
                // SAFETY: `function` is the program's own, made to be called with a request and its
                // `user`.
                nc_request::run(request, |req| unsafe { function(req, user.0) })
                    .map_err(HandlerError::from)
            };
            HANDLERS.lock().unwrap_or_else(PoisonError::into_inner).add(name, Arc::new(run))
        });
        // Most programs do not look at the status of a registration.
        added.inspect_err(|failure| {
            complain(format_args!("nightcore: nc_handle: {}", failure.message));
        })?;
        Ok(NC_OK)
    })
}

/// Serves until the engine ends this process. The calling thread becomes the launching thread;
/// handlers run on threads that the library makes when the engine asks for them.
///
/// Answers the exit code for main, not a status: 0 for a normal end; 1 if the engine went away or
/// cannot be reached; 2 if the process was started wrongly or refused, such as when it has no
/// handler for its function. When it is not 0 the reason has been printed to standard error.
#[unsafe(no_mangle)]
pub extern "C" fn nc_serve() -> i32 {
    guard_value(1, || {
        let handlers = HANDLERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match serve(&handlers) {
            Ok(()) => 0,
            Err(error) => {
                complain(format_args!("nightcore: {error}"));
                i32::from(error.exit_code())
            }
        }
    })
}
