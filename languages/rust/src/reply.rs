//! Replies, and the types that a handler may return.

use crate::answer::{Answer, FIRST_ERROR_HTTP_STATUS};
use crate::error::{Ended, of_handler};
use crate::host::Host;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use nightcore_runtime::worker::HandlerError;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::ops::RangeInclusive;

/// The HTTP statuses that a reply can have. Lower ones are not final.
const HTTP_STATUSES: RangeInclusive<u16> = 200..=599;
/// The name of the metadata with the HTTP status.
const HTTP_STATUS: &str = ":status";
/// The content type of text.
const TEXT: &str = "text/plain; charset=utf-8";

/// A reply: a body, with an optional HTTP status and metadata.
///
/// ```
/// use nightcore::{Reply, Request};
///
/// fn teapot(_req: &Request) -> Reply {
///     Reply::text("short and stout").with_http_status(418).with_metadata("x-spout", "1")
/// }
/// ```
#[derive(Debug, Default)]
pub struct Reply {
    body: Body,
    http_status: Option<u16>,
    metadata: MetadataBuffer,
    /// The first mistake in the HTTP status or the metadata.
    mistake: Option<Failure>,
}

#[derive(Debug)]
enum Body {
    Bytes(Cow<'static, [u8]>),
    /// The answer to a call, whose body is not copied.
    Answer(Answer),
}

impl Default for Body {
    fn default() -> Body {
        Body::Bytes(Cow::Borrowed(&[]))
    }
}

fn invalid(text: String) -> Failure {
    Failure::new(Status::InvalidArgument, text)
}

impl Reply {
    /// Returns a reply with this body and no content type.
    pub fn new(body: impl Into<Vec<u8>>) -> Reply {
        Reply::of(body.into())
    }

    /// Returns a reply with this text, whose `content-type` is `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::new(text.into()).with_metadata("content-type", TEXT)
    }

    /// Returns a reply with this value as JSON, whose `content-type` is `application/json`.
    ///
    /// # Errors
    /// If the value cannot be serialized.
    #[cfg(feature = "json")]
    pub fn json(value: &(impl serde::Serialize + ?Sized)) -> crate::Result<Reply> {
        let body = serde_json::to_vec(value)?;
        Ok(Reply::new(body).with_metadata("content-type", "application/json"))
    }

    fn of(body: impl Into<Cow<'static, [u8]>>) -> Reply {
        Reply { body: Body::Bytes(body.into()), ..Reply::default() }
    }

    /// Sets the HTTP status, from 200 to 599. The default is 200. A handler that returns a reply
    /// with any other HTTP status fails.
    #[must_use]
    pub fn with_http_status(mut self, http_status: u16) -> Reply {
        self.check_http_status(http_status, &HTTP_STATUSES);
        self.http_status = Some(http_status);
        self
    }

    /// The old name of [`Reply::with_http_status`].
    #[deprecated(since = "0.1.0", note = "use `with_http_status`")]
    #[must_use]
    pub fn with_status(self, status: u16) -> Reply {
        self.with_http_status(status)
    }

    /// Adds a pair of metadata, such as a header of the HTTP response. A name has 1 to 255
    /// characters of visible ASCII; its upper-case letters become lower-case. A handler fails if it
    /// returns a reply with any other name, or with more than 32 KiB of metadata.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Reply {
        if let Err(error) = self.metadata.push(name, value.as_ref()) {
            let failure =
                Failure::new(error.status(), format!("metadata {name:?} of the reply: {error}"));
            self.mistake.get_or_insert(failure);
        }
        self
    }

    fn check_http_status(&mut self, http_status: u16, allowed: &RangeInclusive<u16>) {
        if !allowed.contains(&http_status) {
            let (first, last) = (allowed.start(), allowed.end());
            let text = format!("{http_status} is no HTTP status from {first} to {last}");
            self.mistake.get_or_insert(invalid(text));
        }
    }

    /// Returns the HTTP status of a reply that reports an error.
    ///
    /// # Errors
    /// If there is a mistake in the reply, or it does not report an error.
    pub(crate) fn error_http_status(&mut self) -> Result<u16, Failure> {
        // An answer has its HTTP status in its metadata.
        let of_metadata = || {
            self.metadata
                .as_metadata()
                .get(HTTP_STATUS)
                .and_then(|status| str::from_utf8(status).ok()?.parse().ok())
        };
        let http_status = self.http_status.or_else(of_metadata).unwrap_or_default();
        self.check_http_status(http_status, &(FIRST_ERROR_HTTP_STATUS..=*HTTP_STATUSES.end()));
        self.mistake.clone().map_or(Ok(http_status), Err)
    }

    pub(crate) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Bytes(bytes) => bytes,
            Body::Answer(answer) => answer.body(),
        }
    }

    /// Returns the metadata, with the HTTP status if one is set.
    pub(crate) fn metadata(&self) -> Result<Cow<'_, MetadataBuffer>, Failure> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let Some(http_status) = self.http_status else { return Ok(Cow::Borrowed(&self.metadata)) };
        let mut metadata = MetadataBuffer::new();
        metadata.push(HTTP_STATUS, http_status.to_string().as_bytes())?;
        for (name, value) in self.metadata.as_metadata().iter() {
            // The HTTP status that is set replaces the one of an answer that is passed on.
            if name != HTTP_STATUS {
                metadata.push(name, value)?;
            }
        }
        Ok(Cow::Owned(metadata))
    }

    fn send(&self, host: &dyn Host) -> Result<(), HandlerError> {
        let sent = self.metadata().and_then(|metadata| {
            let metadata: Metadata<'_> = metadata.as_metadata();
            host.reply(self.body(), metadata)
        });
        sent.map_err(|failure| failure.passed_on().into())
    }
}

impl From<Answer> for Reply {
    /// Makes a reply of the whole answer, to which metadata may be added.
    fn from(answer: Answer) -> Reply {
        let mut metadata = MetadataBuffer::new();
        let mut mistake = None;
        for (name, value) in answer.metadata().iter() {
            // This cannot fail, because an answer has passed the same check.
            if let Err(error) = metadata.push(name, value) {
                mistake.get_or_insert(error.into());
            }
        }
        Reply { body: Body::Answer(answer), http_status: None, metadata, mistake }
    }
}

/// A type that a handler may return: bytes, text, `()`, the [`Answer`] to a call, a [`Reply`], with
/// the feature `json` a `Json`, or a `Result` of these with any error. [`crate::Error`] describes
/// what callers see of an error.
///
/// Replies of bytes or text have no content type.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "it returns `Vec<u8>`, `String`, `&'static str`, `()`, `Answer`, `Reply`, or a `Result` \
            of these; for JSON return `Json(value)`, with the feature `json`"
)]
pub trait IntoReply {
    /// Converts the value to a reply.
    ///
    /// # Errors
    /// If the handler has failed, or no reply can be made.
    fn into_reply(self) -> Result<Reply, Box<dyn StdError + Send + Sync>>;
}

/// Sends the value that a handler returned. An HTTP error is sent as a reply, too.
pub(crate) fn send(reply: impl IntoReply, host: &dyn Host) -> Result<(), HandlerError> {
    let error = match reply.into_reply() {
        Ok(reply) => return reply.send(host),
        Err(error) => error,
    };
    let log = |text: &str| host.log(&format!("nightcore: {}: {text}", host.function()));
    match of_handler(error, log) {
        Ended::Replied(reply) => reply.send(host),
        Ended::Failed(error) => Err(error),
    }
}

type Converted = Result<Reply, Box<dyn StdError + Send + Sync>>;

impl IntoReply for () {
    fn into_reply(self) -> Converted {
        Ok(Reply::default())
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Converted {
        Ok(Reply::of(self))
    }
}

impl IntoReply for &'static [u8] {
    fn into_reply(self) -> Converted {
        Ok(Reply::of(self))
    }
}

impl<const N: usize> IntoReply for &'static [u8; N] {
    fn into_reply(self) -> Converted {
        Ok(Reply::of(self.as_slice()))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Converted {
        Ok(Reply::of(self.into_bytes()))
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Converted {
        Ok(Reply::of(self.as_bytes()))
    }
}

impl IntoReply for Answer {
    fn into_reply(self) -> Converted {
        Ok(self.into())
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Converted {
        Ok(self)
    }
}

impl<T: IntoReply, E: Into<Box<dyn StdError + Send + Sync>>> IntoReply for Result<T, E> {
    fn into_reply(self) -> Converted {
        self.map_err(Into::into)?.into_reply()
    }
}
