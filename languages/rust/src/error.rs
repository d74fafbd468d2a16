//! Why a call or a handler failed.

use nightcore_runtime::protocol::{Cause, Failure, MetadataError, Status};
use nightcore_runtime::worker::HandlerError;
use std::error::Error as StdError;

/// How many sources of an error are looked at: an error may be its own source.
const MAX_SOURCES: usize = 32;

/// What a handler and its calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, or why a handler fails.
///
/// A handler that returns the error of a call passes it on: its caller sees that this function
/// failed, with that error and its causes as the reason. So does one that returns another error
/// with such an error among its sources.
///
/// The message of [`Error::failed`] reaches callers. Any other error, also one that `?` has made an
/// `Error` of, was not written for them: its text goes to the function's log, and callers see the
/// id by which it is found there, unless the function has `expose_errors = true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    failure: Failure,
    /// Made of an error that was not written for callers.
    is_unexpected: bool,
}

impl Error {
    /// An error of the handler's own; its callers get FUNCTION_FAILED with this message.
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
        Error::from(Failure::new(Status::FunctionFailed, message))
    }

    fn unexpected(text: impl Into<String>) -> Error {
        Error { is_unexpected: true, ..Error::failed(text) }
    }

    /// What kind of error it is.
    pub fn status(&self) -> Status {
        self.failure.status
    }

    /// The function whose call failed; empty if the error is the handler's or the library's own.
    pub fn function(&self) -> &str {
        &self.failure.function
    }

    /// What happened, for a person.
    pub fn message(&self) -> &str {
        &self.failure.message
    }

    /// The errors of functions beneath that led to it, the nearest first.
    pub fn causes(&self) -> &[Cause] {
        &self.failure.cause
    }

    /// The same error, as that of a call of this function.
    pub(crate) fn of_function(self, name: &str) -> Error {
        Error::from(Failure { function: name.into(), ..self.failure })
    }

    /// The error of a handler that returned this one.
    fn passed_on(self) -> HandlerError {
        if self.is_unexpected {
            HandlerError::Unexpected(self.failure.message)
        } else {
            self.failure.passed_on().into()
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.function() {
            "" => f.write_str(self.message()),
            function => write!(f, "{function}: {}: {}", self.status(), self.message()),
        }
    }
}

impl StdError for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error { failure, is_unexpected: false }
    }
}

impl From<MetadataError> for Error {
    fn from(error: MetadataError) -> Error {
        Error::from(Failure::from(error))
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
        Error::unexpected(error.to_string())
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(error: std::str::Utf8Error) -> Error {
        Error::unexpected(error.to_string())
    }
}

/// The error of a handler that returned `error`. Our own among its sources is passed on; `log` is
/// told the text around it.
pub(crate) fn of_handler(
    error: Box<dyn StdError + Send + Sync>,
    log: impl FnOnce(&str),
) -> HandlerError {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own.passed_on(),
        Err(other) => other,
    };
    let mut text = error.to_string();
    let mut source = error.source();
    for _ in 0..MAX_SOURCES {
        let Some(beneath) = source else { break };
        if let Some(own) = beneath.downcast_ref::<Error>().filter(|own| !own.is_unexpected) {
            log(&text);
            return own.clone().passed_on();
        }
        let beneath_text = beneath.to_string();
        // Many errors tell what lies beneath themselves.
        if !text.contains(&beneath_text) {
            text = format!("{text}: {beneath_text}");
        }
        source = beneath.source();
    }
    HandlerError::Unexpected(text)
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

    /// What `of_handler` makes of an error, and what the log is told.
    fn told(error: impl Into<Box<dyn StdError + Send + Sync>>) -> (HandlerError, String) {
        let mut logged = String::new();
        let made = of_handler(error.into(), |text| logged = text.to_owned());
        (made, logged)
    }

    #[test]
    fn the_error_of_a_call_is_passed_on_also_from_beneath() {
        let failure = Failure::new(Status::NotFound, "no function \"Bar\"");
        let of_a_call = Error::from(Failure { function: "Bar".into(), ..failure.clone() });
        let passed = HandlerError::from(Failure { function: "Bar".into(), ..failure }.passed_on());
        assert_eq!(told(of_a_call.clone()), (passed.clone(), String::new()));
        assert_eq!(told(Wrapped(of_a_call)), (passed, "could not greet".into()));
    }

    #[test]
    fn only_a_deliberate_error_keeps_its_text() {
        let failure = Failure::new(Status::FunctionFailed, "no such user");
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
}
