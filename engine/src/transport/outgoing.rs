//! Messages that carry a payload to a worker.

use crate::ids::{CallNumber, FunctionId};
use nightcore_runtime::protocol::to_worker::{AnswerComplete, Dispatch};
use nightcore_runtime::protocol::{MessageBuffer, WirePayload};

/// A message to a worker without its payload. The payload is added when the message is written: its
/// bytes, or the place of a block.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// A call that the worker is to run.
    Dispatch(Dispatch<'a>),
    /// The answer to a call that the worker made.
    Answer(AnswerComplete<'a>),
}

impl Outgoing<'_> {
    /// The length, in bytes, of the function's name that the message tells; 0 if it tells none.
    #[inline]
    pub(super) fn name_len(&self) -> usize {
        match self {
            Outgoing::Dispatch(Dispatch { caller: Some(caller), .. }) => {
                caller.name.map_or(0, str::len)
            }
            _ => 0,
        }
    }

    /// The function whose name the message tells.
    #[inline]
    pub(super) fn told(&self) -> Option<FunctionId> {
        match self {
            Outgoing::Dispatch(Dispatch { caller: Some(caller), .. }) => {
                caller.name.map(|_| caller.id)
            }
            _ => None,
        }
    }

    /// The call that the message dispatches; `None` for an answer.
    pub(super) fn call(&self) -> Option<CallNumber> {
        match self {
            Outgoing::Dispatch(dispatch) => Some(dispatch.call),
            Outgoing::Answer(_) => None,
        }
    }

    /// Writes the message with this payload.
    #[inline]
    pub(super) fn write(self, payload: WirePayload<'_>) -> MessageBuffer {
        match self {
            Outgoing::Dispatch(dispatch) => Dispatch { payload, ..dispatch }.write(),
            Outgoing::Answer(answer) => AnswerComplete { payload, ..answer }.write(),
        }
    }
}
