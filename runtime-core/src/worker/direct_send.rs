//! How a direct call is sent, and what its answer says; for worker threads and event loops.

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

/// How long after the deadline an answer may still come that the callee has decided to send, in ns:
/// a few instructions lie between.
pub(super) const ANSWER_COMES_WITHIN_NS: u64 = 1_000_000;

/// A direct call that was sent.
pub(super) struct SentCall {
    pub(super) number: CallNumber,
    pub(super) sent_at: u64,
    /// In ns of the monotonic clock.
    pub(super) deadline: u64,
    /// The callee was not parked.
    pub(super) is_seen: bool,
}

/// Why a direct call was not sent.
pub(super) enum NotSent {
    /// It has to go through the engine.
    NeedsEngine,
    /// It cannot be made either way.
    Failed(Failure),
}

impl From<Failure> for NotSent {
    fn from(failure: Failure) -> NotSent {
        // Through the engine there may be more room.
        match failure.status {
            Status::Overloaded => NotSent::NeedsEngine,
            _ => NotSent::Failed(failure),
        }
    }
}

/// Whether a call can go by this lease at all.
#[inline]
pub(super) fn is_possible(end: &CallerEnd, call: &OutgoingCall<'_>) -> bool {
    // A buffer lies in memory that the callee does not map.
    matches!(call.body, Body::Parts(_)) && call.maker.depth < end.max_depth
}

/// Whether a direct call overtakes nobody, and the slot of this handler is not needed.
fn may_call(session: &Session, end: &CallerEnd) -> bool {
    let (Some(board), Some(own)) = (session.board(), session.function_id()) else {
        return false;
    };
    !board.get(end.callee).is_queued && !board.get(own).is_full
}

/// Sends a call by this lease. `is_alone`: no other handler runs in this process.
/// `is_cancelled`: whether the request that makes it is; the engine refuses what that calls.
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
    // The board is read after the claim: the engine writes it, then lends the slots of handlers
    // that have claimed a call. So it is with a request that the engine cancels.
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
        // The ring holds many calls, and one is under way at a time.
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

/// The answer to the call of this number, if it is here.
///
/// # Errors
/// If the callee broke a rule.
#[inline]
pub(super) fn take_answer(
    end: &mut CallerEnd,
    number: CallNumber,
) -> Result<Option<Result<Answer, Failure>>, Broken> {
    // The callee never waits for room: one answer is under way at a time.
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
