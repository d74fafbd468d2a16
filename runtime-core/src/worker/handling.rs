//! Runs the handler of one request on a worker thread, up to the message that answers it.

use super::active::Active;
use super::compose;
use super::fork::is_forked;
use super::handlers::{Handler, guarded};
use super::request::Request;
use crate::complain::complain;
use crate::protocol::MessageBuffer;

/// The exit code of a fork that returned from a handler.
const EXIT_FORK_RETURNED: i32 = 1;

/// Runs a handler. Returns its answer, in which the time of its end is still to be set.
pub(super) fn handle(request: Request<'_>, handler: &Handler) -> MessageBuffer {
    let (call, began_at) = (request.answers(), request.began_at());
    let active = Active::begin();
    let outcome = guarded(|| handler(&request));
    drop(active);
    if is_forked() {
        end_fork();
    }
    if let (true, Err(failure)) = (request.is_answered(), &outcome) {
        let (function, text) = (request.function(), &failure.message);
        complain(format_args!("nightcore: {function}: failed after it had answered: {text}"));
    }
    match (request.finish(), outcome) {
        (Some(reply), _) => reply,
        (None, Ok(())) => compose::complete_empty(call, began_at),
        (None, Err(failure)) => compose::failed(call, began_at, &failure),
    }
}

/// Ends a fork whose handler returned. It must neither answer its parent's call nor read its
/// parent's channel.
fn end_fork() -> ! {
    complain(
        "nightcore: a fork returned from a handler; only the parent can answer: \
         end the child by _exit",
    );
    // SAFETY: _exit only ends the process, without running what the parent registered for its own
    // end.
    unsafe { libc::_exit(EXIT_FORK_RETURNED) }
}
