//! A worker thread: waits for a message, runs one call at a time.

use super::channel::{Incoming, Outgoing};
use super::compose;
use super::fork::is_forked;
use super::handlers::{Handler, guarded};
use super::payload::Input;
use super::request::Request;
use super::session::Session;
use super::thread_channel::{Closed, Step, ThreadChannel};
use crate::clock::now_ns;
use crate::ipc::slice::{SHORTEST_SLICE_NS, WORKER_SLICE_NS, ask_for_short_slice};
use crate::protocol::to_engine::Ready;
use std::sync::Arc;

/// The exit code of a fork that returned from a handler.
const EXIT_FORK_RETURNED: i32 = 1;

/// Runs calls until the engine retires this worker or goes away.
pub(super) fn run(
    session: Arc<Session>,
    slot: u32,
    (incoming, outgoing): (Incoming, Outgoing),
    handler: &Handler,
) {
    let channel = ThreadChannel::new(session, slot, incoming, outgoing);
    ask_for_short_slice(if channel.is_pipe() { SHORTEST_SLICE_NS } else { WORKER_SLICE_NS });
    if channel.send(&Ready { sent_at: now_ns() }.write()).is_err() {
        return;
    }
    loop {
        match channel.step(None) {
            Ok(Step::Dispatch(input)) => run_call(&channel, input, handler),
            Ok(Step::Other | Step::Own(_) | Step::Nothing) => {}
            Ok(Step::Retire) | Err(Closed) => return,
        }
    }
}

fn run_call(channel: &ThreadChannel, input: Input, handler: &Handler) {
    let began_at = now_ns();
    let call = input.call;
    let request = Request::new(input, channel, began_at);
    let outcome = guarded(|| handler(&request));
    if is_forked() {
        end_fork();
    }
    let reply = request.finish();
    let mut message = match (reply, outcome) {
        (Some(reply), outcome) => {
            if let Err(failure) = outcome {
                eprintln!(
                    "nightcore: {}: failed after it had answered: {}",
                    channel.session.function(),
                    failure.message
                );
            }
            reply
        }
        (None, Ok(())) => compose::complete_empty(call, began_at),
        (None, Err(failure)) => compose::failed(call, began_at, &failure),
    };
    channel.answered(call);
    message.set_ended(now_ns());
    // If the engine is gone, the next read says so.
    let _ = channel.send(&message);
}

/// Ends a fork whose handler returned. It must neither answer its parent's call nor read its
/// parent's channel.
fn end_fork() -> ! {
    eprintln!(
        "nightcore: a fork returned from a handler; only the parent can answer: \
         end the child by _exit"
    );
    // SAFETY: _exit only ends the process, without running what the parent registered for its own
    // end.
    unsafe { libc::_exit(EXIT_FORK_RETURNED) }
}
