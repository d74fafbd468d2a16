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
    /// The request that made it, as events name it.
    pub(super) request: CallNumber,
    pub(super) tag: u64,
    pub(super) kept: KeptCall,
    /// The loop waits for it no longer, for this reason. The callee frees the word then.
    pub(super) left: Option<CancelReason>,
}

/// What is needed to make a call once more, through the engine.
pub(super) struct KeptCall {
    pub(super) maker: Maker,
    pub(super) name: String,
    pub(super) body: Vec<u8>,
    pub(super) options: CallOptions,
}

/// How a direct call has ended.
pub(super) enum Ended {
    With(Result<Answer, Failure>),
    /// The callee did not run it: it has to go through the engine.
    NotRun,
}

impl UnderWay {
    /// How it has ended, if it has. `now`: the time, if deadlines are looked at.
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
            // What it answered before its end counts.
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
        // Else its answer comes now, unless its process was stopped just before it sent it.
        let is_late = now >= self.sent.deadline + ANSWER_COMES_WITHIN_NS;
        self.end.lost |= !is_abandoned && is_late;
        let reason = CancelReason::Deadline;
        (is_abandoned || is_late).then(|| Ended::With(Err(abandoned(&self.kept.name, reason))))
    }

    /// Waits for it no longer. False: it is not under way any more.
    pub(super) fn abandon(&self, reason: CancelReason) -> bool {
        let is_abandoned = self.end.state.file.abandon(reason);
        if is_abandoned {
            self.end.peer.wake_callee(&self.end.state.file);
        }
        is_abandoned
    }

    /// As [`UnderWay::abandon`]. Returns whether the engine is to cancel what is below the call:
    /// the lease ends then.
    pub(super) fn cancel(&mut self, reason: CancelReason) -> bool {
        let is_left = self.abandon(reason);
        self.left = self.left.or(is_left.then_some(reason));
        let tells_engine = is_left && reason == CancelReason::Caller;
        self.end.lost |= tells_engine;
        tells_engine
    }

    /// Whether something has happened. It may be nothing that ends the call.
    #[inline]
    fn has_news(&self) -> bool {
        self.left.is_some()
            || self.end.reader.has_message()
            || !matches!(self.end.state.file.state(), DirectState::Free | DirectState::Called)
            || self.end.state.over().is_some()
    }

    /// When the loop has to look at it again, in ns of the monotonic clock.
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
    /// The loop waits at its bells: what is sent now has to ring.
    is_parked: bool,
}

impl LoopCalls {
    /// A call was sent. Returns whether the loop has to be woken for its answer, which is here.
    #[must_use]
    pub(super) fn add(&mut self, call: UnderWay) -> bool {
        // Its state may have changed before the loop's flag was raised: that rang no bell.
        let is_unseen = self.is_parked && (!call.end.reader.begin_wait() || call.has_news());
        self.calls.push(call);
        is_unseen
    }

    /// Whether something has happened to one of them.
    #[inline]
    pub(super) fn have_news(&self) -> bool {
        self.calls.iter().any(UnderWay::has_news)
    }

    /// Takes out those that have ended. `now`: the time, if deadlines are looked at.
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

    /// Takes out the calls of a request.
    pub(super) fn take_of(&mut self, request: CallNumber) -> Vec<UnderWay> {
        self.calls.extract_if(.., |call| call.request == request).collect()
    }

    /// When the loop has to look at them again, in ns of the monotonic clock.
    pub(super) fn next_deadline(&self, now: u64) -> Option<u64> {
        self.calls.iter().map(|call| call.next_deadline(now)).min()
    }

    /// Says that the loop waits. False: something has happened.
    pub(super) fn begin_wait(&mut self) -> bool {
        self.is_parked = true;
        let mut is_quiet = true;
        for call in &self.calls {
            is_quiet &= call.end.reader.begin_wait() && !call.has_news();
        }
        is_quiet
    }

    /// The loop waits no longer.
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
