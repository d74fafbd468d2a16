//! Serves plain functions on the runtime's worker threads.

use crate::failure::not_started;
use crate::request::Request;
use crate::thread::keep_state;
use nightcore_runtime::stderr::write_stderr;
use nightcore_runtime::worker::{self, HandlerError, Handlers, StartError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

/// Serves until the engine ends this process. Worker threads call `run` with each request, and
/// `run` replies to it.
#[pyfunction]
pub fn serve(py: Python<'_>, names: Vec<String>, run: Py<PyAny>) -> PyResult<()> {
    let mut handlers = Handlers::new();
    let run = Arc::new(run);
    for name in names {
        let run = run.clone();
        let handler = move |request: &worker::Request<'_>| handle(&run, request);
        handlers
            .add(&name, Arc::new(handler))
            .map_err(|failure| PyValueError::new_err(failure.message))?;
    }
    match py.detach(|| worker::serve(&handlers)) {
        Ok(()) => Ok(()),
        Err(error @ StartError::EngineGone) => {
            write_stderr(format_args!("nightcore: {error}"));
            // Worker threads may run handlers, which the end of the interpreter would stop at any
            // point.
            std::process::exit(i32::from(error.exit_code()))
        }
        Err(error) => Err(not_started(&error)),
    }
}

fn handle(run: &Py<PyAny>, request: &worker::Request<'_>) -> Result<(), HandlerError> {
    keep_state();
    Python::attach(|py| {
        let lent = Py::new(py, Request::new(py, request));
        let called = lent.and_then(|lent| {
            let called = run.call1(py, (lent.clone_ref(py),));
            lent.get().end();
            called
        });
        // `run` reports the errors of handlers itself. This error is one of `run` itself.
        called.map(drop).map_err(|error| HandlerError::Unexpected(error.to_string()))
    })
}
