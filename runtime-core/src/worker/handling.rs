//! Runs the handler of one request on a worker thread, and composes the message that answers it.

use super::active::Active;
use super::compose;
use super::fork::is_forked;
use super::handlers::{Handler, guarded};
use super::request::Request;
use super::running::RunningCall;
use crate::protocol::MessageBuffer;
use crate::stderr::write_stderr;

/// The exit code of a fork that returned from a handler.
const EXIT_FORK_RETURNED: i32 = 1;

/// Runs a handler. Returns its answer, in which the time of the handler's end must still be set.
pub(super) fn handle(request: Request<'_>, handler: &Handler) -> MessageBuffer {
    let (call, began_at) = (request.answers(), request.began_at());
    let active = Active::begin();
    let outcome = guarded(|| handler(&request));
    drop(active);
    if is_forked() {
        end_fork();
    }
    let failed = outcome.err().and_then(|error| {
        if request.is_answered() {
            error.report_unheard(&request);
            return None;
        }
        let failure = error.report(&request, request.cancel_reason());
        Some(compose::failed(call, began_at, &failure))
    });
    let reply = request.finish().or(failed);
    reply.unwrap_or_else(|| compose::complete_empty(call, began_at))
}

/// Ends a fork whose handler returned. It must neither answer its parent's call nor read its
/// parent's channel.
fn end_fork() -> ! {
    write_stderr(
        "nightcore: a fork returned from a handler; only the parent can answer: \
         end the child by _exit",
    );
    // SAFETY: _exit only ends the process, without running the exit handlers that the parent
    // registered.
    unsafe { libc::_exit(EXIT_FORK_RETURNED) }
}
