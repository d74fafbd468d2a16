//! The three kinds of requests behind one handle. Only this file distinguishes them.

use crate::fake::Fake;
use crate::given::{Ended, Given, Made, Room};
use crate::guard::invalid;
use crate::outcome::outcome;
use nightcore_runtime::protocol::{CallId, CallNumber, CancelReason, Failure, Metadata, Status};
use nightcore_runtime::stderr::write_stderr;
use nightcore_runtime::worker::{
    Body, CallOptions, HandlerError, Input, LoopRequest, Request, RunningCall, Watch,
};
use std::cell::{Cell, RefCell};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A request.
pub(crate) enum Side {
    /// The request belongs to a handler's thread.
    Handler(Handling),
    /// The request belongs to an event loop.
    Event(Listening),
    /// The request belongs to a test.
    Fake(Fake),
}

/// A request of an event loop.
pub(crate) struct Listening {
    request: LoopRequest,
    /// The reason why the last reply was refused.
    refused: Mutex<Option<Failure>>,
}

/// A request that a handler runs.
pub(crate) struct Handling {
    /// The runtime's request. It is valid until the handler returns, and `nc_request::run` drops
    /// this value before that.
    request: *const Request<'static>,
    /// The failure of the last operation that failed.
    last: RefCell<Option<Failure>>,
    /// Whether the handler has failed the call. The status that it returns then has no effect.
    failed: Cell<bool>,
}

impl Handling {
    fn request(&self) -> &Request<'static> {
        // SAFETY: the request outlives this value, see the field.
        unsafe { &*self.request }
    }
}

impl Side {
    /// Wraps a request that a handler runs.
    ///
    /// # Safety
    /// `request` is not moved or dropped before the returned value is.
    pub(crate) unsafe fn handler(request: &Request<'_>) -> Side {
        Side::Handler(Handling {
            request: std::ptr::from_ref(request).cast(),
            last: RefCell::new(None),
            failed: Cell::new(false),
        })
    }

    /// Wraps a request of an event loop.
    pub(crate) fn event(request: LoopRequest) -> Side {
        Side::Event(Listening { request, refused: Mutex::new(None) })
    }

    /// Records a failed operation. If the handler returns its status, the error is passed on.
    pub(crate) fn note_failed(&self, failure: &Failure) {
        match self {
            Side::Handler(handling) => *handling.last.borrow_mut() = Some(failure.clone()),
            Side::Event(_) => {}
            Side::Fake(fake) => fake.note_failed(failure),
        }
    }

    /// Records a refused reply, in case the event loop frees the request without a reply.
    pub(crate) fn note_refused(&self, failure: &Failure) {
        if let Side::Event(listening) = self {
            let mut refused = listening.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some(failure.clone());
        }
    }

    /// Returns the outcome of a call whose handler returned `status`. For a test's request, it
    /// includes the reply.
    pub(crate) fn returned(self, status: i32) -> Result<Made, Failure> {
        match self {
            Side::Handler(handling) if !handling.failed.get() => {
                outcome(status, handling.last.take()).map(|()| Made::default())
            }
            Side::Handler(_) | Side::Event(_) => Ok(Made::default()),
            Side::Fake(fake) => fake.returned(status),
        }
    }

    /// Frees the request of an event loop. Its call fails if there was no reply.
    pub(crate) fn freed(self) {
        if let Side::Event(Listening { request, refused }) = self
            && let Some(failure) = refused.into_inner().unwrap_or_else(PoisonError::into_inner)
        {
            // This is refused if the request has a reply after all, or in a forked process.
            let _ = request.fail(&failure.passed_on().into());
        }
    }

    /// Returns the request that an engine sent, or else the request that a test made.
    fn sent(&self) -> Result<&dyn RunningCall<Target = Input>, &Fake> {
        match self {
            Side::Handler(handling) => Ok(handling.request()),
            Side::Event(listening) => Ok(&listening.request),
            Side::Fake(fake) => Err(fake),
        }
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.sent().map_or_else(|fake| &fake.asked.body[..], |sent| sent.body())
    }

    pub(crate) fn function(&self) -> &str {
        self.sent().map_or_else(|fake| &fake.asked.function[..], |sent| sent.function())
    }

    pub(crate) fn caller(&self) -> Option<&str> {
        self.sent().map_or_else(|fake| fake.asked.caller.as_deref(), |sent| sent.caller())
    }

    pub(crate) fn metadata(&self) -> Metadata<'_> {
        self.sent().map_or_else(|fake| fake.asked.metadata.as_metadata(), |sent| sent.metadata())
    }

    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.sent().map_or_else(|fake| fake.asked.time_left, |sent| sent.time_left())
    }

    pub(crate) fn call_id(&self) -> CallId {
        self.sent().map_or_else(|_| CallId::new(0), |sent| sent.call_id())
    }

    pub(crate) fn log(&self, text: &[u8]) {
        match self.sent() {
            Ok(sent) => sent.log(text),
            Err(_) => write_stderr(String::from_utf8_lossy(text)),
        }
    }

    pub(crate) fn event_number(&self) -> Option<CallNumber> {
        self.sent().map_or(None, |sent| sent.event_number())
    }

    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        self.sent().map_or_else(|fake| fake.asked.cancel_reason, |sent| sent.cancel_reason())
    }

    pub(crate) fn call(
        &self,
        name: &str,
        parts: &[&[u8]],
        options: &CallOptions,
    ) -> Result<Given, Failure> {
        match self {
            Side::Handler(handling) => {
                handling.request().call(name, Body::Parts(parts), options).map(Given::from)
            }
            Side::Event(_) => Err(would_block()),
            Side::Fake(fake) => fake.call(name, parts, options).map(Given::from),
        }
    }

    pub(crate) fn start_call(
        &self,
        tag: u64,
        name: &str,
        parts: &[&[u8]],
        options: &CallOptions,
    ) -> Result<(), Failure> {
        match self.sent() {
            Ok(sent) => sent.start_call(tag, name, Body::Parts(parts), options),
            Err(fake) => fake.start_call(tag, name, parts, options),
        }
    }

    pub(crate) fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Ended>, Failure> {
        match self {
            Side::Handler(handling) => {
                let next = handling.request().next_answer(timeout)?;
                Ok(next.map(|next| Ended { tag: next.tag, result: next.result.map(Given::from) }))
            }
            Side::Event(_) => Err(would_block()),
            Side::Fake(fake) => fake.next_answer().map(Some),
        }
    }

    pub(crate) fn cancel_call(&self, tag: u64) -> Result<(), Failure> {
        match self.sent() {
            Ok(sent) => sent.cancel_call(tag),
            Err(_) => {
                let text = "a handler's calls end with the handler or by their timeouts";
                Err(Failure::new(Status::InvalidState, text))
            }
        }
    }

    /// Registers a function that runs when the call is cancelled. A test's request is cancelled
    /// from the start or never, so no watch is needed.
    pub(crate) fn on_cancel(
        &self,
        run: Box<dyn FnOnce() + Send>,
    ) -> Result<Option<Watch>, Failure> {
        match self.sent() {
            Ok(sent) => sent.on_cancel(run).map(Some),
            Err(fake) => {
                if fake.asked.cancel_reason.is_some() {
                    run();
                }
                Ok(None)
            }
        }
    }

    pub(crate) fn buffer(&self, capacity: usize) -> Result<Room, Failure> {
        match self.sent() {
            Ok(sent) => sent.buffer(capacity).map(Room::Arena),
            Err(_) => Room::heap(capacity),
        }
    }

    pub(crate) fn reply(&self, parts: &[&[u8]], metadata: Metadata<'_>) -> Result<(), Failure> {
        match self.sent() {
            Ok(sent) => sent.reply(Body::Parts(parts), metadata),
            Err(fake) => fake.reply(parts.concat(), metadata),
        }
    }

    pub(crate) fn reply_from(
        &self,
        room: Room,
        len: usize,
        metadata: Metadata<'_>,
    ) -> Result<(), Failure> {
        match (self.sent(), room) {
            (Ok(sent), Room::Arena(buffer)) => sent.reply(Body::Buffer(buffer, len), metadata),
            (_, mut room) => {
                let filled = room.as_mut_slice().get(..len);
                let filled = filled.ok_or_else(|| invalid("a reply is longer than its buffer"))?;
                self.reply(&[filled], metadata)
            }
        }
    }

    pub(crate) fn fail(&self, error: &HandlerError) -> Result<(), Failure> {
        match self {
            Side::Handler(handling) => {
                handling.request().fail(error)?;
                handling.failed.set(true);
                Ok(())
            }
            Side::Event(listening) => listening.request.fail(error),
            Side::Fake(fake) => fake.fail(error),
        }
    }
}

/// Returns the failure of a call that would block the event loop. Its message uses the names of the
/// header, because the program's author reads it.
fn would_block() -> Failure {
    let text = "a call that waits would stop the event loop: use nc_call_start, whose answer comes \
                by nc_worker_next";
    Failure::new(Status::InvalidState, text)
}
