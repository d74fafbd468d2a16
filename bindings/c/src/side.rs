//! The two kinds of requests behind one handle. Only this file asks which one it is.

use crate::outcome::outcome;
use nightcore_runtime::protocol::{CallNumber, CancelReason, Failure, Metadata, Status};
use nightcore_runtime::worker::{
    Answer, Body, Buffer, CallOptions, HandlerError, Input, LoopRequest, Request, RunningCall,
    Tagged, Watch,
};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A request, of a handler's thread or of an event loop.
pub(crate) enum Side {
    Handler(Handling),
    Event(Listening),
}

/// A request of an event loop.
pub(crate) struct Listening {
    request: LoopRequest,
    /// Why the last answer was refused.
    refused: Mutex<Option<Failure>>,
}

/// A request that a handler runs.
pub(crate) struct Handling {
    /// Lives until the handler returns, by which `nc_request::run` ends this.
    request: *const Request<'static>,
    /// The last operation that failed.
    last: RefCell<Option<Failure>>,
    /// Answered by a failure, so that what the handler returns says nothing more.
    failed: Cell<bool>,
}

impl Handling {
    fn request(&self) -> &Request<'static> {
        // SAFETY: it outlives this, see the field.
        unsafe { &*self.request }
    }
}

impl Deref for Side {
    type Target = Input;

    fn deref(&self) -> &Input {
        match self {
            Side::Handler(handling) => handling.request(),
            Side::Event(listening) => &listening.request,
        }
    }
}

impl Side {
    /// A request that a handler runs.
    ///
    /// # Safety
    /// `request` stays where it is until this is dropped.
    pub(crate) unsafe fn handler(request: &Request<'_>) -> Side {
        Side::Handler(Handling {
            request: std::ptr::from_ref(request).cast(),
            last: RefCell::new(None),
            failed: Cell::new(false),
        })
    }

    /// A request of an event loop.
    pub(crate) fn event(request: LoopRequest) -> Side {
        Side::Event(Listening { request, refused: Mutex::new(None) })
    }

    /// Notes that an operation failed, for a handler that returns its status.
    pub(crate) fn note_failed(&self, failure: &Failure) {
        if let Side::Handler(handling) = self {
            *handling.last.borrow_mut() = Some(failure.clone());
        }
    }

    /// Notes why an answer was refused, for a request of an event loop that then ends without one.
    pub(crate) fn note_refused(&self, failure: &Failure) {
        if let Side::Event(listening) = self {
            let mut refused = listening.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some(failure.clone());
        }
    }

    /// The outcome of the call, as its handler returned `status`.
    pub(crate) fn returned(self, status: i32) -> Result<(), Failure> {
        match self {
            Side::Handler(handling) if !handling.failed.get() => {
                outcome(status, handling.last.take())
            }
            _ => Ok(()),
        }
    }

    /// The request of an event loop is freed. If it was not answered its call fails.
    pub(crate) fn freed(self) {
        if let Side::Event(Listening { request, refused }) = self
            && let Some(failure) = refused.into_inner().unwrap_or_else(PoisonError::into_inner)
        {
            // Refused if it was answered after all, or by a fork.
            let _ = request.fail(&failure.passed_on().into());
        }
    }
}

impl RunningCall for Side {
    fn event_number(&self) -> Option<CallNumber> {
        match self {
            Side::Handler(handling) => handling.request().event_number(),
            Side::Event(listening) => listening.request.event_number(),
        }
    }

    fn cancel_reason(&self) -> Option<CancelReason> {
        match self {
            Side::Handler(handling) => handling.request().cancel_reason(),
            Side::Event(listening) => listening.request.cancel_reason(),
        }
    }

    fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        match self {
            Side::Handler(handling) => handling.request().start_call(tag, name, body, options),
            Side::Event(listening) => listening.request.start_call(tag, name, body, options),
        }
    }

    fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        match self {
            Side::Handler(handling) => handling.request().buffer(capacity),
            Side::Event(listening) => listening.request.buffer(capacity),
        }
    }

    fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        match self {
            Side::Handler(handling) => handling.request().reply(body, metadata),
            Side::Event(listening) => listening.request.reply(body, metadata),
        }
    }

    fn fail(&self, error: &HandlerError) -> Result<(), Failure> {
        match self {
            Side::Handler(handling) => {
                handling.request().fail(error)?;
                handling.failed.set(true);
                Ok(())
            }
            Side::Event(listening) => listening.request.fail(error),
        }
    }

    fn call(&self, name: &str, body: Body<'_>, options: &CallOptions) -> Result<Answer, Failure> {
        match self {
            Side::Handler(handling) => handling.request().call(name, body, options),
            Side::Event(_) => Err(would_block()),
        }
    }

    fn next_answer(&self, timeout: Option<Duration>) -> Result<Option<Tagged>, Failure> {
        match self {
            Side::Handler(handling) => handling.request().next_answer(timeout),
            Side::Event(_) => Err(would_block()),
        }
    }

    fn on_cancel(&self, run: Box<dyn FnOnce() + Send>) -> Result<Watch, Failure> {
        match self {
            Side::Handler(handling) => handling.request().on_cancel(run),
            Side::Event(listening) => listening.request.on_cancel(run),
        }
    }

    fn cancel_call(&self, tag: u64) -> Result<(), Failure> {
        match self {
            Side::Handler(handling) => handling.request().cancel_call(tag),
            Side::Event(listening) => listening.request.cancel_call(tag),
        }
    }
}

/// The names are those of the header, for the program's author.
fn would_block() -> Failure {
    let text = "a call that waits would stop the event loop: use nc_call_start, whose answer comes by nc_worker_next";
    Failure::new(Status::InvalidState, text)
}
