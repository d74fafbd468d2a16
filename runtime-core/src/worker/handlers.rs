//! The handlers of a program.

use super::handler_error::HandlerError;
use super::request::Request;
use crate::protocol::name;
use crate::protocol::{Failure, Status};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A function's code. It answers with [`super::RunningCall::reply`], or fails by returning an
/// error.
pub type Handler = Arc<dyn Fn(&Request<'_>) -> Result<(), HandlerError> + Send + Sync>;

/// The handlers of a program, by name. A container runs the handler that it was started for.
#[derive(Clone, Default)]
pub struct Handlers(Vec<(String, Handler)>);

impl Handlers {
    /// Creates an empty set of handlers.
    pub const fn new() -> Handlers {
        Handlers(Vec::new())
    }

    /// Registers a handler.
    ///
    /// # Errors
    ///
    /// If a function cannot have this name, or the name has a handler already.
    pub fn add(&mut self, name: &str, handler: Handler) -> Result<(), Failure> {
        let invalid = |text| Err(Failure::new(Status::InvalidArgument, text));
        if !name::is_valid(name) {
            return invalid(format!(
                "{name:?} cannot name a function: [A-Za-z_][A-Za-z0-9_-]*, at most 63 characters"
            ));
        }
        if self.get(name).is_some() {
            return invalid(format!("a handler named {name:?} is registered already"));
        }
        self.0.push((name.to_owned(), handler));
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Handler> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, handler)| handler)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Runs a handler, or a step of one. A panic becomes its error.
///
/// # Errors
///
/// The error of the handler.
pub fn guarded<T>(run: impl FnOnce() -> Result<T, HandlerError>) -> Result<T, HandlerError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let error = panicked(&*panic);
        // The panic's value belongs to the handler, and may itself panic when it is dropped.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(again);
        }
        Err(error)
    })
}

fn panicked(panic: &(dyn Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    HandlerError::Unexpected(format!("panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsAgain;

    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            std::panic::panic_any(PanicsAgain);
        }
    }

    #[test]
    fn a_panic_with_anything_is_an_error() {
        let error = guarded::<()>(|| std::panic::panic_any(PanicsAgain)).unwrap_err();
        assert_eq!(error, HandlerError::Unexpected("panicked: no message".into()));
        let error = guarded::<()>(|| panic!("{}", 7)).unwrap_err();
        assert_eq!(error, HandlerError::Unexpected("panicked: 7".into()));
    }
}
