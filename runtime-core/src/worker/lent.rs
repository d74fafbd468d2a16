//! A worker thread that is lent to another container: it runs the calls of a direct channel, until
//! the engine recalls it.

use super::active::is_idle;
use super::callee_end::CalleeEnd;
use super::compose;
use super::handlers::Handler;
use super::handling::handle;
use super::payload::{Input, Payload};
use super::request::{DirectRun, Request};
use super::thread_channel::{Closed, Step, ThreadChannel};
use crate::clock::now_ns;
use crate::ipc::desk::DirectTimes;
use crate::ipc::direct::DirectState;
use crate::ipc::ring::{Sent, this_core};
use crate::ipc::spin::spin;
use crate::protocol::direct::DirectCall;
use crate::protocol::{Broken, CallNumber, CancelReason};

/// What to do next.
enum Next {
    Run,
    Wait,
    End,
}

/// Runs the calls of a lease until the engine takes it back.
pub(super) fn run(
    channel: &ThreadChannel,
    lease: CallNumber,
    handler: &Handler,
) -> Result<(), Closed> {
    let lents = &channel.session.lents;
    if let Some(mut end) = lents.take(lease) {
        let served = serve(channel, lease, &mut end, handler);
        lents.remove(lease);
        end.unbind();
        served?;
    }
    let now = now_ns();
    channel.answered(lease);
    let mut message = compose::complete_empty(lease, now);
    message.set_ended(now);
    channel.send(&message).map_err(|_| Closed)
}

fn serve(
    channel: &ThreadChannel,
    lease: CallNumber,
    end: &mut CalleeEnd,
    handler: &Handler,
) -> Result<(), Closed> {
    loop {
        match next(channel, lease, end)? {
            Next::Run => {}
            Next::Wait => {
                wait(channel, end);
                continue;
            }
            Next::End => return Ok(()),
        }
        // A caller that breaks a rule is served no longer.
        if run_next(channel, lease, end, handler).is_err() {
            return Ok(());
        }
    }
}

/// What the engine wants, and whether a call is here.
fn next(channel: &ThreadChannel, lease: CallNumber, end: &mut CalleeEnd) -> Result<Next, Closed> {
    while channel.has_message() {
        match channel.step(None)? {
            Step::Recalled(recalled) => end.recalled |= recalled == lease,
            Step::Other | Step::Own(_) | Step::Nothing | Step::Resumed(_) => {}
            // Nothing is dispatched to a worker that is lent.
            Step::Dispatch(_) | Step::Lent(_) | Step::Retire => return Err(Closed),
        }
    }
    if channel.session.has_ended() {
        return Err(Closed);
    }
    if end.reader.has_message() {
        return Ok(Next::Run);
    }
    // A handler that waited for the engine has read the message itself.
    if end.recalled || end.file.has_ended() {
        if end.file.refuse() {
            end.file.wake_caller();
        }
        return Ok(Next::End);
    }
    Ok(Next::Wait)
}

/// Spins if a call is expected soon, then parks.
fn wait(channel: &ThreadChannel, end: &mut CalleeEnd) {
    let is_here = || end.reader.has_message() || channel.has_message();
    let is_elsewhere = end.reader.writer_core() != this_core();
    if is_elsewhere && expects_soon(end) && spin(is_here) {
        return;
    }
    if end.reader.begin_wait() && !channel.has_message() && !channel.session.has_ended() {
        end.reader.park(None);
    }
    end.reader.end_wait();
}

/// Whether the next call comes soon, and nobody else has work: then spinning pays.
fn expects_soon(end: &CalleeEnd) -> bool {
    end.calls.is_soon() && end.file.caller_is_alone() && is_idle()
}

/// Runs the call that is here.
fn run_next(
    channel: &ThreadChannel,
    lease: CallNumber,
    end: &mut CalleeEnd,
    handler: &Handler,
) -> Result<(), Broken> {
    end.reader.give_back();
    let Some(message) = end.reader.take()? else { return Ok(()) };
    let call = DirectCall::read(&message)?;
    let payload = Payload::receive_direct(call.payload, &end.memory)?;
    end.calls.learn(call.sent_at.saturating_sub(end.ended_at));
    if end.file.state() != DirectState::Called {
        // Its caller has left already.
        let (left, now) = (end.file.finish(), now_ns());
        if let (Some(reason), Some(desk)) = (left, channel.desk()) {
            let times = DirectTimes { sent_at: call.sent_at, began_at: now, ended_at: now };
            desk.end(reason.status(), times);
        }
        return Ok(());
    }
    channel.begin_direct(lease)?;
    let (deadline, sent_at) = (call.deadline.get(), call.sent_at);
    let input =
        Input::of_direct_call(&channel.session, (lease, end.caller.clone()), &call, payload);
    if let Some(desk) = channel.desk() {
        desk.begin(deadline);
    }
    let began_at = now_ns();
    let direct = DirectRun { file: &end.file, memory: &end.memory };
    let mut reply = handle(Request::new(input, channel, began_at, Some(direct)), handler);
    channel.answered_directly(lease);
    let ended_at = now_ns();
    // From here on either the answer or the end of the wait counts, for both sides.
    let left = end.file.finish();
    if let Some(desk) = channel.desk() {
        let status = left.map_or_else(|| reply.status(), CancelReason::status);
        desk.end(status, DirectTimes { sent_at, began_at, ended_at });
    }
    if left.is_none() {
        reply.set_ended(ended_at);
        if end.writer.send(reply.as_bytes()) == Sent::Ring {
            end.writer.wake();
        }
    } else if let Some(place) = reply.block() {
        end.memory.take_back(place.block);
    }
    end.ended_at = ended_at;
    settle(channel, end, ended_at.saturating_sub(began_at).saturating_sub(channel.take_waited()));
    Ok(())
}

/// The number of calls in a row from another core after which a callee follows: a caller that has
/// only just been moved may be moved back.
const FOLLOWS_AFTER: u32 = 3;
/// Threads and processes that a handler starts inherit where it may run, so a callee is bound only
/// while its handler is too short to start any: it takes at most this long, in ns, without its
/// waits. To start a thread takes longer.
const SHORT_NS: u64 = 20_000;
/// The number of calls in a row that must be short before a callee is bound.
const BINDS_AFTER: u32 = 16;

/// Decides where the thread runs. A callee that spins needs a core of its own. One that parks is
/// woken soonest on the caller's core, which the caller leaves when it waits. `own_ns`: what the
/// handler took without its waits.
fn settle(channel: &ThreadChannel, end: &mut CalleeEnd, own_ns: u64) {
    end.short_calls = if own_ns <= SHORT_NS { (end.short_calls + 1).min(BINDS_AFTER) } else { 0 };
    let caller = end.reader.writer_core();
    if expects_soon(end) {
        end.unbind();
        if channel.may_move() {
            end.place.looks(this_core(), caller, now_ns);
        }
    } else if end.short_calls < BINDS_AFTER {
        end.unbind();
    } else if end.home.core() == Some(caller) {
        end.from_elsewhere = 0;
    } else {
        end.from_elsewhere += 1;
        if end.from_elsewhere >= FOLLOWS_AFTER && channel.may_move() {
            end.bind(caller);
        }
    }
}
