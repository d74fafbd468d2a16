//! The answer to an internal call.

use super::memory::DirectMemory;
use super::payload::Payload;
use super::protocol::ReceivedAnswer;
use super::session::Session;
use crate::protocol::{Broken, Failure, Metadata, WirePayload};

/// The answer to an internal call. Its memory is given back when this is dropped.
#[derive(Debug)]
pub struct Answer {
    payload: Payload,
}

impl Answer {
    /// The body.
    pub fn body(&self) -> &[u8] {
        self.payload.body()
    }

    /// The metadata.
    pub fn metadata(&self) -> Metadata<'_> {
        self.payload.metadata()
    }

    /// The HTTP status that the function chose; 200 if it chose none.
    pub fn status(&self) -> u16 {
        let status = self.metadata().get(":status");
        status.and_then(|s| str::from_utf8(s).ok()?.parse().ok()).unwrap_or(200)
    }
}

/// The answer to a call that was started without waiting, with the tag that the call was given.
#[derive(Debug)]
pub struct Tagged {
    /// The tag of the call.
    pub tag: u64,
    /// The answer or the error.
    pub result: Result<Answer, Failure>,
}

/// Receives the answer to a direct call.
///
/// # Errors
///
/// If the payload does not lie in the memory of the direct channel.
pub(super) fn receive_direct(
    payload: WirePayload<'_>,
    memory: &DirectMemory,
) -> Result<Answer, Broken> {
    Ok(Answer { payload: Payload::receive_direct(payload, memory)? })
}

/// Receives the answer to a call of `function`, with its payload.
///
/// # Errors
///
/// If the payload does not lie in the arena. The channel is over then.
pub(super) fn receive(
    answer: ReceivedAnswer<'_>,
    function: &str,
    session: &Session,
) -> Result<Result<Answer, Failure>, Broken> {
    match answer {
        ReceivedAnswer::Complete(payload) => {
            Ok(Ok(Answer { payload: Payload::receive(payload, session)? }))
        }
        ReceivedAnswer::Failed(failure) => Ok(Err(failure.decode(function))),
    }
}
