//! The errors of handlers: what the function's log is told, and what callers are told.

use super::payload::Input;
use crate::protocol::{CancelReason, Failure, Status};

/// The most bytes of an error's text that reach the log. The text has at most as many lines as
/// bytes, and each line gets the id of its call, so the limit ensures that the lines are written in
/// one piece.
const MAX_LOGGED_BYTES: usize = 2048;

/// The reason why a handler failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerError {
    /// The handler gives the reason. Its callers are told the failure as it is.
    Deliberate(Failure),
    /// An error that was not written for callers, such as an exception or a panic. Its text may
    /// name hosts, users and paths. So only the log shows it, unless the function exposes its
    /// errors.
    Unexpected(String),
}

impl From<Failure> for HandlerError {
    fn from(failure: Failure) -> HandlerError {
        HandlerError::Deliberate(failure)
    }
}

impl HandlerError {
    /// The failure, with the error's own text.
    pub fn exposed(&self) -> Failure {
        match self {
            HandlerError::Deliberate(failure) => failure.clone(),
            HandlerError::Unexpected(text) => Failure::new(Status::FunctionFailed, text),
        }
    }

    /// Writes a line to the log about an error that occurred after the call was answered.
    pub(super) fn report_unheard(&self, input: &Input) {
        let (function, failure) = (input.function(), self.exposed());
        input.log(
            format!("{function} failed after it had answered: {}", logged(&failure)).as_bytes(),
        );
    }

    /// Writes a line about the failed call to the function's log. Returns the failure for the
    /// callers.
    ///
    /// `cancelled` is the reason for which the call is cancelled already, if it is. A handler that
    /// ends because its caller has left has not failed, and leaves no line.
    pub(super) fn report(&self, input: &Input, cancelled: Option<CancelReason>) -> Failure {
        let failure = self.exposed();
        let has_failed =
            failure.status != Status::Cancelled || cancelled != Some(CancelReason::Caller);
        if has_failed {
            input.log(line(input.function(), &failure).as_bytes());
        }
        match self {
            HandlerError::Unexpected(_) if !input.session.exposes_errors() => hidden(input),
            _ => failure,
        }
    }
}

/// The line for the log.
fn line(function: &str, failure: &Failure) -> String {
    format!("{function} failed: {}: {}", failure.status.of_a_call(), logged(failure))
}

fn logged(failure: &Failure) -> &str {
    &failure.message[..failure.message.floor_char_boundary(MAX_LOGGED_BYTES)]
}

/// The failure that callers are told instead of an unexpected error.
fn hidden(input: &Input) -> Failure {
    let (function, call) = (input.function(), input.call_id());
    let text = format!(
        "the handler failed unexpectedly; the reason is in the log: \
         nightcore logs {function} --call {call}"
    );
    Failure::new(Status::FunctionFailed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_function_and_is_cut() {
        let failure = Failure::new(Status::InvalidState, "é".repeat(MAX_LOGGED_BYTES));
        let line = line("Foo", &failure);
        assert!(line.starts_with("Foo failed: FUNCTION_FAILED: éé"), "{line}");
        assert!(line.len() <= MAX_LOGGED_BYTES + 64);
    }
}
