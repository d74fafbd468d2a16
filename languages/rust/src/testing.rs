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

use crate::answer::Answer;
use crate::cancel::{CancelGuard, CancelReason};
use crate::error::{Error, Result};
use crate::host::{CallEnd, Host, Received};
use crate::metadata::Metadata;
use crate::reply::{IntoReply, Reply, send};
use crate::request::Request;
use crate::status::Status;
use nightcore_runtime::protocol::{self, CallId, Failure, MetadataBuffer};
use nightcore_runtime::worker::{CallOptions, HandlerError};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A call that the handler under test makes.
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

type OnCall<'t> = Box<dyn FnMut(&Call<'_>) -> Result<Reply> + Send + 't>;

/// A request that a test makes, without an engine.
pub struct FakeRequest<'t> {
    body: Vec<u8>,
    function: String,
    caller: Option<String>,
    metadata: MetadataBuffer,
    time_left: Option<Duration>,
    cancel_reason: Option<CancelReason>,
    on_call: Mutex<OnCall<'t>>,
}

impl<'t> FakeRequest<'t> {
    /// Creates an external request with this body, to a function "Test", without metadata and
    /// without a deadline. Every call that the handler makes fails with `NOT_FOUND`, unless
    /// [`FakeRequest::on_call`] handles the calls.
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
            on_call: Mutex::new(Box::new(nobody)),
        }
    }

    /// Handles the handler's calls with a test double. Its error is the called function's:
    /// `Error::failed` for `FUNCTION_FAILED`, [`error`] for any other status. Calls that the
    /// handler starts without waiting end in the order in which they were started.
    #[must_use]
    pub fn on_call(mut self, on_call: impl FnMut(&Call<'_>) -> Result<Reply> + Send + 't) -> Self {
        self.on_call = Mutex::new(Box::new(on_call));
        self
    }

    /// Sets the name of the function that is called.
    #[must_use]
    pub fn to_function(mut self, name: impl Into<String>) -> Self {
        self.function = name.into();
        self
    }

    /// Makes the request an internal call from this function.
    #[must_use]
    pub fn from_function(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Adds a pair of metadata.
    ///
    /// # Panics
    /// If the name is not of visible ASCII, or all metadata take more than 32 KiB.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.metadata.push(name, value.as_ref()) {
            panic!("metadata {name:?} of the request: {error}");
        }
        self
    }

    /// Sets the time left until the deadline. It does not pass.
    #[must_use]
    pub fn with_time_left(mut self, left: Duration) -> Self {
        self.time_left = Some(left);
        self
    }

    /// Makes the request cancelled, because its caller has left.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.cancelled_for(CancelReason::Caller)
    }

    /// Makes the request cancelled, for this reason.
    #[must_use]
    pub fn cancelled_for(mut self, reason: CancelReason) -> Self {
        self.cancel_reason = Some(reason);
        self
    }

    /// Runs a handler. Returns its answer, or the error that its caller gets if the function has
    /// `expose_errors = true`. A panic of the handler is not caught.
    ///
    /// # Errors
    /// If the handler fails.
    pub fn run<R: IntoReply>(self, handler: impl FnOnce(&Request<'_>) -> R) -> Result<Answer> {
        let fake = Fake::new(self);
        let sent = send(handler(&Request::new(&fake)), &fake);
        fake.end(sent)
    }
}

#[cfg(feature = "tokio")]
impl FakeRequest<'static> {
    /// Runs an asynchronous handler, as [`FakeRequest::run`] does.
    ///
    /// ```
    /// # use nightcore::testing::FakeRequest;
    /// use nightcore::{AsyncRequest, Reply, Result};
    ///
    /// async fn greet(req: AsyncRequest) -> Result<String> {
    ///     let name = req.call("NameOf", req.body()).await?;
    ///     Ok(format!("Hello, {}", name.text()?))
    /// }
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     let request = FakeRequest::new("17").on_call(|_| Ok(Reply::new("Ada")));
    ///     assert_eq!(request.run_async(greet).await.unwrap().body(), b"Hello, Ada");
    /// }
    /// ```
    ///
    /// # Errors
    /// If the handler fails.
    pub async fn run_async<R: IntoReply>(
        self,
        handler: impl AsyncFnOnce(crate::AsyncRequest) -> R,
    ) -> Result<Answer> {
        use crate::asynchronous::Running;
        use std::sync::Arc;

        let fake = Arc::new(Fake::new(self));
        let running = Arc::new(Running::new(fake.clone(), true));
        let returned = handler(crate::AsyncRequest::new(running.clone())).await;
        running.end();
        let sent = send(returned, &*fake);
        fake.end(sent)
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

/// Returns an error of a called function, for [`FakeRequest::on_call`].
///
/// # Panics
/// If no call can end with this status, because it is the library's own.
#[must_use]
pub fn error(status: Status, message: impl Into<String>) -> Error {
    let protocol = status.to_protocol();
    assert!(protocol.ends_a_call(), "no call ends with the error {status}");
    Error::from(Failure::new(protocol, message))
}

/// The host of a request that a test made.
struct Fake<'t> {
    request: FakeRequest<'t>,
    /// The ends of calls that the handler has started.
    ended: Mutex<VecDeque<CallEnd>>,
    reply: Mutex<(Vec<u8>, MetadataBuffer)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'t> Fake<'t> {
    fn new(request: FakeRequest<'t>) -> Fake<'t> {
        Fake { request, ended: Mutex::default(), reply: Mutex::default() }
    }

    /// Returns the answer or the error that the caller gets.
    fn end(&self, sent: Result<(), HandlerError>) -> Result<Answer> {
        let function = self.request.function.as_str();
        sent.map_err(|error| Error::from(error.exposed()).of_function(function))?;
        let (body, metadata) = std::mem::take(&mut *lock(&self.reply));
        Ok(Answer::made(function, body, metadata))
    }
}

impl Host for Fake<'_> {
    fn id(&self) -> CallId {
        CallId::new(0)
    }

    // The macro is used because the test harness captures its output. It may panic if printing
    // fails.
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

    fn metadata(&self) -> protocol::Metadata<'_> {
        self.request.metadata.as_metadata()
    }

    fn caller(&self) -> Option<&str> {
        self.request.caller.as_deref()
    }

    fn time_left(&self) -> Option<Duration> {
        self.request.time_left
    }

    fn cancel_reason(&self) -> Option<protocol::CancelReason> {
        self.request.cancel_reason.map(CancelReason::to_protocol)
    }

    fn on_cancel(&self, run: Box<dyn FnOnce() + Send>) -> Result<CancelGuard> {
        if self.request.cancel_reason.is_some() {
            run();
        }
        Ok(CancelGuard::new(None))
    }

    fn call(&self, name: &str, body: &[u8], options: &CallOptions) -> Result<Answer> {
        let metadata = Metadata(options.metadata.as_metadata());
        let call = Call { function: name, body, metadata, timeout: options.timeout };
        let replied = (lock(&self.request.on_call))(&call);
        let reply = match &replied {
            Ok(reply) => reply,
            Err(error) => error.http_reply_made().ok_or_else(|| error.clone().of_function(name))?,
        };
        let metadata =
            reply.metadata().map_err(|mistake| Error::from(mistake).of_function(name))?;
        Ok(Answer::made(name, reply.body().to_vec(), metadata.into_owned()))
    }

    fn start_call(&self, tag: u64, name: &str, body: &[u8], options: &CallOptions) -> Result<()> {
        let result = self.call(name, body, options).map(Received::Made);
        lock(&self.ended).push_back(CallEnd { tag, result });
        Ok(())
    }

    fn give_up(&self, tag: u64) {
        lock(&self.ended).retain(|end| end.tag != tag);
    }

    fn next_answer(&self, _timeout: Option<Duration>) -> Result<Option<CallEnd>> {
        let next = lock(&self.ended).pop_front();
        next.map(Some).ok_or_else(|| Error::invalid_state("no call is under way"))
    }

    fn reply(&self, body: &[u8], metadata: protocol::Metadata<'_>) -> Result<(), Failure> {
        let mut pairs = MetadataBuffer::new();
        for (name, value) in metadata.iter() {
            pairs.push(name, value).map_err(Failure::from)?;
        }
        *lock(&self.reply) = (body.to_vec(), pairs);
        Ok(())
    }
}
