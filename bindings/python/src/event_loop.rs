//! Serves coroutines: the runtime's event loop, as asyncio's loop uses it.

use crate::failure::{PyCause, exception, from_python, not_started, to_python};
use crate::payload::{self, Pairs};
use nightcore_runtime::worker::{Body, Event, EventLoop, HandlerError, LoopRequest, RunningCall};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The worker of this process.
#[pyclass(frozen)]
pub struct Worker(EventLoop);

/// The kinds of events, in the order of `Worker.next`.
const REQUEST: u8 = 1;
const ANSWER: u8 = 2;
const ERROR: u8 = 3;
const CANCELLED: u8 = 4;
const ENDED: u8 = 5;

/// An event: its kind; the number of the request or the tag of the call; a value that depends on
/// the kind.
type PyEvent = (u8, u64, Py<PyAny>);

#[pymethods]
impl Worker {
    /// Connects to the engine.
    #[new]
    fn new(py: Python<'_>, names: Vec<String>) -> PyResult<Worker> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let connected = py.detach(|| EventLoop::connect(&names));
        connected.map(Worker).map_err(|error| not_started(&error))
    }

    #[getter]
    fn function(&self) -> &str {
        self.0.function()
    }

    /// Whether `events` spins for more events, so that it pays off to call it once more before
    /// sleeping.
    #[getter]
    fn looks(&self) -> bool {
        self.0.spins()
    }

    fn fileno(&self) -> i32 {
        self.0.fd().as_raw_fd()
    }

    /// Returns all events that have come.
    fn events(&self, py: Python<'_>) -> PyResult<Vec<PyEvent>> {
        let mut events = Vec::new();
        while let Some(event) = self.0.next(Some(Duration::ZERO)).map_err(|f| to_python(py, f))? {
            events.push(match event {
                Event::Request(request) => {
                    let id = request.id().number();
                    (REQUEST, id, Py::new(py, WorkerRequest::new(py, request))?.into_any())
                }
                Event::Answer { tag, result: Ok(answer), .. } => {
                    (ANSWER, tag, payload::answer(py, &answer)?)
                }
                Event::Answer { tag, result: Err(failure), .. } => {
                    (ERROR, tag, exception(py, failure)?.unbind())
                }
                Event::Cancelled { request, reason } => {
                    let reason = reason.status().name().into_pyobject(py)?;
                    (CANCELLED, request.number(), reason.into_any().unbind())
                }
                Event::Ended => {
                    events.push((ENDED, 0, py.None()));
                    return Ok(events);
                }
            });
        }
        Ok(events)
    }
}

/// The native part of `nightcore.AsyncRequest`.
#[pyclass(frozen)]
pub struct WorkerRequest {
    request: LoopRequest,
    #[pyo3(get)]
    body: Py<PyBytes>,
}

impl WorkerRequest {
    fn new(py: Python<'_>, request: LoopRequest) -> WorkerRequest {
        WorkerRequest { body: PyBytes::new(py, request.body()).unbind(), request }
    }
}

#[pymethods]
impl WorkerRequest {
    #[getter]
    fn function(&self) -> &str {
        self.request.function()
    }

    #[getter]
    fn caller(&self) -> Option<&str> {
        self.request.caller()
    }

    #[getter]
    fn id(&self) -> String {
        self.request.call_id().to_string()
    }

    fn metadata<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyBytes>)>> {
        payload::pairs(py, self.request.metadata().as_bytes())
    }

    fn time_left(&self) -> Option<f64> {
        self.request.time_left().map(|left| left.as_secs_f64())
    }

    fn cancelled(&self) -> bool {
        self.request.is_cancelled()
    }

    /// Returns the name of the status that says why the request is cancelled.
    fn cancel_reason(&self) -> Option<&'static str> {
        self.request.cancel_reason().map(|reason| reason.status().name())
    }

    /// Starts a call. An event with this tag reports its end.
    fn start(
        &self,
        py: Python<'_>,
        tag: u64,
        name: &Bound<'_, PyString>,
        body: &[u8],
        timeout: Option<f64>,
        pairs: Pairs<'_>,
    ) -> PyResult<()> {
        let (name, options) = (name.to_string_lossy(), payload::options(py, timeout, pairs)?);
        let started = self.request.start_call(tag, &name, Body::Parts(&[body]), &options);
        started.map_err(|failure| to_python(py, failure))
    }

    /// Cancels a call.
    fn cancel(&self, py: Python<'_>, tag: u64) -> PyResult<()> {
        self.request.cancel_call(tag).map_err(|failure| to_python(py, failure))
    }

    fn reply(&self, py: Python<'_>, body: &[u8], pairs: Pairs<'_>) -> PyResult<()> {
        let metadata = payload::metadata(py, pairs)?;
        let replied = self.request.reply(Body::Parts(&[body]), metadata.as_metadata());
        replied.map_err(|failure| to_python(py, failure))
    }

    fn fail(
        &self,
        py: Python<'_>,
        status: u32,
        function: String,
        message: String,
        causes: Vec<PyCause>,
    ) -> PyResult<()> {
        let failure = from_python(status, function, message, causes)?.passed_on();
        self.request.fail(&failure.into()).map_err(|failure| to_python(py, failure))
    }

    /// Fails the request with an error whose text is not meant for callers.
    fn fail_unexpectedly(&self, py: Python<'_>, text: String) -> PyResult<()> {
        let failed = self.request.fail(&HandlerError::Unexpected(text));
        failed.map_err(|failure| to_python(py, failure))
    }
}
