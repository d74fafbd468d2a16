//! The direct calls that an event loop has under way.

use super::answer::Answer;
use super::compose::{CallOptions, abandoned};
use super::direct_send::{ANSWER_COMES_WITHIN_NS, SentCall, broken, take_answer};
use super::leases::CallerEnd;
use super::payload::Maker;
use crate::ipc::direct::DirectState;
use crate::protocol::{CallNumber, CancelReason, Failure};

/// A direct call under way.
pub(super) struct UnderWay {
    pub(super) end: CallerEnd,
    pub(super) sent: SentCall,
    /// The number by which events name the request that made it.
    pub(super) request: CallNumber,
    pub(super) tag: u64,
    pub(super) kept: KeptCall,
    /// The reason for which the loop no longer waits for it. The callee frees the word then.
    pub(super) left: Option<CancelReason>,
}

/// The data that is needed to make a call again, through the engine.
pub(super) struct KeptCall {
    pub(super) maker: Maker,
    pub(super) name: String,
    pub(super) body: Vec<u8>,
    pub(super) options: CallOptions,
}

/// The end of a direct call.
pub(super) enum Ended {
    With(Result<Answer, Failure>),
    /// The callee did not run the call, so it must go through the engine.
    NotRun,
}

impl UnderWay {
    /// Returns how the call has ended, if it has. `now` is the time; it is given if deadlines are
    /// to be checked.
    pub(super) fn ended(&mut self, now: Option<u64>) -> Option<Ended> {
        let (end, name) = (&mut self.end, self.kept.name.as_str());
        if let Some(reason) = self.left {
            return Some(Ended::With(Err(abandoned(name, reason))));
        }
        match take_answer(end, self.sent.number) {
            Ok(Some(result)) => return Some(Ended::With(result)),
            Ok(None) => {}
            Err(rule) => return Some(Ended::With(Err(broken(end, &rule)))),
        }
        match end.state.file.state() {
            DirectState::Free | DirectState::Called => {}
            DirectState::Abandoned(reason) | DirectState::Left(reason) => {
                return Some(Ended::With(Err(abandoned(name, reason))));
            }
            DirectState::Refused => return Some(Ended::NotRun),
        }
        if let Some(failure) = end.state.over().cloned() {
            // An answer that came before the end of the lease counts.
            let last = take_answer(end, self.sent.number).ok().flatten();
            return Some(match (last, end.state.file.state()) {
                (Some(result), _) => Ended::With(result),
                (None, DirectState::Refused) => Ended::NotRun,
                (None, DirectState::Left(reason)) => Ended::With(Err(abandoned(name, reason))),
                (None, _) => Ended::With(Err(failure)),
            });
        }
        let now = now.filter(|now| *now >= self.sent.deadline)?;
        let is_abandoned = self.abandon(CancelReason::Deadline);
        // If it could not be abandoned, its answer comes now, unless the callee's process was
        // stopped just before it sent it.
        let is_late = now >= self.sent.deadline + ANSWER_COMES_WITHIN_NS;
        self.end.lost |= !is_abandoned && is_late;
        let reason = CancelReason::Deadline;
        (is_abandoned || is_late).then(|| Ended::With(Err(abandoned(&self.kept.name, reason))))
    }

    /// Abandons the call, for which the loop no longer waits. Returns false if it is no longer
    /// under way.
    pub(super) fn abandon(&self, reason: CancelReason) -> bool {
        let is_abandoned = self.end.state.file.abandon(reason);
        if is_abandoned {
            self.end.peer.wake_callee(&self.end.state.file);
        }
        is_abandoned
    }

    /// Does the same as [`UnderWay::abandon`]. Returns whether the engine must cancel the calls
    /// below this one; the lease ends then.
    pub(super) fn cancel(&mut self, reason: CancelReason) -> bool {
        let is_left = self.abandon(reason);
        self.left = self.left.or(is_left.then_some(reason));
        let tells_engine = is_left && reason == CancelReason::Caller;
        self.end.lost |= tells_engine;
        tells_engine
    }

    /// Whether something has happened that may end the call.
    #[inline]
    fn has_news(&self) -> bool {
        self.left.is_some()
            || self.end.reader.has_message()
            || !matches!(self.end.state.file.state(), DirectState::Free | DirectState::Called)
            || self.end.state.over().is_some()
    }

    /// When the loop must check the call again, in ns of the monotonic clock.
    fn next_deadline(&self, now: u64) -> u64 {
        match now < self.sent.deadline {
            true => self.sent.deadline,
            false => self.sent.deadline + ANSWER_COMES_WITHIN_NS,
        }
    }
}

/// The direct calls that an event loop has under way.
#[derive(Default)]
pub(super) struct LoopCalls {
    calls: Vec<UnderWay>,
    /// Whether the loop waits at its bells, so that a message to it must ring.
    is_parked: bool,
}

impl LoopCalls {
    /// Adds a call that was sent. Returns whether the loop must be woken because its answer is here
    /// already.
    #[must_use]
    pub(super) fn add(&mut self, call: UnderWay) -> bool {
        // The call's state may have changed before the loop's flag was raised. Such a change rang
        // no bell.
        let is_unseen = self.is_parked && (!call.end.reader.begin_wait() || call.has_news());
        self.calls.push(call);
        is_unseen
    }

    /// Whether something has happened that may end one of the calls.
    #[inline]
    pub(super) fn have_news(&self) -> bool {
        self.calls.iter().any(UnderWay::has_news)
    }

    /// Removes the calls that have ended and appends them to `to`. `now` is the time; it is given
    /// if deadlines are to be checked.
    pub(super) fn take_ended(&mut self, now: Option<u64>, to: &mut Vec<(UnderWay, Ended)>) {
        let mut at = 0;
        while at < self.calls.len() {
            let call = &mut self.calls[at];
            if now.is_none() && !call.has_news() {
                at += 1;
                continue;
            }
            match call.ended(now) {
                Some(ended) => to.push((self.calls.swap_remove(at), ended)),
                None => at += 1,
            }
        }
    }

    /// The calls of a request.
    pub(super) fn of(&mut self, request: CallNumber) -> impl Iterator<Item = &mut UnderWay> {
        self.calls.iter_mut().filter(move |call| call.request == request)
    }

    /// Removes and returns the calls of a request.
    pub(super) fn take_of(&mut self, request: CallNumber) -> Vec<UnderWay> {
        self.calls.extract_if(.., |call| call.request == request).collect()
    }

    /// When the loop must check the calls again, in ns of the monotonic clock.
    pub(super) fn next_deadline(&self, now: u64) -> Option<u64> {
        self.calls.iter().map(|call| call.next_deadline(now)).min()
    }

    /// Announces that the loop waits. Returns false if something has happened.
    pub(super) fn begin_wait(&mut self) -> bool {
        self.is_parked = true;
        let mut is_quiet = true;
        for call in &self.calls {
            is_quiet &= call.end.reader.begin_wait() && !call.has_news();
        }
        is_quiet
    }

    /// Notes that the loop no longer waits.
    pub(super) fn end_wait(&mut self) {
        if !std::mem::take(&mut self.is_parked) {
            return;
        }
        for call in &mut self.calls {
            if let Some(bell) = &mut call.end.bell {
                bell.stop_waiting(&call.end.reader);
            }
        }
    }
}
