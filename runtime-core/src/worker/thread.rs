//! A worker thread, which waits for messages and runs one call at a time.

use super::channel::{Incoming, Outgoing};
use super::handlers::Handler;
use super::handling::handle;
use super::lent;
use super::payload::Input;
use super::request::Request;
use super::session::Session;
use super::thread_channel::{Closed, Step, ThreadChannel};
use crate::clock::now_ns;
use crate::ipc::slice::{SHORTEST_SLICE_NS, WORKER_SLICE_NS, ask_for_short_slice};
use crate::protocol::to_engine::Ready;
use std::sync::Arc;

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
            Ok(Step::Lent(lease)) => {
                if lent::run(&channel, lease, handler).is_err() {
                    return;
                }
            }
            Ok(
                Step::Other | Step::Own(_) | Step::Nothing | Step::Recalled(_) | Step::Resumed(_),
            ) => {}
            Ok(Step::Retire) | Err(Closed) => return,
        }
    }
}

fn run_call(channel: &ThreadChannel, input: Input, handler: &Handler) {
    let call = input.call;
    let mut message = handle(Request::new(input, channel, now_ns(), None), handler);
    channel.answered(call);
    message.set_ended(now_ns());
    // If the engine is gone, the next read reports it.
    let _ = channel.send(&message);
}
