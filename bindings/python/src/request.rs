//! The request of a plain function: it runs on a worker thread, and its calls block.

use crate::failure::{PyCause, exception, from_python, to_python};
use crate::payload::{self, Pairs};
use nightcore_runtime::protocol::{CallId, Failure, Status};
use nightcore_runtime::worker::{self, Body, HandlerError, RunningCall, Tagged};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// The native part of `nightcore.Request`.
#[pyclass(frozen)]
pub struct Request {
    /// The runtime's request, which is taken out when the handler returns. It is locked while it is
    /// used, so that it is not taken out meanwhile.
    running: Mutex<Option<Running>>,
    thread: ThreadId,
    call_id: CallId,
    #[pyo3(get)]
    body: Py<PyBytes>,
    #[pyo3(get)]
    function: String,
    #[pyo3(get)]
    caller: Option<String>,
    metadata: Vec<u8>,
    deadline: Option<std::time::Instant>,
}

/// The runtime's request.
struct Running(*const worker::Request<'static>);

// SAFETY: only `is_cancelled` and `cancel_reason`, loads from memory that outlives the request, is
// used by other threads than its own.
unsafe impl Send for Running {}

/// A reference to a request of this thread, for a closure that runs on this thread without the GIL.
struct Here<'a>(&'a worker::Request<'static>);

// SAFETY: `Python::detach` runs its closure on the thread that calls it.
unsafe impl Send for Here<'_> {}

impl Request {
    /// Wraps a request, which must stay where it is until `end`.
    pub fn new(py: Python<'_>, request: &worker::Request<'_>) -> Request {
        Request {
            running: Mutex::new(Some(Running(std::ptr::from_ref(request).cast()))),
            thread: std::thread::current().id(),
            call_id: request.call_id(),
            body: PyBytes::new(py, request.body()).unbind(),
            function: request.function().to_owned(),
            caller: request.caller().map(str::to_owned),
            metadata: request.metadata().as_bytes().to_vec(),
            deadline: request.time_left().map(|left| std::time::Instant::now() + left),
        }
    }

    /// Ends the request. Later operations on it are refused.
    pub fn end(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the runtime's request, on its own thread only.
    fn here(&self, py: Python<'_>) -> PyResult<Here<'_>> {
        let refused = |text: &str| Err(to_python(py, Failure::new(Status::InvalidState, text)));
        if std::thread::current().id() != self.thread {
            return refused(
                "a request belongs to the thread of its handler: make its calls there, or write \
                 the handler with async def",
            );
        }
        match &*self.lock() {
            // SAFETY: the request lives until `end`, which this thread calls when the handler has
            // returned.
            Some(Running(request)) => Ok(Here(unsafe { &**request })),
            None => refused("the request has ended: make its calls before its handler returns"),
        }
    }
}

#[pymethods]
impl Request {
    #[getter]
    fn id(&self) -> String {
        self.call_id.to_string()
    }

    fn metadata<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyBytes>)>> {
        payload::pairs(py, &self.metadata)
    }

    fn time_left(&self) -> Option<f64> {
        let now = std::time::Instant::now();
        self.deadline.map(|deadline| deadline.saturating_duration_since(now).as_secs_f64())
    }

    fn cancelled(&self) -> bool {
        // SAFETY: the request has not ended, and does not end while the lock is held.
        self.lock().as_ref().is_none_or(|running| unsafe { &*running.0 }.is_cancelled())
    }

    /// Returns the name of the status that says why the request is cancelled.
    fn cancel_reason(&self) -> Option<&'static str> {
        // SAFETY: the request has not ended, and does not end while the lock is held.
        let reason =
            self.lock().as_ref().and_then(|running| unsafe { &*running.0 }.cancel_reason());
        reason.map(|reason| reason.status().name())
    }

    fn call(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        body: &[u8],
        timeout: Option<f64>,
        pairs: Pairs<'_>,
    ) -> PyResult<Py<PyAny>> {
        let (here, name) = (self.here(py)?, name.to_string_lossy());
        let options = payload::options(py, timeout, pairs)?;
        let called = py.detach(move || {
            let Here(request) = { here };
            request.call(&name, Body::Parts(&[body]), &options)
        });
        payload::answer(py, &called.map_err(|failure| to_python(py, failure))?)
    }

    /// Starts a call. `next_answer` returns its end with this tag.
    fn start(
        &self,
        py: Python<'_>,
        tag: u64,
        name: &Bound<'_, PyString>,
        body: &[u8],
        timeout: Option<f64>,
        pairs: Pairs<'_>,
    ) -> PyResult<()> {
        let (here, name) = (self.here(py)?, name.to_string_lossy());
        let options = payload::options(py, timeout, pairs)?;
        let started = here.0.start_call(tag, &name, Body::Parts(&[body]), &options);
        started.map_err(|failure| to_python(py, failure))
    }

    /// Waits for the next call to end. Returns its tag, whether it was answered, and the answer or
    /// the exception.
    fn next_answer(&self, py: Python<'_>) -> PyResult<(u64, bool, Py<PyAny>)> {
        let here = self.here(py)?;
        loop {
            let waiting = Here(here.0);
            let next = py.detach(move || {
                let Here(request) = { waiting };
                request.next_answer(None)
            });
            let Some(Tagged { tag, result }) = next.map_err(|failure| to_python(py, failure))?
            else {
                continue;
            };
            return match result {
                Ok(answer) => Ok((tag, true, payload::answer(py, &answer)?)),
                Err(failure) => Ok((tag, false, exception(py, failure)?.unbind())),
            };
        }
    }

    fn reply(&self, py: Python<'_>, body: &[u8], pairs: Pairs<'_>) -> PyResult<()> {
        let here = self.here(py)?;
        let metadata = payload::metadata(py, pairs)?;
        let replied = here.0.reply(Body::Parts(&[body]), metadata.as_metadata());
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
        let here = self.here(py)?;
        let failure = from_python(status, function, message, causes)?.passed_on();
        here.0.fail(&failure.into()).map_err(|failure| to_python(py, failure))
    }

    /// Fails the request with an error whose text is not meant for callers.
    fn fail_unexpectedly(&self, py: Python<'_>, text: String) -> PyResult<()> {
        let failed = self.here(py)?.0.fail(&HandlerError::Unexpected(text));
        failed.map_err(|failure| to_python(py, failure))
    }
}
