//! The calls that a worker was given and has not answered yet.

use super::cancel_flag::CancelFlag;
use crate::ipc::desk::Seat;
use crate::protocol::{Broken, CallNumber, CancelReason};
use std::collections::HashMap;
use std::sync::Arc;

/// A call that has not been answered.
#[derive(Debug, Default)]
pub(super) struct OpenCall {
    /// How many calls its handler has started that are under way.
    calls: u32,
    /// The seat at the desk, if the handler has made direct calls, or runs one.
    seat: Option<Seat>,
    /// How many answers its handler has had.
    answers: u64,
}

/// The open calls of a worker.
#[derive(Debug)]
pub(super) enum OpenCalls {
    /// The call of a thread, which runs one at a time.
    One(Option<(CallNumber, OpenCall)>),
    /// The calls of an event loop, which runs many.
    Many {
        calls: HashMap<CallNumber, (OpenCall, Arc<CancelFlag>)>,
        /// How many of them have internal calls under way.
        waiting: usize,
    },
}

impl OpenCalls {
    pub(super) fn many() -> OpenCalls {
        OpenCalls::Many { calls: HashMap::new(), waiting: 0 }
    }

    /// Adds a call that has come. In an event loop, returns the flag that is set when the call is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// If the call is open already, or the worker can have no more calls.
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

    /// Marks a call as cancelled. Returns false if it is not open.
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

    /// In an event loop: the reason for which an open call is cancelled, if it is.
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

    /// Notes that the handler of `call` has started an internal call.
    pub(super) fn call_began(&mut self, call: CallNumber) {
        let Some(open) = self.get_mut(call) else { return };
        open.calls += 1;
        let first = open.calls == 1;
        if let OpenCalls::Many { waiting, .. } = self {
            *waiting += usize::from(first);
        }
    }

    /// Notes that an internal call which the handler of `call` started has ended.
    pub(super) fn call_ended(&mut self, call: CallNumber) {
        let Some(open) = self.get_mut(call) else { return };
        open.calls -= 1;
        let last = open.calls == 0;
        if let OpenCalls::Many { waiting, .. } = self {
            *waiting -= usize::from(last);
        }
    }

    /// Notes that the handler of `call` gets an answer.
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

    /// Removes a call that is answered. Returns true if its handler had calls under way.
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

    /// Whether there is an open call whose handler has no call under way.
    pub(super) fn can_go_on(&self) -> bool {
        match self {
            OpenCalls::One(open) => open.as_ref().is_some_and(|(_, open)| open.calls == 0),
            OpenCalls::Many { calls, waiting } => calls.len() > *waiting,
        }
    }

    /// Whether at most one call is open.
    pub(super) fn are_few(&self) -> bool {
        match self {
            OpenCalls::One(_) => true,
            OpenCalls::Many { calls, .. } => calls.len() <= 1,
        }
    }

    /// Whether no call is open.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            OpenCalls::One(open) => open.is_none(),
            OpenCalls::Many { calls, .. } => calls.is_empty(),
        }
    }
}
