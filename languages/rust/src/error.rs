//! Why a call or a handler failed.

use nightcore_runtime::protocol::{Cause, Failure, Status};
use std::error::Error as StdError;

/// What a handler and its calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, or why a handler fails.
///
/// A handler that returns the error of a call passes it on: its caller sees that this function
/// failed, with that error and its causes as the reason. Any other error fails the call with its
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Failure);

impl Error {
    /// An error of the handler's own; its callers get FUNCTION_FAILED with this message.
    pub fn failed(message: impl Into<String>) -> Error {
        Error(Failure::new(Status::FunctionFailed, message))
    }

    /// What kind of error it is.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// The function whose call failed; empty if the error is the handler's or the library's own.
    pub fn function(&self) -> &str {
        &self.0.function
    }

    /// What happened, for a person.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The errors of functions beneath that led to it, the nearest first.
    pub fn causes(&self) -> &[Cause] {
        &self.0.cause
    }

    /// The same error, as that of a call of this function.
    pub(crate) fn of_function(self, name: &str) -> Error {
        Error(Failure { function: name.into(), ..self.0 })
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
        Error(failure)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::failed(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Error {
        Error::failed(message)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::failed(error.to_string())
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(error: std::str::Utf8Error) -> Error {
        Error::failed(error.to_string())
    }
}

/// The failure of a handler that returned this error: the error of a call is passed on, also from
/// beneath another.
pub(crate) fn passed_on(error: Box<dyn StdError + Send + Sync>) -> Failure {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own.0.passed_on(),
        Err(other) => other,
    };
    let mut failure = Failure::new(Status::FunctionFailed, error.to_string());
    let mut source = error.source();
    while let Some(beneath) = source {
        if let Some(own) = beneath.downcast_ref::<Error>() {
            failure.cause = own.0.clone().passed_on().cause;
            break;
        }
        source = beneath.source();
    }
    failure
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

    fn of_a_call() -> Error {
        Error(Failure {
            function: "Bar".into(),
            ..Failure::new(Status::NotFound, "no function \"Bar\"")
        })
    }

    #[test]
    fn the_error_of_a_call_is_a_cause_also_from_beneath() {
        let direct = passed_on(of_a_call().into());
        assert_eq!(
            (direct.status, direct.cause[0].status),
            (Status::FunctionFailed, Status::NotFound)
        );
        let beneath = passed_on(Wrapped(of_a_call()).into());
        assert_eq!((beneath.message.as_str(), &beneath.cause), ("could not greet", &direct.cause));
    }

    #[test]
    fn an_error_of_the_handler_s_own_keeps_its_text() {
        let failure = passed_on(Error::failed("no such user").into());
        assert_eq!(failure, Failure::new(Status::FunctionFailed, "no such user"));
        assert_eq!(passed_on("as text".into()).message, "as text");
    }
}
