//! Registering handlers and serving them.

use crate::reply::IntoReply;
use crate::request::Request;
use nightcore_runtime::complain::complain;
use nightcore_runtime::worker::{self, Handlers, StartError};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

static HANDLERS: Mutex<Handlers> = Mutex::new(Handlers::new());

/// Registers the handler of a function. A program may register many; a process runs the one it was
/// started for.
///
/// # Panics If `name` is not a name of a function (`[A-Za-z_][A-Za-z0-9_-]*`, at most 63 characters), or
/// has a handler already.
pub fn handle<F, R>(name: &str, handler: F)
where
    F: Fn(&Request<'_>) -> R + Send + Sync + 'static,
    R: IntoReply,
{
    let run = move |request: &worker::Request<'_>| handler(&Request::new(request)).send(request);
    let added = HANDLERS.lock().unwrap_or_else(PoisonError::into_inner).add(name, Arc::new(run));
    if let Err(failure) = added {
        panic!("{}", failure.message);
    }
}

/// Serves until the engine ends this process. The calling thread is used up; handlers run on
/// others. What it returns is for `main` to return; if it is not success the reason has been
/// printed.
pub fn serve() -> ExitCode {
    match try_serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("nightcore: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// As [`serve`], for a program that says itself why it cannot serve, and ends with
/// [`StartError::exit_code`].
pub fn try_serve() -> Result<(), StartError> {
    let handlers = HANDLERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    worker::serve(&handlers)
}
