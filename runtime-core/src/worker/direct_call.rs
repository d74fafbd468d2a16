//! A direct call, as the thread that makes it sees it.

use super::active::is_alone;
use super::answer::{self, Answer};
use super::compose::{Body, OutgoingCall};
use super::leases::CallerEnd;
use super::memory::Memory;
use super::thread_channel::ThreadChannel;
use crate::clock::now_ns;
use crate::ipc::direct::DirectState;
use crate::ipc::ring::{Sent, this_core};
use crate::ipc::spin::spin;
use crate::protocol::direct::DirectAnswer;
use crate::protocol::to_engine::HandlerTimes;
use crate::protocol::{Broken, CallNumber, CancelReason, Failure, Status};
use std::num::NonZeroU64;

/// What came of trying to call directly.
pub(super) enum Tried<'a> {
    /// The call was made, and ended so.
    Ended(Result<Answer, Failure>),
    /// It has to go through the engine.
    Not(OutgoingCall<'a>),
}

/// How long after the deadline an answer may still come that the callee has decided to send, in ns:
/// a few instructions lie between.
const ANSWER_COMES_WITHIN_NS: u64 = 1_000_000;

/// A direct call under way.
struct Sending<'a> {
    name: &'a str,
    number: CallNumber,
    /// In ns of the monotonic clock.
    deadline: u64,
    /// The callee was spinning, on another core.
    spins: bool,
}

impl ThreadChannel {
    /// Makes a call by a lease, if there is one and the call can go that way.
    /// `is_cancelled`: whether the request that makes it is; the engine refuses what that calls.
    pub(super) fn try_directly<'a>(
        &self,
        call: OutgoingCall<'a>,
        is_cancelled: impl Fn() -> bool,
    ) -> Tried<'a> {
        let Some(desk) = self.desk() else { return Tried::Not(call) };
        let Some(mut end) = self.session.leases.take(call.name) else { return Tried::Not(call) };
        let request = call.request;
        let name = call.name;
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        // From here on the engine may lend this handler's slot.
        desk.begin_wait();
        let tried = match call.body {
            Body::Parts(parts) if request.depth < end.max_depth => {
                let (name, options) = (call.name, call.options);
                let again = || OutgoingCall { request, name, body: Body::Parts(parts), options };
                match self.send_directly(&mut end, again(), is_cancelled) {
                    Some(result) => Tried::Ended(result.map_err(named)),
                    None => Tried::Not(again()),
                }
            }
            _ => Tried::Not(call),
        };
        if !desk.end_wait() {
            self.resume(request.call);
        }
        if end.state.file.state() == DirectState::Free {
            self.session.leases.put_back(name, end);
        } else {
            self.session.leases.put_behind(name, end);
        }
        tried
    }

    /// Whether a direct call overtakes nobody, and the slot of this handler is not needed.
    fn may_call(&self, end: &CallerEnd) -> bool {
        let (Some(board), Some(own)) = (self.session.board(), self.session.function_id()) else {
            return false;
        };
        !board.get(end.callee).is_queued && !board.get(own).is_full
    }

    /// Makes a call by this lease. `None`: it was not run, and has to go through the engine.
    fn send_directly(
        &self,
        end: &mut CallerEnd,
        call: OutgoingCall<'_>,
        is_cancelled: impl Fn() -> bool,
    ) -> Option<Result<Answer, Failure>> {
        let (request, name) = (call.request, call.name);
        let sent_at = now_ns();
        let own = NonZeroU64::new(sent_at.saturating_add(end.timeout_ns));
        let deadlines = [own, request.deadline(), call.asked_deadline(sent_at)];
        let deadline = deadlines.into_iter().flatten().min()?;
        if deadline.get() <= sent_at || !end.state.file.claim(request.call, is_alone()) {
            return None;
        }
        // The board is read after the claim: the engine writes it, then lends the slots of handlers
        // that have claimed a call. So it is with a request that the engine cancels.
        if !self.may_call(end) || is_cancelled() {
            end.state.file.unclaim();
            return None;
        }
        let number = end.next_call();
        let room = (&end.memory as &dyn Memory, self.session.max_body_bytes());
        let message = match call.compose_direct(room, (number, deadline), sent_at) {
            Ok(message) => message,
            Err(failure) => {
                end.state.file.unclaim();
                // Through the engine there may be more room.
                return (failure.status != Status::Overloaded).then_some(Err(failure));
            }
        };
        let spins = match end.writer.send(message.as_bytes()) {
            Sent::Seen => end.reader.writer_core() != this_core(),
            Sent::Ring => {
                end.writer.wake();
                false
            }
            // The ring holds many calls, and one is under way at a time.
            Sent::Full => {
                end.state.file.unclaim();
                return None;
            }
        };
        let sending = Sending { name, number, deadline: deadline.get(), spins };
        let answer = self.await_answer(end, &sending);
        self.add_waited(now_ns().saturating_sub(sent_at));
        answer
    }

    /// Waits for the answer to a call. `None`: the callee did not run it.
    fn await_answer(
        &self,
        end: &mut CallerEnd,
        sending: &Sending<'_>,
    ) -> Option<Result<Answer, Failure>> {
        let mut spins = sending.spins && end.answers.is_soon() && is_alone();
        loop {
            match take_answer(end, sending) {
                Ok(Some(result)) => return Some(result),
                Ok(None) => {}
                Err(broken) => {
                    end.lost = true;
                    end.state.file.abandon(CancelReason::Caller);
                    let text = format!("its worker broke the protocol: {broken}");
                    return Some(Err(Failure::new(Status::ContainerDied, text)));
                }
            }
            let state = end.state.file.state();
            match state {
                // Its answer is about to be sent.
                DirectState::Free | DirectState::Called => {}
                DirectState::Abandoned(reason) => return Some(Err(sending.ended(reason))),
                DirectState::Refused => return None,
            }
            if let Some(failure) = end.state.over().cloned() {
                // What it answered before its end counts.
                let last = take_answer(end, sending).ok().flatten();
                if last.is_none() && end.state.file.state() == DirectState::Refused {
                    return None;
                }
                return Some(last.unwrap_or_else(|| Err(failure)));
            }
            let mut until = sending.deadline;
            if now_ns() >= until {
                if end.state.file.abandon(CancelReason::Deadline) {
                    return Some(Err(sending.ended(CancelReason::Deadline)));
                }
                if end.state.file.state() != DirectState::Free {
                    continue;
                }
                // The answer comes now, unless its process was stopped just before it sent it.
                until += ANSWER_COMES_WITHIN_NS;
                if now_ns() >= until {
                    end.lost = true;
                    return Some(Err(sending.ended(CancelReason::Deadline)));
                }
            }
            if std::mem::take(&mut spins) && spin(|| end.reader.has_message()) {
                continue;
            }
            if end.reader.begin_wait() && end.state.file.state() == state {
                end.reader.park(Some(until));
            }
            end.reader.end_wait();
        }
    }
}

impl Sending<'_> {
    /// How the call ends when nobody waits for it any more.
    fn ended(&self, reason: CancelReason) -> Failure {
        let status = reason.status();
        match reason {
            CancelReason::Deadline => {
                let name = self.name;
                let text = format!("{name} did not answer by its deadline; it was in the handler");
                Failure::new(status, text)
            }
            CancelReason::Caller => Failure::new(status, status.title()),
        }
    }
}

/// The answer to a call, if it is here.
#[inline]
fn take_answer(
    end: &mut CallerEnd,
    sending: &Sending<'_>,
) -> Result<Option<Result<Answer, Failure>>, Broken> {
    // The callee never waits for room: one answer is under way at a time.
    end.reader.give_back();
    let Some(message) = end.reader.take()? else { return Ok(None) };
    let answer = DirectAnswer::read(&message)?;
    if answer.call() != sending.number {
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
