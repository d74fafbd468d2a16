//! The answer to an internal call.

use crate::error::Result;
use nightcore_runtime::protocol::{Metadata, MetadataBuffer};
use nightcore_runtime::worker;

/// The answer to an internal call. A handler that returns one hands it on whole: body, status and
/// metadata.
#[derive(Debug)]
pub struct Answer(Source);

#[derive(Debug)]
enum Source {
    /// Received from the engine.
    Received(worker::Answer),
    /// Made by a test.
    Made { body: Vec<u8>, metadata: MetadataBuffer },
}

impl Answer {
    pub(crate) fn received(answer: worker::Answer) -> Answer {
        Answer(Source::Received(answer))
    }

    pub(crate) fn made(body: Vec<u8>, metadata: MetadataBuffer) -> Answer {
        Answer(Source::Made { body, metadata })
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        match &self.0 {
            Source::Received(answer) => answer.body(),
            Source::Made { body, .. } => body,
        }
    }

    /// The metadata.
    pub fn metadata(&self) -> Metadata<'_> {
        match &self.0 {
            Source::Received(answer) => answer.metadata(),
            Source::Made { metadata, .. } => metadata.as_metadata(),
        }
    }

    /// The HTTP status that the function chose; 200 if it chose none. An answer with any status is
    /// an answer.
    pub fn status(&self) -> u16 {
        let status = self.metadata().get(":status");
        status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()).unwrap_or(200)
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
