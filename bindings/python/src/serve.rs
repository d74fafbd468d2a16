//! Serving plain functions, on the runtime's worker threads.

use crate::failure::not_started;
use crate::request::Request;
use crate::thread::keep_state;
use nightcore_runtime::stderr::write_stderr;
use nightcore_runtime::worker::{self, HandlerError, Handlers, StartError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

/// Serves until the engine ends this process. `run` is called with the name of the function and
/// each request, on worker threads, and answers it.
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
            // Worker threads may run handlers, which the interpreter's end would stop anywhere.
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
        // `run` tells handlers' errors itself; this is one of its own.
        called.map(drop).map_err(|error| HandlerError::Unexpected(error.to_string()))
    })
}
