//! Direct calls that worker threads make.

use super::active::is_alone;
use super::answer::Answer;
use super::compose::{Body, OutgoingCall, abandoned};
use super::direct_send::{
    ANSWER_COMES_WITHIN_NS, NotSent, SentCall, broken, is_possible, send, take_answer,
};
use super::leases::CallerEnd;
use super::rest::Rest;
use super::thread_channel::ThreadChannel;
use crate::clock::now_ns;
use crate::ipc::desk::Seat;
use crate::ipc::direct::DirectState;
use crate::ipc::ring::this_core;
use crate::ipc::spin::spin;
use crate::protocol::{CancelReason, Failure};
use std::cell::RefCell;
use std::num::NonZeroU64;

/// The outcome of an attempt to call directly.
pub(super) enum Tried<'a> {
    /// The call was made, and ended with this result.
    Ended(Result<Answer, Failure>),
    /// The call must go through the engine.
    Not(OutgoingCall<'a>),
}

/// A direct call that its callee did not run.
struct NotRun {
    /// The call's deadline, in ns of the monotonic clock, if it was sent.
    deadline: Option<NonZeroU64>,
}

impl ThreadChannel {
    /// Makes a call by a lease, if there is one and the call can be made in this way.
    /// `is_cancelled` tells whether the request that makes the call is cancelled. If it is, the
    /// call goes through the engine, which refuses it.
    pub(super) fn try_directly<'a>(
        &self,
        call: OutgoingCall<'a>,
        is_cancelled: impl Fn() -> bool,
    ) -> Tried<'a> {
        let Some(desk) = self.desk() else { return Tried::Not(call) };
        let Some(mut end) = self.session.leases.take(call.name) else { return Tried::Not(call) };
        let (maker, name) = (call.maker, call.name);
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        // From here on, the engine may lend this handler's slot.
        desk.take(Seat::OF_THREAD, maker.call);
        desk.begin_wait(Seat::OF_THREAD);
        let tried = match call.body {
            Body::Parts(parts) if is_possible(&end, &call) => {
                let options = call.options;
                let body = Body::Parts(parts);
                let again = |not_after| OutgoingCall { maker, name, body, options, not_after };
                match self.call_directly(&mut end, call, is_cancelled) {
                    Ok(result) => Tried::Ended(result.map_err(named)),
                    Err(NotRun { deadline }) => Tried::Not(again(deadline)),
                }
            }
            _ => Tried::Not(call),
        };
        if !desk.end_wait(Seat::OF_THREAD) {
            self.resume(maker.call);
        }
        self.session.leases.done(name, end);
        tried
    }

    /// Makes a call by this lease, and returns its result.
    ///
    /// # Errors
    ///
    /// If the call was not run, so that it must go through the engine.
    fn call_directly(
        &self,
        end: &mut CallerEnd,
        call: OutgoingCall<'_>,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Result<Answer, Failure>, NotRun> {
        let name = call.name;
        self.rest.borrow_mut().calls(this_core());
        let sent = match send(&self.session, end, call, is_alone(), is_cancelled) {
            Ok(sent) => sent,
            Err(NotSent::NeedsEngine) => return Err(NotRun { deadline: None }),
            Err(NotSent::Failed(failure)) => return Ok(Err(failure)),
        };
        let answer = await_answer(end, name, &sent, &self.rest);
        self.add_waited(now_ns().saturating_sub(sent.sent_at));
        answer.ok_or(NotRun { deadline: NonZeroU64::new(sent.deadline) })
    }
}

/// Waits for the answer to a call. Returns `None` if the callee did not run it.
fn await_answer(
    end: &mut CallerEnd,
    name: &str,
    sent: &SentCall,
    rest: &RefCell<Rest>,
) -> Option<Result<Answer, Failure>> {
    let is_elsewhere = sent.is_seen && end.reader.writer_core() != this_core();
    let mut spins = is_elsewhere && end.answers.is_soon() && is_alone();
    loop {
        match take_answer(end, sent.number) {
            Ok(Some(result)) => return Some(result),
            Ok(None) => {}
            Err(rule) => return Some(Err(broken(end, &rule))),
        }
        let state = end.state.file.state();
        match state {
            // In the state `Free`, the answer is about to be sent.
            DirectState::Free | DirectState::Called => {}
            DirectState::Abandoned(reason) | DirectState::Left(reason) => {
                return Some(Err(abandoned(name, reason)));
            }
            DirectState::Refused => return None,
        }
        if let Some(failure) = end.state.over().cloned() {
            // An answer that came before the end of the lease counts.
            let last = take_answer(end, sent.number).ok().flatten();
            return match (last, end.state.file.state()) {
                (Some(result), _) => Some(result),
                (None, DirectState::Refused) => None,
                (None, DirectState::Left(reason)) => Some(Err(abandoned(name, reason))),
                (None, _) => Some(Err(failure)),
            };
        }
        let mut until = sent.deadline;
        if now_ns() >= until {
            if end.state.file.abandon(CancelReason::Deadline) {
                end.peer.wake_callee(&end.state.file);
                return Some(Err(abandoned(name, CancelReason::Deadline)));
            }
            if end.state.file.state() != DirectState::Free {
                continue;
            }
            // The answer comes now, unless the callee's process was stopped just before it sent it.
            until += ANSWER_COMES_WITHIN_NS;
            if now_ns() >= until {
                end.lost = true;
                return Some(Err(abandoned(name, CancelReason::Deadline)));
            }
        }
        if std::mem::take(&mut spins) && spin(|| end.reader.has_message()) {
            continue;
        }
        if end.reader.begin_wait() && end.state.file.state() == state {
            rest.borrow_mut().begin_wait(this_core());
            end.reader.park(Some(until));
            rest.borrow_mut().end();
        }
        end.reader.end_wait();
    }
}
