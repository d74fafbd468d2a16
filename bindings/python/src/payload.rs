//! Bodies and metadata, from and to Python.

use crate::failure::to_python;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use nightcore_runtime::worker::{Answer, CallOptions};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use std::time::Duration;

/// Pairs as Python gives them.
pub type Pairs = Option<Vec<(String, Vec<u8>)>>;

/// Metadata with these pairs.
pub fn metadata(py: Python<'_>, pairs: Pairs) -> PyResult<MetadataBuffer> {
    let mut metadata = MetadataBuffer::new();
    for (name, value) in pairs.into_iter().flatten() {
        let pushed = metadata.push(&name, &value);
        pushed.map_err(|error| {
            let text = format!("metadata {name:?}: {error}");
            to_python(py, Failure::new(Status::PayloadTooLarge, text))
        })?;
    }
    Ok(metadata)
}

/// The options of a call; `timeout` in seconds.
pub fn options(py: Python<'_>, timeout: Option<f64>, pairs: Pairs) -> PyResult<CallOptions> {
    let wrong = |seconds| {
        PyValueError::new_err(format!("timeout is {seconds} s, and must be more than 0 s"))
    };
    let timeout = timeout.map(|seconds| {
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
        time.ok_or_else(|| wrong(seconds))
    });
    Ok(CallOptions { timeout: timeout.transpose()?, metadata: metadata(py, pairs)? })
}

/// Pairs for Python: text that is not UTF-8 comes back as it was, by surrogates.
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

/// The package's `Answer`.
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
