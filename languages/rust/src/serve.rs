//! The deprecated functions that [`Worker`] replaces.

use crate::reply::IntoReply;
use crate::request::Request;
use crate::worker::{StartError, Worker};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

static WORKER: Mutex<Option<Worker>> = Mutex::new(None);

/// Registers the handler of a function, as [`Worker::handle`] does.
#[deprecated(since = "0.1.0", note = "use `Worker::new().handle(...)`")]
pub fn handle<F, R>(name: &str, handler: F)
where
    F: Fn(&Request<'_>) -> R + Send + Sync + 'static,
    R: IntoReply,
{
    let mut worker = WORKER.lock().unwrap_or_else(PoisonError::into_inner);
    *worker = Some(worker.take().unwrap_or_default().handle(name, handler));
}

fn registered() -> Worker {
    WORKER.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Serves the handlers that [`handle`] has registered, as [`Worker::serve`] does.
#[deprecated(since = "0.1.0", note = "use `Worker::serve`")]
#[must_use = "it is for `main` to return"]
pub fn serve() -> ExitCode {
    registered().serve()
}

/// Serves the handlers that [`handle`] has registered, as [`Worker::try_serve`] does.
///
/// # Errors
/// The errors of [`Worker::try_serve`].
#[deprecated(since = "0.1.0", note = "use `Worker::try_serve`")]
pub fn try_serve() -> Result<(), StartError> {
    registered().try_serve()
}
