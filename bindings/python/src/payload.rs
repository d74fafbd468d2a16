//! Converts bodies and metadata to Python and back.

use crate::failure::to_python;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use nightcore_runtime::worker::{Answer, CallOptions};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};
use std::time::Duration;

/// Pairs of metadata from Python.
pub type Pairs<'py> = Option<Vec<(Bound<'py, PyString>, Vec<u8>)>>;

/// Builds metadata from these pairs.
pub fn metadata(py: Python<'_>, pairs: Pairs<'_>) -> PyResult<MetadataBuffer> {
    let mut metadata = MetadataBuffer::new();
    for (name, value) in pairs.into_iter().flatten() {
        // Surrogates become a character that no name may have, so `push` refuses the name.
        let name = name.to_string_lossy();
        let pushed = metadata.push(&name, &value);
        pushed.map_err(|error| {
            let text = format!("metadata {name:.64?}: {error}");
            to_python(py, Failure::new(error.status(), text))
        })?;
    }
    Ok(metadata)
}

/// Builds the options of a call. `timeout` is in seconds.
pub fn options(py: Python<'_>, timeout: Option<f64>, pairs: Pairs<'_>) -> PyResult<CallOptions> {
    let timeout = timeout.map(|seconds| {
        if seconds > 0.0 {
            // A timeout that is too long for a `Duration` never passes.
            return Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        }
        let text = format!("a timeout must be more than 0, and is {seconds} s");
        Err(to_python(py, Failure::new(Status::InvalidArgument, text)))
    });
    Ok(CallOptions { timeout: timeout.transpose()?, metadata: metadata(py, pairs)? })
}

/// Returns the pairs for Python.
pub fn pairs<'py>(
    py: Python<'py>,
    encoded: &[u8],
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyBytes>)>> {
    let parsed =
        Metadata::parse(encoded).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let text = |name: &str| name.into_pyobject(py).map(Bound::into_any).map_err(PyErr::from);
    parsed.iter().map(|(name, value)| Ok((text(name)?, PyBytes::new(py, value)))).collect()
}

static ANSWER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Creates the package's `Answer`.
pub fn answer(py: Python<'_>, answer: &Answer) -> PyResult<Py<PyAny>> {
    let import = || py.import("nightcore._answer")?.getattr("Answer").map(Bound::unbind);
    let class = ANSWER.get_or_try_init(py, import)?.bind(py);
    let made = class.call1((PyBytes::new(py, answer.body()),))?;
    let encoded = answer.metadata().as_bytes();
    if !encoded.is_empty() {
        made.setattr(intern!(py, "_pairs"), pairs(py, encoded)?)?;
    }
    Ok(made.unbind())
}
