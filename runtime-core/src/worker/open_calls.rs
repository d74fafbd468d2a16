//! The calls that a worker has been given and has not answered.

use super::cancel_flag::CancelFlag;
use crate::ipc::desk::Seat;
use crate::protocol::{Broken, CallNumber, CancelReason};
use std::collections::HashMap;
use std::sync::Arc;

/// A call that is not answered.
#[derive(Debug, Default)]
pub(super) struct OpenCall {
    /// Started calls of its handler that are under way.
    calls: u32,
    /// The seat at the desk of a handler that has made direct calls, or runs one.
    seat: Option<Seat>,
    /// Answers that its handler has had.
    answers: u64,
}

/// The open calls of a worker.
#[derive(Debug)]
pub(super) enum OpenCalls {
    /// A thread runs one call at a time.
    One(Option<(CallNumber, OpenCall)>),
    /// An event loop runs many.
    Many {
        calls: HashMap<CallNumber, (OpenCall, Arc<CancelFlag>)>,
        /// How many of them have calls under way.
        waiting: usize,
    },
}

impl OpenCalls {
    pub(super) fn many() -> OpenCalls {
        OpenCalls::Many { calls: HashMap::new(), waiting: 0 }
    }

    /// A call has come. In an event loop: the flag that says when it is cancelled.
    ///
    /// # Errors
    /// If there is such a call already, or the worker can have no more.
    pub(super) fn begin(&mut self, call: CallNumber) -> Result<Option<Arc<CancelFlag>>, Broken> {
        match self {
            OpenCalls::One(Some(_)) => Err(Broken::Call(call.number())),
            OpenCalls::One(open) => {
                *open = Some((call, OpenCall::default()));
                Ok(None)
            }
            OpenCalls::Many { calls, .. } => {
                let flag = Arc::<CancelFlag>::default();
                let before = calls.insert(call, (OpenCall::default(), flag.clone()));
                if before.is_some() { Err(Broken::Call(call.number())) } else { Ok(Some(flag)) }
            }
        }
    }

    fn get_mut(&mut self, call: CallNumber) -> Option<&mut OpenCall> {
        match self {
            OpenCalls::One(open) => {
                open.as_mut().filter(|(number, _)| *number == call).map(|(_, open)| open)
            }
            OpenCalls::Many { calls, .. } => calls.get_mut(&call).map(|(open, _)| open),
        }
    }

    /// A call is cancelled. False: it is not open.
    pub(super) fn cancel(&mut self, call: CallNumber, reason: CancelReason) -> bool {
        match self {
            OpenCalls::One(open) => matches!(open, Some((number, _)) if *number == call),
            OpenCalls::Many { calls, .. } => {
                let found = calls.get(&call);
                found.inspect(|(_, flag)| flag.set(reason)).is_some()
            }
        }
    }

    /// Whether a call is open.
    pub(super) fn has(&self, call: CallNumber) -> bool {
        match self {
            OpenCalls::One(open) => matches!(open, Some((number, _)) if *number == call),
            OpenCalls::Many { calls, .. } => calls.contains_key(&call),
        }
    }

    /// In an event loop: why an open call is cancelled, if it is.
    pub(super) fn cancelled(&self, call: CallNumber) -> Option<CancelReason> {
        match self {
            OpenCalls::One(_) => None,
            OpenCalls::Many { calls, .. } => calls.get(&call)?.1.reason(),
        }
    }

    /// The seat of the handler of `call`, if it has one.
    pub(super) fn seat(&self, call: CallNumber) -> Option<Seat> {
        match self {
            OpenCalls::One(_) => None,
            OpenCalls::Many { calls, .. } => calls.get(&call)?.0.seat,
        }
    }

    /// Gives the handler of `call` a seat.
    pub(super) fn set_seat(&mut self, call: CallNumber, seat: Seat) {
        if let Some(open) = self.get_mut(call) {
            open.seat = Some(seat);
        }
    }

    /// Whether the handler of `call` has no call under way.
    pub(super) fn has_no_calls(&self, call: CallNumber) -> bool {
        match self {
            OpenCalls::One(_) => false,
            OpenCalls::Many { calls, .. } => {
                calls.get(&call).is_some_and(|(open, _)| open.calls == 0)
            }
        }
    }

    /// The handler of `call` has started an internal call.
    pub(super) fn call_began(&mut self, call: CallNumber) {
        let Some(open) = self.get_mut(call) else { return };
        open.calls += 1;
        let first = open.calls == 1;
        if let OpenCalls::Many { waiting, .. } = self {
            *waiting += usize::from(first);
        }
    }

    /// A started call of the handler of `call` is under way no more.
    pub(super) fn call_ended(&mut self, call: CallNumber) {
        let Some(open) = self.get_mut(call) else { return };
        open.calls -= 1;
        let last = open.calls == 0;
        if let OpenCalls::Many { waiting, .. } = self {
            *waiting -= usize::from(last);
        }
    }

    /// The handler of `call` gets an answer.
    pub(super) fn count_answer(&mut self, call: CallNumber) {
        if let Some(open) = self.get_mut(call) {
            open.answers += 1;
        }
    }

    /// How many answers the handler of `call` has had.
    pub(super) fn answers(&self, call: CallNumber) -> u64 {
        match self {
            OpenCalls::One(Some((number, open))) if *number == call => open.answers,
            OpenCalls::One(_) => 0,
            OpenCalls::Many { calls, .. } => calls.get(&call).map_or(0, |(open, _)| open.answers),
        }
    }

    /// A call is answered. True: its handler had calls under way.
    pub(super) fn end(&mut self, call: CallNumber) -> bool {
        match self {
            OpenCalls::One(open) => {
                open.take_if(|(number, _)| *number == call).is_some_and(|(_, open)| open.calls > 0)
            }
            OpenCalls::Many { calls, waiting } => {
                let waited = calls.remove(&call).is_some_and(|(open, _)| open.calls > 0);
                *waiting -= usize::from(waited);
                waited
            }
        }
    }

    /// Whether a call is open whose handler has no call under way.
    pub(super) fn can_go_on(&self) -> bool {
        match self {
            OpenCalls::One(open) => open.as_ref().is_some_and(|(_, open)| open.calls == 0),
            OpenCalls::Many { calls, waiting } => calls.len() > *waiting,
        }
    }

    /// Whether there is at most one.
    pub(super) fn are_few(&self) -> bool {
        match self {
            OpenCalls::One(_) => true,
            OpenCalls::Many { calls, .. } => calls.len() <= 1,
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            OpenCalls::One(open) => open.is_none(),
            OpenCalls::Many { calls, .. } => calls.is_empty(),
        }
    }
}
