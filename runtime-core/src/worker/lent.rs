//! A worker thread that is lent to another container. It runs the calls of a direct channel until
//! the engine recalls it.

use super::active::is_idle;
use super::callee_end::CalleeEnd;
use super::compose;
use super::handlers::Handler;
use super::handling::handle;
use super::payload::{DirectCalled, Input};
use super::request::{DirectRun, Request};
use super::rest::SELDOM_NS;
use super::thread_channel::{Closed, Step, ThreadChannel};
use crate::clock::now_ns;
use crate::ipc::desk::{DirectTimes, Seat};
use crate::ipc::direct::DirectState;
use crate::ipc::place::{Home, Place, leave};
use crate::ipc::ring::{Sent, this_core};
use crate::ipc::spin::{Prediction, spin};
use crate::protocol::{Broken, CallNumber, CancelReason, MessageBuffer};

/// The callee's end of a direct channel, and statistics of its calls.
struct Serving {
    end: CalleeEnd,
    /// Predicts how soon the next call comes.
    calls: Prediction,
    /// When the last call ended, in ns.
    ended_at: u64,
    recalled: bool,
    /// Whether a call was taken after the end of the lease was noticed.
    has_last: bool,
    /// The core to which its thread is bound.
    home: Home,
    /// Whether the thread rests on the caller's core, or would if it were allowed to run there. It
    /// rests when no call has come for a while.
    rests: bool,
    /// How short the calls were lately: a short call adds one, and a longer one subtracts
    /// [`BINDS_AFTER`].
    short_calls: u32,
    /// How many calls in a row came from another core.
    from_elsewhere: u32,
    /// Moves the thread away from the caller's core.
    place: Place,
}

impl Serving {
    fn new(end: CalleeEnd) -> Serving {
        Serving {
            end,
            calls: Prediction::default(),
            ended_at: 0,
            recalled: false,
            has_last: false,
            home: Home::default(),
            rests: false,
            short_calls: 0,
            from_elsewhere: 0,
            place: Place::default(),
        }
    }

    /// Binds the thread to a core, and publishes that core for callers.
    fn bind(&mut self, core: u32) {
        self.from_elsewhere = 0;
        self.home.bind(core);
        self.end.file.set_home(self.home.core());
    }

    /// Lets the thread run on all its cores.
    fn unbind(&mut self) {
        if self.home.core().is_some() {
            self.home.leave();
            self.end.file.set_home(None);
        }
    }

    /// Whether the next call is expected soon and no other thread has work, so that spinning pays.
    fn expects_soon(&self) -> bool {
        self.calls.is_soon() && self.end.file.caller_is_alone() && is_idle()
    }
}

/// The next step of the thread.
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
    if let Some(end) = lents.take(lease) {
        let mut serving = Serving::new(*end);
        let served = serve(channel, lease, &mut serving, handler);
        lents.remove(lease);
        serving.unbind();
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
    serving: &mut Serving,
    handler: &Handler,
) -> Result<(), Closed> {
    loop {
        match next(channel, lease, serving)? {
            Next::Run => {}
            Next::Wait => {
                wait(channel, serving);
                continue;
            }
            Next::End => return Ok(()),
        }
        // A caller that breaks a rule is served no longer.
        if run_next(channel, lease, serving, handler).is_err() {
            return Ok(());
        }
    }
}

/// Handles the engine's messages, and checks whether a call is here.
fn next(channel: &ThreadChannel, lease: CallNumber, serving: &mut Serving) -> Result<Next, Closed> {
    while channel.has_message() {
        match channel.step(None)? {
            Step::Recalled(recalled) => serving.recalled |= recalled == lease,
            Step::Other | Step::Own(_) | Step::Nothing | Step::Resumed(_) => {}
            // The engine must not dispatch calls to a lent worker.
            Step::Dispatch(_) | Step::Lent(_) | Step::Retire => return Err(Closed),
        }
    }
    if channel.session.has_ended() {
        return Err(Closed);
    }
    let end = &serving.end;
    // A handler that waited for the engine may have read the message itself; then the file shows
    // the end.
    let ends = serving.recalled || end.file.has_ended();
    // After the end no new call begins, so at most one is here.
    if end.reader.has_message() && !serving.has_last {
        serving.has_last = ends;
        return Ok(Next::Run);
    }
    if ends || serving.has_last {
        if end.file.refuse() {
            end.peer.wake_caller(&end.file);
        }
        return Ok(Next::End);
    }
    Ok(Next::Wait)
}

/// Spins if a call is expected soon, then parks. After a while without a call, the thread rests on
/// the core from which it was called last: see [`super::rest`].
fn wait(channel: &ThreadChannel, serving: &mut Serving) {
    let end = &serving.end;
    let caller = end.reader.writer_core();
    if caller != this_core() && serving.expects_soon() && spin(|| is_here(channel, end)) {
        return;
    }
    let is_elsewhere = serving.home.core() != Some(caller);
    let moves = !serving.rests && is_elsewhere && end.peer.is_thread() && channel.may_move();
    let rests_at = moves.then(|| now_ns().saturating_add(SELDOM_NS));
    if end.reader.begin_wait() && !channel.has_message() && !channel.session.has_ended() {
        end.reader.park(rests_at);
    }
    end.reader.end_wait();
    if rests_at.is_some_and(|at| now_ns() >= at) && !is_here(channel, end) {
        serving.rests = true;
        serving.bind(caller);
    }
}

/// Whether a call or a message of the engine is here.
fn is_here(channel: &ThreadChannel, end: &CalleeEnd) -> bool {
    end.reader.has_message() || channel.has_message()
}

/// Frees the memory of an answer that is not sent.
fn take_back(end: &CalleeEnd, reply: &MessageBuffer) {
    if let Some(place) = reply.block() {
        end.memory.take_back(place.block);
    }
}

/// Runs the call that is here.
fn run_next(
    channel: &ThreadChannel,
    lease: CallNumber,
    serving: &mut Serving,
    handler: &Handler,
) -> Result<(), Broken> {
    serving.rests = false;
    if serving.short_calls < BINDS_AFTER {
        serving.unbind();
    }
    let end = &mut serving.end;
    end.reader.give_back();
    let Some(message) = end.reader.take()? else { return Ok(()) };
    let call = DirectCalled::receive(&message, &end.memory)?;
    serving.calls.learn(call.sent_at.saturating_sub(serving.ended_at));
    if end.file.state() != DirectState::Called {
        // The caller has left already.
        let (left, now) = (end.file.finish(), now_ns());
        if let (Some(reason), Some(desk)) = (left, channel.desk()) {
            let times = DirectTimes { sent_at: call.sent_at, began_at: now, ended_at: now };
            desk.end(Seat::OF_THREAD, reason.status(), times);
        }
        return Ok(());
    }
    channel.begin_direct(lease)?;
    let (number, deadline, sent_at) = (call.call, call.deadline.get(), call.sent_at);
    let input = Input::of_direct_call(&channel.session, (lease, end.caller.clone()), call);
    if let Some(desk) = channel.desk() {
        desk.take(Seat::OF_THREAD, lease);
        desk.begin(Seat::OF_THREAD, deadline);
    }
    let began_at = now_ns();
    let direct = DirectRun { file: &end.file, memory: &end.memory };
    let mut reply = handle(Request::new(input, channel, began_at, Some(direct)), handler);
    channel.answered_directly(lease);
    let ended_at = now_ns();
    if ended_at >= deadline {
        take_back(end, &reply);
        reply = compose::late(number, began_at, channel.session.function());
    }
    // From here on, either the answer counts for both sides, or the end of the wait does.
    let left = end.file.finish();
    if let Some(desk) = channel.desk() {
        let status = left.map_or_else(|| reply.status(), CancelReason::status);
        desk.end(Seat::OF_THREAD, status, DirectTimes { sent_at, began_at, ended_at });
    }
    if left.is_none() {
        reply.set_ended(ended_at);
        if end.writer.send(reply.as_bytes()) == Sent::Ring {
            end.peer.ring(&end.writer);
        }
    } else {
        take_back(end, &reply);
    }
    serving.ended_at = ended_at;
    let own_ns = ended_at.saturating_sub(began_at).saturating_sub(channel.take_waited());
    settle(channel, serving, own_ns);
    Ok(())
}

/// The callee follows its caller to another core after this many calls in a row from there. It does
/// not follow at once, since a caller that was just moved may be moved back.
const FOLLOWS_AFTER: u32 = 3;
/// A callee is bound to a core only while its handler takes at most this long, in ns, without its
/// waits. Threads and processes that a handler starts would inherit the binding, but starting a
/// thread takes longer than this.
const SHORT_NS: u64 = 20_000;
/// How many short calls in a row are needed before a callee is bound. A longer call subtracts this
/// number, so that a callee of short calls stays bound when a single one is slow.
const BINDS_AFTER: u32 = 16;

/// Decides on which core the thread runs. `own_ns` is the time that the handler took without its
/// waits.
///
/// A callee that spins needs a core of its own, but only once calls have come for a while: a burst
/// of a few calls ends sooner on one core than it takes to move the threads apart. A callee that
/// parks is woken soonest on the caller's core, which the caller leaves when it waits.
fn settle(channel: &ThreadChannel, serving: &mut Serving, own_ns: u64) {
    serving.short_calls = match own_ns <= SHORT_NS {
        true => (serving.short_calls + 1).min(2 * BINDS_AFTER),
        false => serving.short_calls.saturating_sub(BINDS_AFTER),
    };
    let caller = serving.end.reader.writer_core();
    if serving.expects_soon() {
        let here = this_core();
        if here != caller {
            serving.unbind();
        }
        if channel.may_move() && serving.place.is_to_leave(here, caller, now_ns) {
            serving.unbind();
            leave(here);
        }
    } else if serving.short_calls < BINDS_AFTER || !serving.end.peer.is_thread() {
        // An event loop does not leave its core while it waits.
        serving.unbind();
    } else if serving.home.core() == Some(caller) {
        serving.from_elsewhere = 0;
    } else {
        serving.from_elsewhere += 1;
        if serving.from_elsewhere >= FOLLOWS_AFTER && channel.may_move() {
            serving.bind(caller);
        }
    }
}
