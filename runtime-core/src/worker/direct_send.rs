//! Sends direct calls and takes their answers, for worker threads and event loops.

use super::answer::{self, Answer};
use super::compose::{Body, OutgoingCall};
use super::leases::CallerEnd;
use super::memory::Memory;
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::ring::Sent;
use crate::protocol::direct::DirectAnswer;
use crate::protocol::to_engine::HandlerTimes;
use crate::protocol::{Broken, CallNumber, CancelReason, Failure, Status};
use std::num::NonZeroU64;

/// How long after the deadline an answer may still arrive, in ns, if the callee has decided to send
/// it. Between the decision and the sending lie only a few instructions.
pub(super) const ANSWER_COMES_WITHIN_NS: u64 = 1_000_000;

/// A direct call that was sent.
pub(super) struct SentCall {
    pub(super) number: CallNumber,
    pub(super) sent_at: u64,
    /// The deadline, in ns of the monotonic clock.
    pub(super) deadline: u64,
    /// Whether the callee was not parked.
    pub(super) is_seen: bool,
}

/// The reason why a direct call was not sent.
pub(super) enum NotSent {
    /// The call must go through the engine.
    NeedsEngine,
    /// The call cannot be made either way.
    Failed(Failure),
}

impl From<Failure> for NotSent {
    fn from(failure: Failure) -> NotSent {
        // A call through the engine may find more room.
        match failure.status {
            Status::Overloaded => NotSent::NeedsEngine,
            _ => NotSent::Failed(failure),
        }
    }
}

/// Whether a call can be made by this lease at all.
#[inline]
pub(super) fn is_possible(end: &CallerEnd, call: &OutgoingCall<'_>) -> bool {
    // A buffer lies in memory that the callee does not map.
    matches!(call.body, Body::Parts(_)) && call.maker.depth < end.max_depth
}

/// Whether a direct call would overtake no queued call, and the slot of this handler is not needed.
fn may_call(session: &Session, end: &CallerEnd) -> bool {
    let (Some(board), Some(own)) = (session.board(), session.function_id()) else {
        return false;
    };
    !board.get(end.callee).is_queued && !board.get(own).is_full
}

/// Sends a call by this lease. `is_alone` says that no other handler runs in this process.
/// `is_cancelled` tells whether the request that makes the call is cancelled. If it is, the call
/// goes through the engine, which refuses it.
pub(super) fn send(
    session: &Session,
    end: &mut CallerEnd,
    call: OutgoingCall<'_>,
    is_alone: bool,
    is_cancelled: impl Fn() -> bool,
) -> Result<SentCall, NotSent> {
    let maker = call.maker;
    let sent_at = now_ns();
    let own = NonZeroU64::new(sent_at.saturating_add(end.timeout_ns));
    let deadlines = [own, maker.deadline, call.asked_deadline(sent_at)];
    let deadline = deadlines.into_iter().flatten().min().ok_or(NotSent::NeedsEngine)?;
    if deadline.get() <= sent_at || !end.state.file.claim(maker.call, is_alone) {
        return Err(NotSent::NeedsEngine);
    }
    // The board and the cancellation are checked after the claim. The engine writes the board
    // first, and then lends the slots of handlers that have claimed a call. It cancels requests in
    // the same order.
    if !may_call(session, end) || is_cancelled() {
        end.state.file.unclaim();
        return Err(NotSent::NeedsEngine);
    }
    let number = end.next_call();
    let room = (&end.memory as &dyn Memory, session.max_body_bytes());
    let message = call
        .compose_direct(room, (number, deadline), sent_at)
        .inspect_err(|_| end.state.file.unclaim())?;
    let is_seen = match end.writer.send(message.as_bytes()) {
        Sent::Seen => true,
        Sent::Ring => {
            end.peer.ring(&end.writer);
            false
        }
        // This cannot happen, as the ring holds many calls and only one is under way at a time.
        Sent::Full => {
            if let Some(place) = message.block() {
                end.memory.take_back(place.block);
            }
            end.state.file.unclaim();
            return Err(NotSent::NeedsEngine);
        }
    };
    Ok(SentCall { number, sent_at, deadline: deadline.get(), is_seen })
}

/// Takes the answer to the call with this number, if it is here.
///
/// # Errors
///
/// If the callee broke a rule.
#[inline]
pub(super) fn take_answer(
    end: &mut CallerEnd,
    number: CallNumber,
) -> Result<Option<Result<Answer, Failure>>, Broken> {
    // The callee never waits for room, as only one answer is under way at a time.
    end.reader.give_back();
    let Some(message) = end.reader.take()? else { return Ok(None) };
    let answer = DirectAnswer::read(&message)?;
    if answer.call() != number {
        return Err(Broken::Call(answer.call().number()));
    }
    Ok(Some(match answer {
        DirectAnswer::Complete(complete) => {
            let HandlerTimes { began_at, ended_at, .. } = complete.times;
            end.answers.learn(ended_at.saturating_sub(began_at));
            Ok(answer::receive_direct(complete.payload, &end.memory)?)
        }
        DirectAnswer::Failed(failed) => Err(failed.failure.decode("")),
    }))
}

/// The failure of a call whose callee broke a rule. The lease cannot be used again.
pub(super) fn broken(end: &mut CallerEnd, broken: &Broken) -> Failure {
    end.lost = true;
    end.state.file.abandon(CancelReason::Caller);
    Failure::new(Status::ContainerDied, format!("its worker broke the protocol: {broken}"))
}
