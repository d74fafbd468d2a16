//! Converts failures to JavaScript and back.

use napi::bindgen_prelude::*;
use napi_derive::napi;
use nightcore_runtime::protocol::{Cause, Failure, Status};

/// A cause in JavaScript.
#[napi(object)]
#[derive(Clone)]
pub struct JsCause {
    pub function: String,
    pub code: String,
    pub message: String,
}

/// The result of an operation of the runtime.
pub type Attempt<T> = std::result::Result<T, Failure>;

/// A failure in JavaScript. Functions of the addon return it; they do not throw it.
#[napi(object)]
pub struct JsFailure {
    pub code: String,
    pub function: String,
    pub message: String,
    pub causes: Vec<JsCause>,
}

impl From<Failure> for JsFailure {
    fn from(failure: Failure) -> JsFailure {
        let cause = |cause: Cause| JsCause {
            function: cause.function,
            code: cause.status.name().to_owned(),
            message: cause.message,
        };
        JsFailure {
            code: failure.status.name().to_owned(),
            function: failure.function,
            message: failure.message,
            causes: failure.cause.into_iter().map(cause).collect(),
        }
    }
}

/// Returns the failure of an operation that has no other result for JavaScript.
pub fn failure_of(attempt: Attempt<()>) -> Option<JsFailure> {
    attempt.err().map(JsFailure::from)
}

impl TryFrom<JsFailure> for Failure {
    type Error = Error;

    fn try_from(failure: JsFailure) -> Result<Failure> {
        let cause = |cause: JsCause| {
            Ok(Cause {
                function: cause.function,
                status: ending(&cause.code)?,
                message: cause.message,
            })
        };
        Ok(Failure {
            status: ending(&failure.code)?,
            function: failure.function,
            message: failure.message,
            cause: failure.causes.into_iter().map(cause).collect::<Result<_>>()?,
        })
    }
}

/// Returns the statuses that a call can end with.
fn endings() -> impl Iterator<Item = Status> {
    (1..=u32::from(u8::MAX)).filter_map(Status::failure_from_wire)
}

fn ending(code: &str) -> Result<Status> {
    let found = endings().find(|status| status.name() == code);
    found.ok_or_else(|| {
        Error::new(napi::Status::InvalidArg, format!("no call ends with the error {code:?}"))
    })
}
