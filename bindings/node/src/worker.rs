//! The worker of this process, which JavaScript uses.

use crate::failure::{Attempt, JsFailure, failure_of};
use crate::watch::{Watch, Watching};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use nightcore_runtime::worker::{
    Body, CallOptions, Event, EventLoop, HandlerError, LoopRequest, RunningCall,
};
use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The kinds of events. `lib/worker.js` describes the values that follow each of them in the array.
const REQUEST: u32 = 1;
const ANSWER: u32 = 2;
const ERROR: u32 = 3;
const CANCELLED: u32 = 4;
const ENDED: u32 = 5;

/// Payloads up to this size share one buffer. Each larger payload has its own buffer.
const MAX_SHARED_BYTES: usize = 4096;

const NANOS_PER_MILLI: f64 = 1e6;

/// The worker of this process.
#[napi]
pub struct Worker {
    event_loop: EventLoop,
    /// Requests that have no reply yet, at the indices by which JavaScript names them.
    requests: RefCell<Vec<Option<LoopRequest>>>,
    idle: RefCell<Vec<u32>>,
    watching: Cell<Option<Watching>>,
}

/// The reason why a program cannot serve.
#[napi(object)]
pub struct JsNotStarted {
    /// The exit code for the program.
    pub exit_code: u32,
    pub message: String,
}

fn ended() -> Failure {
    let text = "the request has ended: make its calls before its handler returns";
    Failure::new(Status::InvalidState, text)
}

/// Checks metadata that JavaScript has encoded.
fn metadata(encoded: Option<&[u8]>) -> Attempt<MetadataBuffer> {
    let mut metadata = MetadataBuffer::new();
    let Some(encoded) = encoded else { return Ok(metadata) };
    for (name, value) in Metadata::parse(encoded)?.iter() {
        metadata.push(name, value)?;
    }
    Ok(metadata)
}

/// Builds the options of a call. `timeout` is in ms; 0 means that there is none.
pub fn options(timeout: f64, encoded: Option<&[u8]>) -> Attempt<CallOptions> {
    let timeout = (timeout > 0.0).then(|| Duration::from_nanos((timeout * NANOS_PER_MILLI) as u64));
    Ok(CallOptions { timeout, metadata: metadata(encoded)? })
}

/// The array of events, while it is filled.
struct Events<'env> {
    env: &'env Env,
    array: Array<'env>,
    /// The number of values. It includes the shared buffer, which comes first and is added last.
    count: u32,
    shared: Vec<u8>,
}

impl<'env> Events<'env> {
    fn add<T: ToNapiValue>(&mut self, value: T) -> Result<()> {
        self.array.set(self.count, value)?;
        self.count += 1;
        Ok(())
    }

    /// Adds metadata and a body to the shared buffer, and their lengths to the array. A large body
    /// is added to the array itself, in place of its length.
    fn payload(&mut self, metadata: Metadata<'_>, body: &[u8]) -> Result<()> {
        let metadata = metadata.as_bytes();
        self.shared.extend_from_slice(metadata);
        self.add(metadata.len() as u32)?;
        if body.len() <= MAX_SHARED_BYTES {
            self.shared.extend_from_slice(body);
            self.add(body.len() as u32)
        } else {
            self.add(BufferSlice::copy_from(self.env, body)?)
        }
    }
}

/// Connects to the engine. Returns the worker of this process, or why it cannot serve.
#[napi]
pub fn connect(names: Vec<String>) -> Either<Worker, JsNotStarted> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match EventLoop::connect(&names) {
        Ok(event_loop) => Either::A(Worker {
            event_loop,
            requests: RefCell::default(),
            idle: RefCell::default(),
            watching: Cell::new(None),
        }),
        Err(error) => Either::B(JsNotStarted {
            exit_code: error.exit_code().into(),
            message: error.to_string(),
        }),
    }
}

#[napi]
impl Worker {
    /// Returns the name of the function to run.
    #[napi(getter)]
    pub fn function(&self) -> &str {
        self.event_loop.function()
    }

    /// Whether `events` spins for more events, so that it pays off to call it once more before
    /// sleeping.
    #[napi(getter)]
    pub fn looks(&self) -> bool {
        self.event_loop.spins()
    }

    /// Watches for events, and calls the function whenever there are some.
    #[napi]
    pub fn watch(&self, env: &Env, callback: Function<'_, (), ()>) -> Result<()> {
        let watching = Watch::start(env, self.event_loop.fd().as_raw_fd(), &callback)?;
        self.watching.set(Some(watching));
        Ok(())
    }

    /// Stops watching, so that the process can end.
    #[napi]
    pub fn close(&self) {
        if let Some(watching) = self.watching.take() {
            watching.close();
        }
    }

    /// Returns all events that have come. The first value of the array is a buffer with the small
    /// payloads, one after the other; the events follow.
    #[napi]
    pub fn events<'env>(&self, env: &'env Env) -> Result<Array<'env>> {
        let mut events = Events { env, array: env.create_array(0)?, count: 1, shared: Vec::new() };
        let text = |failure: Failure| Error::from_reason(failure.message);
        while let Some(event) = self.event_loop.next(Some(Duration::ZERO)).map_err(text)? {
            match event {
                Event::Request(request) => {
                    events.add(REQUEST)?;
                    let left =
                        request.time_left().map(|left| left.as_nanos() as f64 / NANOS_PER_MILLI);
                    events.add(left)?;
                    let id = request.call_id().number();
                    events.add((id >> 32) as u32)?;
                    events.add(id as u32)?;
                    events.add(request.caller())?;
                    events.payload(request.metadata(), request.body())?;
                    events.add(self.keep(request))?;
                }
                Event::Answer { tag, result: Ok(answer), .. } => {
                    events.add(ANSWER)?;
                    events.add(tag as f64)?;
                    events.payload(answer.metadata(), answer.body())?;
                }
                Event::Answer { tag, result: Err(failure), .. } => {
                    events.add(ERROR)?;
                    events.add(tag as f64)?;
                    events.add(JsFailure::from(failure))?;
                }
                Event::Cancelled { request, reason } => {
                    let is_it = |kept: &Option<LoopRequest>| {
                        kept.as_ref().is_some_and(|r| r.id() == request)
                    };
                    if let Some(index) = self.requests.borrow().iter().position(is_it) {
                        events.add(CANCELLED)?;
                        events.add(index as u32)?;
                        events.add(reason.status().name())?;
                    }
                }
                Event::Ended => {
                    events.add(ENDED)?;
                    break;
                }
            }
        }
        events.array.set(0, BufferSlice::copy_from(env, &events.shared)?)?;
        Ok(events.array)
    }

    fn keep(&self, request: LoopRequest) -> u32 {
        let mut requests = self.requests.borrow_mut();
        if let Some(index) = self.idle.borrow_mut().pop() {
            requests[index as usize] = Some(request);
            return index;
        }
        requests.push(Some(request));
        requests.len() as u32 - 1
    }

    fn with<R>(&self, index: u32, work: impl FnOnce(&LoopRequest) -> Attempt<R>) -> Attempt<R> {
        let requests = self.requests.borrow();
        work(requests.get(index as usize).and_then(Option::as_ref).ok_or_else(ended)?)
    }

    fn end(&self, index: u32) {
        if let Some(request) = self.requests.borrow_mut().get_mut(index as usize)
            && request.take().is_some()
        {
            self.idle.borrow_mut().push(index);
        }
    }

    /// Starts a call. An event with this tag reports its end. `timeout` is in ms; 0 means that
    /// there is none.
    #[napi]
    pub fn start(
        &self,
        request: u32,
        tag: f64,
        name: String,
        body: &[u8],
        timeout: f64,
        encoded: Option<&[u8]>,
    ) -> Option<JsFailure> {
        failure_of(options(timeout, encoded).and_then(|options| {
            self.with(request, |request| {
                request.start_call(tag as u64, &name, Body::Parts(&[body]), &options)
            })
        }))
    }

    /// Cancels a call.
    #[napi]
    pub fn cancel(&self, request: u32, tag: f64) -> Option<JsFailure> {
        failure_of(self.with(request, |request| request.cancel_call(tag as u64)))
    }

    /// Replies to a request. If this fails, another reply is possible.
    #[napi]
    pub fn reply(&self, request: u32, body: &[u8], encoded: Option<&[u8]>) -> Option<JsFailure> {
        let replied = metadata(encoded).and_then(|metadata| {
            self.with(request, |request| {
                request.reply(Body::Parts(&[body]), metadata.as_metadata())
            })
        });
        if replied.is_ok() {
            self.end(request);
        }
        failure_of(replied)
    }

    /// Fails a request. Throws if no call can end with the failure's code.
    #[napi]
    pub fn fail(&self, request: u32, failure: JsFailure) -> Result<Option<JsFailure>> {
        let failure = Failure::try_from(failure)?.passed_on();
        Ok(self.fail_with(request, &failure.into()))
    }

    /// Fails a request with an error whose text is not meant for callers.
    #[napi]
    pub fn fail_unexpectedly(&self, request: u32, text: String) -> Option<JsFailure> {
        self.fail_with(request, &HandlerError::Unexpected(text))
    }

    fn fail_with(&self, request: u32, error: &HandlerError) -> Option<JsFailure> {
        let failed = self.with(request, |request| request.fail(error));
        self.end(request);
        failure_of(failed)
    }
}
