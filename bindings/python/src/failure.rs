//! Converts failures to Python and back.

use nightcore_runtime::protocol::{Cause, Failure, Status};
use nightcore_runtime::stderr::write_stderr;
use nightcore_runtime::worker::StartError;
use pyo3::exceptions::{PySystemExit, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A cause in Python: function, status, message.
pub type PyCause = (String, u32, String);

static MAKE_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Returns the failure as an exception of the package, to raise it.
pub fn to_python(py: Python<'_>, failure: Failure) -> PyErr {
    match exception(py, failure) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// Returns the failure as an exception object, for a future.
pub fn exception(py: Python<'_>, failure: Failure) -> PyResult<Bound<'_, PyAny>> {
    let import = || py.import("nightcore._errors")?.getattr("from_library").map(Bound::unbind);
    let make = MAKE_ERROR.get_or_try_init(py, import)?.bind(py);
    let causes: Vec<PyCause> = failure
        .cause
        .into_iter()
        .map(|cause| (cause.function, cause.status.number(), cause.message))
        .collect();
    make.call1((failure.status.number(), failure.function, failure.message, causes))
}

/// Returns the failure that an exception of the package stands for.
pub fn from_python(
    status: u32,
    function: String,
    message: String,
    causes: Vec<PyCause>,
) -> PyResult<Failure> {
    let ending = |number| {
        let status = Status::failure_from_wire(number);
        status
            .ok_or_else(|| PyValueError::new_err(format!("no call ends with the status {number}")))
    };
    let cause = |(function, status, message): PyCause| {
        Ok(Cause { function, status: ending(status)?, message })
    };
    let causes: PyResult<Vec<Cause>> = causes.into_iter().map(cause).collect();
    Ok(Failure { status: ending(status)?, function, message, cause: causes? })
}

/// Reports why a program cannot serve. Returns the exception that ends it with the same exit code
/// as in other languages.
pub fn not_started(error: &StartError) -> PyErr {
    write_stderr(format_args!("nightcore: {error}"));
    PySystemExit::new_err(i32::from(error.exit_code()))
}
