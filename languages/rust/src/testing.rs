//! Calls a handler without an engine, for tests of handlers.
//!
//! ```
//! use nightcore::testing::FakeRequest;
//! use nightcore::{Answer, Reply, Request, Result};
//!
//! fn foo(req: &Request) -> Result<Answer> {
//!     req.call("Bar", [req.body(), b", World"].concat())
//! }
//!
//! let request = FakeRequest::new("Hello").on_call(|call| {
//!     assert_eq!((call.function, call.body), ("Bar", &b"Hello, World"[..]));
//!     Ok(Reply::new("From function Bar"))
//! });
//! assert_eq!(request.run(foo).unwrap().body(), b"From function Bar");
//! ```

use crate::answer::{Answer, Tagged};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::reply::{IntoReply, Reply};
use crate::request::Request;
use nightcore_runtime::protocol::{
    CallId, CancelReason, Failure, Metadata, MetadataBuffer, Status,
};
use nightcore_runtime::worker::CallOptions;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A call that a handler makes of another function.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The function that is called.
    pub function: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The metadata.
    pub metadata: Metadata<'a>,
    /// The timeout of this call, if the handler gave it one.
    pub timeout: Option<Duration>,
}

type OnCall<'t> = Box<dyn FnMut(&Call<'_>) -> Result<Reply> + 't>;

/// A request that no engine sent.
pub struct FakeRequest<'t> {
    body: Vec<u8>,
    function: String,
    caller: Option<String>,
    metadata: MetadataBuffer,
    time_left: Option<Duration>,
    cancel_reason: Option<CancelReason>,
    on_call: RefCell<OnCall<'t>>,
}

impl<'t> FakeRequest<'t> {
    /// An external request with this body, to a function "Test", without metadata and without a
    /// deadline. Every function it calls is one that is not there, unless [`FakeRequest::on_call`]
    /// says more.
    pub fn new(body: impl Into<Vec<u8>>) -> FakeRequest<'t> {
        let nobody = |call: &Call<'_>| -> Result<Reply> {
            Err(error(Status::NotFound, format!("there is no function {:?}", call.function)))
        };
        FakeRequest {
            body: body.into(),
            function: "Test".into(),
            caller: None,
            metadata: MetadataBuffer::new(),
            time_left: None,
            cancel_reason: None,
            on_call: RefCell::new(Box::new(nobody)),
        }
    }

    /// Answers the handler's calls. An error is the callee's: `Error::failed` for FUNCTION_FAILED,
    /// [`error`] for any other. Calls that the handler starts without waiting are answered in the
    /// order they were started.
    pub fn on_call(mut self, on_call: impl FnMut(&Call<'_>) -> Result<Reply> + 't) -> Self {
        self.on_call = RefCell::new(Box::new(on_call));
        self
    }

    /// The name of the function that is called.
    pub fn to_function(mut self, name: impl Into<String>) -> Self {
        self.function = name.into();
        self
    }

    /// Makes it an internal call, made by this function.
    pub fn from_function(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Adds a pair of metadata.
    ///
    /// # Panics If the name is not of visible ASCII, or all metadata are over 32 KiB.
    pub fn with_metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.metadata.push(name, value.as_ref()) {
            panic!("metadata {name:?} of the request: {error}");
        }
        self
    }

    /// The time left until the deadline; it does not pass.
    pub fn with_time_left(mut self, left: Duration) -> Self {
        self.time_left = Some(left);
        self
    }

    /// Makes it one whose answer nobody waits for any more: its caller has left.
    pub fn cancelled(self) -> Self {
        self.cancelled_for(CancelReason::Caller)
    }

    /// Makes it one whose answer nobody waits for any more, for this reason.
    pub fn cancelled_for(mut self, reason: CancelReason) -> Self {
        self.cancel_reason = Some(reason);
        self
    }

    /// Runs a handler: its answer, or its error as its caller would see it if the function has
    /// `expose_errors = true`. A panic is the test's.
    pub fn run<R: IntoReply>(self, handler: impl FnOnce(&Request<'_>) -> R) -> Result<Answer> {
        let running =
            Running { request: self, ready: RefCell::default(), reply: RefCell::default() };
        let sent = handler(&Request::new(&running)).send(&running);
        let Running { request, reply, .. } = running;
        sent.map_err(|error| {
            Error::from(Failure { function: request.function, ..error.exposed() })
        })?;
        let (body, metadata) = reply.into_inner();
        Ok(Answer::made(body, metadata))
    }
}

impl fmt::Debug for FakeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRequest")
            .field("function", &self.function)
            .field("body", &self.body)
            .finish()
    }
}

/// An error of a callee, for [`FakeRequest::on_call`] to answer with.
///
/// # Panics If a call cannot end with this status: `OK`, or one of the library's own.
pub fn error(status: Status, message: impl Into<String>) -> Error {
    assert!(status.ends_a_call(), "no call ends with the error {status}");
    Error::from(Failure::new(status, message))
}

/// A request while its handler runs.
struct Running<'t> {
    request: FakeRequest<'t>,
    /// Answers to calls that were started.
    ready: RefCell<VecDeque<Tagged>>,
    reply: RefCell<(Vec<u8>, MetadataBuffer)>,
}

impl Host for Running<'_> {
    fn id(&self) -> CallId {
        CallId::new(0)
    }

    // By the macro, which tests capture. A test that cannot print may panic.
    #[allow(clippy::print_stderr)]
    fn log(&self, text: &str) {
        eprintln!("{text}");
    }

    fn body(&self) -> &[u8] {
        &self.request.body
    }

    fn function(&self) -> &str {
        &self.request.function
    }

    fn metadata(&self) -> Metadata<'_> {
        self.request.metadata.as_metadata()
    }

    fn caller(&self) -> Option<&str> {
        self.request.caller.as_deref()
    }

    fn time_left(&self) -> Option<Duration> {
        self.request.time_left
    }

    fn cancel_reason(&self) -> Option<CancelReason> {
        self.request.cancel_reason
    }

    fn call(&self, name: &str, body: &[u8], options: &CallOptions) -> Result<Answer> {
        let metadata = options.metadata.as_metadata();
        let call = Call { function: name, body, metadata, timeout: options.timeout };
        let answer = (self.request.on_call.borrow_mut())(&call);
        answer
            .and_then(|reply| reply.into_parts().map_err(Error::from))
            .map(|(body, metadata)| Answer::made(body, metadata))
            .map_err(|error| error.of_function(name))
    }

    fn start_call(&self, tag: u64, name: &str, body: &[u8], options: &CallOptions) -> Result<()> {
        let result = self.call(name, body, options);
        self.ready.borrow_mut().push_back(Tagged { tag, result });
        Ok(())
    }

    fn next_answer(&self, _timeout: Option<Duration>) -> Result<Option<Tagged>> {
        let next = self.ready.borrow_mut().pop_front();
        next.map(Some)
            .ok_or_else(|| Failure::new(Status::InvalidState, "no call is under way").into())
    }

    fn reply(&self, body: &[u8], metadata: Metadata<'_>) -> Result<(), Failure> {
        let mut pairs = MetadataBuffer::new();
        for (name, value) in metadata.iter() {
            pairs.push(name, value).map_err(Failure::from)?;
        }
        *self.reply.borrow_mut() = (body.to_vec(), pairs);
        Ok(())
    }
}
