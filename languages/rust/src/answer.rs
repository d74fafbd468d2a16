//! The answer to an internal call.

use crate::error::Result;
use nightcore_runtime::protocol::Metadata;
use nightcore_runtime::worker;

/// The answer to an internal call. A handler that returns one hands it on whole: body, status and metadata.
#[derive(Debug)]
pub struct Answer(pub(crate) worker::Answer);

impl Answer {
    /// The body.
    pub fn body(&self) -> &[u8] {
        self.0.body()
    }

    /// The metadata.
    pub fn metadata(&self) -> Metadata<'_> {
        self.0.metadata()
    }

    /// The HTTP status that the function chose; 200 if it chose none. An answer with any status is an
    /// answer.
    pub fn status(&self) -> u16 {
        self.0.status()
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.body()
    }
}

impl From<Answer> for Vec<u8> {
    fn from(answer: Answer) -> Vec<u8> {
        answer.body().to_vec()
    }
}

/// What became of a call that was started without waiting.
#[derive(Debug)]
pub struct Tagged {
    /// The tag the call was given.
    pub tag: u64,
    /// Its answer, or its error.
    pub result: Result<Answer>,
}
