//! A call that ended in an error: what happened, where, and what lay beneath.

use super::limits::{MAX_FAILURE_MESSAGE_BYTES, MAX_INLINE_BYTES};
use super::metadata::{Metadata, MetadataBuffer, MetadataError};
use super::payload::InlinePayload;
use super::status::Status;

/// Metadata name of one cause in a failure: its value is `FUNCTION ERROR message`.
const CAUSE: &str = ":cause";

/// A callee's error that a handler did not catch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The function that failed.
    pub function: String,
    /// How it failed.
    pub status: Status,
    /// Its message.
    pub message: String,
}

/// Why a call got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{function}: {status}: {message}")]
pub struct Failure {
    /// How it failed.
    pub status: Status,
    /// The function that was called; empty where there was none.
    pub function: String,
    /// The message for people, which says what happened.
    pub message: String,
    /// The errors of callees that led to it, the nearest first.
    pub cause: Vec<Cause>,
}

/// A failure as a FAILED message carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireFailure<'a> {
    /// How the call failed. It is one that may end a call.
    pub status: Status,
    /// The causes as metadata, and the message as body.
    pub payload: InlinePayload<'a>,
}

impl WireFailure<'_> {
    /// The failure, of a call of `function`. What is malformed in it is left out.
    pub fn decode(&self, function: &str) -> Failure {
        Failure::decode(self.status, function, self.payload.metadata, self.payload.body)
    }
}

impl From<MetadataError> for Failure {
    fn from(error: MetadataError) -> Failure {
        Failure::new(error.status(), error.to_string())
    }
}

impl Failure {
    /// A failure without causes and with no function named yet.
    pub fn new(status: Status, message: impl Into<String>) -> Failure {
        Failure { status, function: String::new(), message: message.into(), cause: Vec::new() }
    }

    /// The failure of a handler that let this error of a callee pass.
    ///
    /// Errors that concern the whole tree of calls keep their status: the deadline, the
    /// cancellation and the depth are the tree's. Any other becomes FUNCTION_FAILED with its cause.
    /// An error that names no function is not a callee's: it keeps its message and adds no cause,
    /// and OVERLOADED then says that this container is.
    pub fn passed_on(self) -> Failure {
        let own = self.function.is_empty();
        let status = match self.status {
            Status::DeadlineExceeded | Status::Cancelled | Status::DepthExceeded => self.status,
            Status::Overloaded if own => self.status,
            _ => Status::FunctionFailed,
        };
        if own {
            return Failure { status, ..self };
        }
        let message = format!("{}: {}: {}", self.function, self.status, self.message);
        let mut cause =
            vec![Cause { function: self.function, status: self.status, message: self.message }];
        cause.extend(self.cause);
        Failure { status, function: String::new(), message, cause }
    }

    /// The payload of a FAILED message: encoded causes, and the message as body. Long messages and
    /// the farthest causes are cut, so that it always fits inline.
    pub fn encode(&self) -> (MetadataBuffer, &str) {
        let message = cut(&self.message, MAX_FAILURE_MESSAGE_BYTES);
        let mut metadata = MetadataBuffer::new();
        for cause in &self.cause {
            let fixed = cause.function.len() + cause.status.name().len() + 2 + 4 + CAUSE.len();
            let used = metadata.as_bytes().len() + message.len() + fixed;
            let Some(room) = MAX_INLINE_BYTES.checked_sub(used) else { break };
            let value =
                format!("{} {} {}", cause.function, cause.status, cut(&cause.message, room));
            if metadata.push(CAUSE, value.as_bytes()).is_err() {
                break;
            }
        }
        (metadata, message)
    }

    /// The failure that a FAILED message of `function` carries. What is malformed in it is left
    /// out.
    pub fn decode(status: Status, function: &str, metadata: &[u8], body: &[u8]) -> Failure {
        let metadata = Metadata::parse(metadata).unwrap_or_default();
        let cause = metadata.iter().filter(|(name, _)| *name == CAUSE).filter_map(|(_, value)| {
            let text = String::from_utf8_lossy(value);
            let mut words = text.splitn(3, ' ');
            let (function, name, message) = (words.next()?, words.next()?, words.next()?);
            let status = super::status::TABLE.iter().find(|row| row.name == name)?.status;
            Some(Cause { function: function.into(), status, message: message.into() })
        });
        Failure {
            status,
            function: function.into(),
            message: String::from_utf8_lossy(body).into_owned(),
            cause: cause.collect(),
        }
    }
}

/// The longest prefix of at most `max` bytes that ends at a character.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_come_back() {
        let inner = Failure {
            function: "Baz".into(),
            ..Failure::new(Status::NotFound, "no function \"Baz\"")
        };
        let middle = Failure { function: "Bar".into(), ..inner.passed_on() };
        assert_eq!(middle.status, Status::FunctionFailed);
        let outer = middle.passed_on();
        let (metadata, message) = outer.encode();
        let back = Failure::decode(outer.status, "", metadata.as_bytes(), message.as_bytes());
        assert_eq!(back, outer);
        assert_eq!(
            back.cause.iter().map(|c| c.function.as_str()).collect::<Vec<_>>(),
            ["Bar", "Baz"]
        );
    }

    #[test]
    fn the_tree_s_own_errors_keep_their_status() {
        for status in [Status::DeadlineExceeded, Status::Cancelled, Status::DepthExceeded] {
            assert_eq!(Failure::new(status, "").passed_on().status, status);
        }
    }

    #[test]
    fn a_handler_s_own_error_is_no_cause() {
        let own = Failure::new(Status::PayloadTooLarge, "a body of 9 bytes is over the limit of 8");
        let passed = own.clone().passed_on();
        assert_eq!(passed, Failure { status: Status::FunctionFailed, ..own });
    }

    #[test]
    fn a_failure_always_fits_a_message() {
        let mut failure = Failure::new(Status::FunctionFailed, "é".repeat(5000));
        for _ in 0..64 {
            failure = Failure { function: "F".repeat(63), ..failure.passed_on() };
            let (metadata, message) = failure.encode();
            assert!(metadata.as_bytes().len() + message.len() <= MAX_INLINE_BYTES);
            assert!(message.len() >= 500);
        }
    }
}
