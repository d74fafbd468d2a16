//! The answer to a call.

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use nightcore_runtime::protocol::MetadataBuffer;
use nightcore_runtime::worker;

/// The HTTP status of a reply that sets none.
const DEFAULT_HTTP_STATUS: u16 = 200;
/// The lowest HTTP status that makes a reply an error.
pub(crate) const FIRST_ERROR_HTTP_STATUS: u16 = 400;

/// The answer to a call. A handler that returns an answer passes it on unchanged: body, HTTP status
/// and metadata.
#[derive(Debug)]
pub struct Answer {
    /// The function that was called.
    function: Box<str>,
    payload: Payload,
}

#[derive(Debug)]
enum Payload {
    /// Received from the engine.
    Received(worker::Answer),
    /// Made by a test.
    Made { body: Vec<u8>, metadata: MetadataBuffer },
}

impl Answer {
    pub(crate) fn received(function: &str, answer: worker::Answer) -> Answer {
        Answer { function: function.into(), payload: Payload::Received(answer) }
    }

    pub(crate) fn made(function: &str, body: Vec<u8>, metadata: MetadataBuffer) -> Answer {
        Answer { function: function.into(), payload: Payload::Made { body, metadata } }
    }

    /// Returns the function that was called.
    pub(crate) fn function(&self) -> &str {
        &self.function
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.payload {
            Payload::Received(answer) => answer.body(),
            Payload::Made { body, .. } => body,
        }
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// If the body is not UTF-8. This error was not written for callers, see [`Error`].
    pub fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(self.body())?)
    }

    /// Deserializes the body from JSON.
    ///
    /// # Errors
    /// If the body is not JSON of this type. This error was not written for callers, see [`Error`].
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        Ok(serde_json::from_slice(self.body())?)
    }

    /// Returns the metadata.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata(match &self.payload {
            Payload::Received(answer) => answer.metadata(),
            Payload::Made { metadata, .. } => metadata.as_metadata(),
        })
    }

    /// Returns the HTTP status that the function chose, or 200 if it chose none. A call that was
    /// answered with any HTTP status has succeeded; [`Answer::error_for_status`] makes an error of
    /// 400 and above.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        let status = self.metadata().get_str(":status");
        status.and_then(|status| status.parse().ok()).unwrap_or(DEFAULT_HTTP_STATUS)
    }

    /// The old name of [`Answer::http_status`].
    #[deprecated(since = "0.1.0", note = "use `http_status`")]
    #[must_use]
    pub fn status(&self) -> u16 {
        self.http_status()
    }

    /// Returns the answer itself if its HTTP status is below 400.
    ///
    /// ```
    /// # use nightcore::{Request, Result};
    /// fn greet(req: &Request) -> Result<String> {
    ///     let name = req.call("NameOf", req.body())?.error_for_status()?;
    ///     Ok(format!("Hello, {}", name.text()?))
    /// }
    /// ```
    ///
    /// # Errors
    /// If the HTTP status is 400 or more: `FUNCTION_FAILED` of the called function.
    /// [`Error::answer`] has the answer. A handler that returns this error fails: it does not reply
    /// with the HTTP status of the function that it called.
    pub fn error_for_status(self) -> Result<Answer> {
        if self.http_status() < FIRST_ERROR_HTTP_STATUS {
            return Ok(self);
        }
        Err(Error::of_answer(self))
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.body()
    }
}

impl From<Answer> for Vec<u8> {
    fn from(answer: Answer) -> Vec<u8> {
        match answer.payload {
            Payload::Received(answer) => answer.body().to_vec(),
            Payload::Made { body, .. } => body,
        }
    }
}
