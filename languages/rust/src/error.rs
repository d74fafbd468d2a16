//! Why a call or a handler failed.

use crate::answer::Answer;
use crate::reply::Reply;
use crate::status::Status;
use nightcore_runtime::protocol::{self, Failure};
use nightcore_runtime::worker::HandlerError;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The most sources of an error that are examined. An error may be its own source.
const MAX_SOURCES: usize = 32;

/// The most characters of an answer's text that the error of [`Answer::error_for_status`] quotes.
const MAX_ANSWER_CHARACTERS: usize = 200;

/// The result of a handler or a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, or why a handler fails.
///
/// Where an error comes from decides what callers see of it when a handler returns it:
///
/// * The error of a call is passed on: the caller gets `FUNCTION_FAILED` with that error and its
///   causes as the reason.
/// * The message of [`Error::failed`] reaches the caller with `FUNCTION_FAILED`.
/// * [`Error::http`] and [`Error::http_reply`] do not fail the call: they end it with a reply.
/// * Any other error, also one that `?` has converted to an `Error`, was not written for callers.
///   Its text goes to the function's log. Callers get the command that shows it, unless the
///   function has `expose_errors = true`.
///
/// A handler may also return an error of another type. If an `Error` is among its sources
/// ([`std::error::Error::source`]), that `Error` counts.
#[derive(Clone, Debug)]
pub struct Error {
    status: Status,
    function: String,
    message: String,
    causes: Vec<Cause>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// An error that was written for callers, or the error of a call.
    Deliberate,
    /// An error that was not written for callers.
    Unexpected,
    /// A reply whose HTTP status reports an error.
    Http { status: u16, reply: Arc<Reply> },
    /// The error of a call whose answer has such an HTTP status.
    Answered(Arc<Answer>),
}

/// The error of a called function that led to an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cause {
    /// The function that failed.
    pub function: String,
    /// The kind of error.
    pub status: Status,
    /// A description of the error, for people.
    pub message: String,
}

impl Error {
    fn new(status: Status, message: impl Into<String>, kind: Kind) -> Error {
        let message = message.into();
        Error { status, function: String::new(), message, causes: Vec::new(), kind }
    }

    /// Returns an error of the handler itself. Its callers get `FUNCTION_FAILED` with this message.
    ///
    /// ```
    /// # use nightcore::{Error, Request, Result};
    /// fn price(req: &Request) -> Result<String> {
    ///     match req.body() {
    ///         b"tea" => Ok("3.20".into()),
    ///         _ => Err(Error::failed("there is no such article")),
    ///     }
    /// }
    /// ```
    pub fn failed(message: impl Into<String>) -> Error {
        Error::new(Status::FunctionFailed, message, Kind::Deliberate)
    }

    pub(crate) fn unexpected(error: impl fmt::Display) -> Error {
        Error::new(Status::FunctionFailed, error.to_string(), Kind::Unexpected)
    }

    pub(crate) fn invalid_state(message: &str) -> Error {
        Error::new(Status::InvalidState, message, Kind::Deliberate)
    }

    /// Returns an error that ends the request with a reply of this HTTP status, from 400 to 599,
    /// and this text as `text/plain; charset=utf-8`. The call itself succeeds, and nothing is
    /// written to the log.
    ///
    /// With another number the error is `INVALID_ARGUMENT`, which fails the call.
    ///
    /// ```
    /// # use nightcore::{Error, Request, Result};
    /// fn user(req: &Request) -> Result<&'static str> {
    ///     match req.body() {
    ///         b"17" => Ok("Ada"),
    ///         _ => Err(Error::http(404, "no such user")),
    ///     }
    /// }
    /// ```
    pub fn http(http_status: u16, text: impl Into<String>) -> Error {
        Error::http_reply(Reply::text(text).with_http_status(http_status))
    }

    /// Does what [`Error::http`] does, with any reply whose HTTP status is from 400 to 599.
    ///
    /// ```
    /// # use nightcore::{Error, Reply};
    /// fn busy() -> Error {
    ///     let reply = Reply::text("come back later").with_http_status(503);
    ///     Error::http_reply(reply.with_metadata("retry-after", "5"))
    /// }
    /// ```
    #[must_use]
    pub fn http_reply(mut reply: Reply) -> Error {
        match reply.error_http_status() {
            Ok(status) => {
                let text = String::from_utf8_lossy(reply.body());
                let message = format!("HTTP status {status}: {text}");
                let reply = Arc::new(reply);
                Error::new(Status::FunctionFailed, message, Kind::Http { status, reply })
            }
            Err(mistake) => Error::from(mistake),
        }
    }

    /// Makes an error of an answer whose HTTP status reports an error.
    pub(crate) fn of_answer(answer: Answer) -> Error {
        let mut message = format!("answered with HTTP status {}", answer.http_status());
        if let Ok(text) = std::str::from_utf8(answer.body())
            && !text.is_empty()
        {
            message.push_str(": ");
            message.extend(text.chars().take(MAX_ANSWER_CHARACTERS));
        }
        let function = answer.function().to_owned();
        let kind = Kind::Answered(Arc::new(answer));
        Error { function, ..Error::new(Status::FunctionFailed, message, kind) }
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the HTTP status of an error from [`Error::http`], [`Error::http_reply`] or
    /// [`Answer::error_for_status`], and `None` for other errors.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        match &self.kind {
            Kind::Http { status, .. } => Some(*status),
            Kind::Answered(answer) => Some(answer.http_status()),
            Kind::Deliberate | Kind::Unexpected => None,
        }
    }

    /// Returns the answer from which [`Answer::error_for_status`] made this error.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.kind {
            Kind::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// Returns the function whose call failed. It is empty if the error is the handler's or the
    /// library's own.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Returns what happened, in words for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the errors of called functions that led to this one, the nearest first.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// Returns the same error as the error of a call to this function.
    pub(crate) fn of_function(self, name: &str) -> Error {
        Error { function: name.into(), ..self }
    }

    fn into_failure(self) -> Failure {
        let cause = |cause: Cause| protocol::Cause {
            function: cause.function,
            status: cause.status.to_protocol(),
            message: cause.message,
        };
        Failure {
            status: self.status.to_protocol(),
            function: self.function,
            message: self.message,
            cause: self.causes.into_iter().map(cause).collect(),
        }
    }

    /// Returns the reply of an HTTP error.
    pub(crate) fn http_reply_made(&self) -> Option<&Reply> {
        match &self.kind {
            Kind::Http { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// Returns how a handler that returned this error has ended.
    fn ends(self) -> Ended {
        match self.kind {
            Kind::Http { reply, .. } => Ended::Replied(reply),
            Kind::Unexpected => Ended::Failed(HandlerError::Unexpected(self.message)),
            Kind::Deliberate | Kind::Answered(_) => {
                Ended::Failed(self.into_failure().passed_on().into())
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.function() {
            "" => f.write_str(self.message()),
            function => write!(f, "{function}: {}: {}", self.status(), self.message()),
        }
    }
}

impl StdError for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let cause = |cause: protocol::Cause| Cause {
            function: cause.function,
            status: Status::of(cause.status),
            message: cause.message,
        };
        Error {
            status: Status::of(failure.status),
            function: failure.function,
            message: failure.message,
            causes: failure.cause.into_iter().map(cause).collect(),
            kind: Kind::Deliberate,
        }
    }
}

impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::unexpected(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Error {
        Error::unexpected(message)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::unexpected(error)
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(error: std::str::Utf8Error) -> Error {
        Error::unexpected(error)
    }
}

#[cfg(feature = "json")]
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error::unexpected(error)
    }
}

/// How a handler that returned an error has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The handler has ended with this reply.
    Replied(Arc<Reply>),
    Failed(HandlerError),
}

/// Returns how a handler that returned `error` has ended. If an [`Error`] is among its sources,
/// that one counts, and the text around it goes to `log` unless the error is an HTTP error.
pub(crate) fn of_handler(error: Box<dyn StdError + Send + Sync>, log: impl FnOnce(&str)) -> Ended {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own.ends(),
        Err(other) => other,
    };
    let mut text = error.to_string();
    let mut source = error.source();
    for _ in 0..MAX_SOURCES {
        let Some(beneath) = source else { break };
        let own = beneath.downcast_ref::<Error>();
        if let Some(own) = own.filter(|own| !matches!(own.kind, Kind::Unexpected)) {
            let ended = own.clone().ends();
            if matches!(ended, Ended::Failed(_)) {
                log(&text);
            }
            return ended;
        }
        let beneath_text = beneath.to_string();
        // Many errors include the text of their source.
        if !text.contains(&beneath_text) {
            text = format!("{text}: {beneath_text}");
        }
        source = beneath.source();
    }
    Ended::Failed(HandlerError::Unexpected(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(Error);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("could not greet")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[derive(Debug)]
    struct Circular;

    impl std::fmt::Display for Circular {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("round")
        }
    }

    impl StdError for Circular {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(self)
        }
    }

    /// Returns what `of_handler` makes of an error, and the text that it logs.
    fn told(error: impl Into<Box<dyn StdError + Send + Sync>>) -> (HandlerError, String) {
        let mut logged = String::new();
        let ended = of_handler(error.into(), |text| logged = text.to_owned());
        let Ended::Failed(made) = ended else { panic!("{ended:?}") };
        (made, logged)
    }

    #[test]
    fn the_error_of_a_call_is_passed_on_also_from_beneath() {
        let failure = Failure::new(protocol::Status::NotFound, "no function \"Bar\"");
        let of_a_call = Error::from(Failure { function: "Bar".into(), ..failure.clone() });
        let passed = HandlerError::from(Failure { function: "Bar".into(), ..failure }.passed_on());
        assert_eq!(told(of_a_call.clone()), (passed.clone(), String::new()));
        assert_eq!(told(Wrapped(of_a_call)), (passed, "could not greet".into()));
    }

    #[test]
    fn only_a_deliberate_error_keeps_its_text() {
        let failure = Failure::new(protocol::Status::FunctionFailed, "no such user");
        assert_eq!(told(Error::failed("no such user")).0, failure.into());
        let unexpected = |text: &str| (HandlerError::Unexpected(text.into()), String::new());
        assert_eq!(told("as text"), unexpected("as text"));
        let refused = || std::io::Error::other("10.0.0.7 refused");
        assert_eq!(told(refused()), unexpected("10.0.0.7 refused"));
        assert_eq!(told(Error::from(refused())), unexpected("10.0.0.7 refused"));
        assert_eq!(told(Circular), unexpected("round"));
        let wrapped = Wrapped(Error::from(refused()));
        assert_eq!(told(wrapped), unexpected("could not greet: 10.0.0.7 refused"));
    }

    #[test]
    fn an_http_error_is_a_reply_also_from_beneath_and_leaves_no_line() {
        let none = |text: &str| panic!("{text:?} was logged");
        for error in [
            Error::http(404, "no such user").into(),
            Wrapped(Error::http(404, "no such user")).into(),
        ] {
            let ended = of_handler(error, none);
            let Ended::Replied(reply) = ended else { panic!("{ended:?}") };
            let metadata = reply.metadata().unwrap();
            let get = |name| metadata.as_metadata().get(name).map(<[u8]>::to_vec);
            assert_eq!(
                (reply.body(), get(":status")),
                (&b"no such user"[..], Some(b"404".to_vec()))
            );
            assert_eq!(get("content-type"), Some(b"text/plain; charset=utf-8".to_vec()));
        }
    }

    #[test]
    fn an_http_error_has_a_status_of_an_error() {
        for status in [400, 599] {
            assert_eq!(Error::http(status, "").http_status(), Some(status));
        }
        for status in [0, 200, 399, 600] {
            let error = Error::http(status, "");
            assert_eq!((error.status(), error.http_status()), (Status::InvalidArgument, None));
        }
        let none = Error::http_reply(Reply::new("no status at all"));
        assert_eq!(none.status(), Status::InvalidArgument);
        assert_eq!(told(none).0.exposed().status, protocol::Status::FunctionFailed);
    }
}
