//! The answer to an internal call.

use super::payload::Payload;
use crate::protocol::{Failure, Message, Metadata, Status};

/// The answer to an internal call. Its memory is given back when it is dropped.
#[derive(Debug)]
pub struct Answer {
    pub(super) payload: Payload,
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

/// The answer to a call that was started without waiting, with the tag it was given.
#[derive(Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: u64,
    /// The answer or the error.
    pub result: Result<Answer, Failure>,
}

/// The failure in a FAILED message about a call of `function`.
pub(super) fn failure(message: &Message<'_>, function: &str) -> Failure {
    let status = Status::failure_from_wire(message.header.status).unwrap_or(Status::Internal);
    let (metadata, body) =
        message.inline.split_at((message.header.metadata_len as usize).min(message.inline.len()));
    Failure::decode(status, function, metadata, body)
}
