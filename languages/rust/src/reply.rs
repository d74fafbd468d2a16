//! What a handler may return.

use crate::answer::Answer;
use crate::error::of_handler;
use crate::host::Host;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use nightcore_runtime::worker::HandlerError;
use std::error::Error as StdError;

/// An answer with more than a body.
///
/// ```
/// use nightcore::{Reply, Request};
///
/// fn teapot(_req: &Request) -> Reply {
///     Reply::new("short and stout").with_status(418).with_metadata("content-type", "text/plain")
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    body: Vec<u8>,
    status: Option<u16>,
    metadata: Vec<(String, Vec<u8>)>,
}

impl Reply {
    /// An answer with this body.
    pub fn new(body: impl Into<Vec<u8>>) -> Reply {
        Reply { body: body.into(), ..Reply::default() }
    }

    /// Sets the HTTP status; it is 200 if none is set.
    pub fn with_status(mut self, status: u16) -> Reply {
        self.status = Some(status);
        self
    }

    /// Adds a pair of metadata. A name that is not of visible ASCII, or more than 32 KiB in all,
    /// fails the call.
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Reply {
        self.metadata.push((name.into(), value.into()));
        self
    }

    fn metadata(&self) -> Result<MetadataBuffer, Failure> {
        let mut metadata = MetadataBuffer::new();
        let status =
            self.status.map(|status| (":status".to_owned(), status.to_string().into_bytes()));
        for (name, value) in status.iter().chain(&self.metadata) {
            metadata.push(name, value).map_err(|error| {
                Failure::new(
                    Status::FunctionFailed,
                    format!("metadata {name:?} of the answer: {error}"),
                )
            })?;
        }
        Ok(metadata)
    }

    pub(crate) fn into_parts(self) -> Result<(Vec<u8>, MetadataBuffer), Failure> {
        let metadata = self.metadata()?;
        Ok((self.body, metadata))
    }
}

/// What a handler may return: bytes, text, nothing, the [`Answer`] to a call of its own, a
/// [`Reply`], or a `Result` of these with any error. [`crate::Error`] says what callers are told.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "it returns `Vec<u8>`, `String`, `&'static str`, `()`, `Answer`, `Reply`, or a `Result` \
            of these; for JSON return `serde_json::to_vec(&value)?`"
)]
pub trait IntoReply {
    #[doc(hidden)]
    fn send(self, host: &dyn Host) -> Result<(), HandlerError>;
}

fn send_bytes(host: &dyn Host, body: &[u8], metadata: Metadata<'_>) -> Result<(), HandlerError> {
    host.reply(body, metadata).map_err(|failure| failure.passed_on().into())
}

impl IntoReply for () {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, b"", Metadata::default())
    }
}

impl IntoReply for Vec<u8> {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, &self, Metadata::default())
    }
}

impl IntoReply for &'static [u8] {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, self, Metadata::default())
    }
}

impl<const N: usize> IntoReply for &'static [u8; N] {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, self, Metadata::default())
    }
}

impl IntoReply for String {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, self.as_bytes(), Metadata::default())
    }
}

impl IntoReply for &'static str {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, self.as_bytes(), Metadata::default())
    }
}

impl IntoReply for Answer {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, self.body(), self.metadata())
    }
}

impl IntoReply for Reply {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        send_bytes(host, &self.body, self.metadata()?.as_metadata())
    }
}

impl<T: IntoReply, E: Into<Box<dyn StdError + Send + Sync>>> IntoReply for Result<T, E> {
    fn send(self, host: &dyn Host) -> Result<(), HandlerError> {
        let of_handler = |error: E| {
            let log = |text: &str| host.log(&format!("nightcore: {}: {text}", host.function()));
            of_handler(error.into(), log)
        };
        self.map_err(of_handler)?.send(host)
    }
}
