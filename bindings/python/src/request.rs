//! A request as a plain function sees it: on a worker thread, whose calls wait.

use crate::failure::{PyCause, exception, from_python, to_python};
use crate::payload::{self, Pairs};
use nightcore_runtime::protocol::{CallId, Failure, Status};
use nightcore_runtime::worker::{self, Body, HandlerError, RunningCall, Tagged};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// What `nightcore.Request` is made of.
#[pyclass(frozen)]
pub struct Request {
    /// Taken when the handler returns. Locked while it is used, so that it is not taken from under
    /// who uses it.
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

/// Lets a pointer to a request of this thread into a closure that runs without the GIL, on this
/// thread.
struct Here<'a>(&'a worker::Request<'static>);

// SAFETY: `Python::detach` runs its closure on the thread that calls it.
unsafe impl Send for Here<'_> {}

impl Request {
    /// Of a request that stays where it is until `end`.
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

    /// The request has ended: from here on every use is refused.
    pub fn end(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime's request, for this thread alone.
    fn here(&self, py: Python<'_>) -> PyResult<Here<'_>> {
        let refused = |text: &str| Err(to_python(py, Failure::new(Status::InvalidState, text)));
        if std::thread::current().id() != self.thread {
            return refused(
                "a request belongs to the thread of its handler: make its calls there, or write \
                 the handler with async def",
            );
        }
        match &*self.lock() {
            // SAFETY: it ends by `end`, which this thread calls when the handler has returned.
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
        // SAFETY: it has not ended, and does not while the lock is held.
        self.lock().as_ref().is_none_or(|running| unsafe { &*running.0 }.is_cancelled())
    }

    /// The name of the status that says why the request is cancelled.
    fn cancel_reason(&self) -> Option<&'static str> {
        // SAFETY: it has not ended, and does not while the lock is held.
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

    /// Begins a call; its answer is brought by `next_answer` with this tag.
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

    /// The tag of the next call that has ended, whether it was answered, and the answer or the
    /// exception.
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

    /// Answers with an error whose text is not meant for callers.
    fn fail_unexpectedly(&self, py: Python<'_>, text: String) -> PyResult<()> {
        let failed = self.here(py)?.0.fail(&HandlerError::Unexpected(text));
        failed.map_err(|failure| to_python(py, failure))
    }
}
