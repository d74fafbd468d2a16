//! Calls that the process makes outside of any request.

use crate::failure::{exception, to_python};
use crate::payload::{self, Pairs};
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::worker::caller::{self, StartedCall};
use nightcore_runtime::worker::{Answer, is_forked};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The time that the interpreter's end sleeps between checks, while answers are handed over.
const PAUSE: Duration = Duration::from_millis(1);

/// Whether the interpreter is ending. Answers are then no longer handed over.
static ENDS: AtomicBool = AtomicBool::new(false);
/// The number of answers that are being handed over.
static HANDING_OVER: AtomicUsize = AtomicUsize::new(0);

/// Calls a function and waits for its answer, without the GIL.
#[pyfunction]
pub fn process_call(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    body: &[u8],
    timeout: Option<f64>,
    pairs: Pairs<'_>,
) -> PyResult<Py<PyAny>> {
    let (name, options) = (name.to_string_lossy(), payload::options(py, timeout, pairs)?);
    let called = py.detach(|| caller::call(&name, &[body], &options));
    payload::answer(py, &called.map_err(|failure| to_python(py, failure))?)
}

/// Starts a call without waiting for its answer, and returns its number. When the call ends, a
/// thread of the library calls `done` with whether the call was answered, and with the answer or
/// the exception.
#[pyfunction]
pub fn start_process_call(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    body: &[u8],
    timeout: Option<f64>,
    pairs: Pairs<'_>,
    done: Py<PyAny>,
) -> PyResult<u64> {
    let (name, options) = (name.to_string_lossy(), payload::options(py, timeout, pairs)?);
    let end = Box::new(move |result| hand_over(&done, result));
    let started = py.detach(|| caller::start(&name, &[body], &options, end));
    started.map(StartedCall::number).map_err(|failure| to_python(py, failure))
}

/// Cancels a call.
#[pyfunction]
pub fn cancel_process_call(py: Python<'_>, call: u64) {
    py.detach(|| caller::cancel(StartedCall::of_number(call)));
}

/// Keeps the library's threads out of the interpreter from now on. Python calls it before the
/// interpreter ends.
#[pyfunction]
pub fn end_process_calls(py: Python<'_>) {
    ENDS.store(true, Ordering::SeqCst);
    if is_forked() {
        return; // The library's threads are the parent's.
    }
    while HANDING_OVER.load(Ordering::SeqCst) > 0 {
        py.detach(|| std::thread::sleep(PAUSE));
    }
}

fn hand_over(done: &Py<PyAny>, result: Result<Answer, Failure>) {
    HANDING_OVER.fetch_add(1, Ordering::SeqCst);
    if !ENDS.load(Ordering::SeqCst) {
        Python::attach(|py| {
            let ended = match result {
                Ok(answer) => payload::answer(py, &answer).map(|answer| (true, answer)),
                Err(failure) => exception(py, failure).map(|exception| (false, exception.unbind())),
            };
            if let Err(error) = ended.and_then(|ended| done.call1(py, ended)) {
                error.print(py);
            }
        });
    }
    HANDING_OVER.fetch_sub(1, Ordering::SeqCst);
}
