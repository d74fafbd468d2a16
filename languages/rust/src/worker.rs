//! The handlers of a program, which a worker serves.

use crate::reply::{IntoReply, send};
use crate::request::Request;
use crate::status::Status;
use nightcore_runtime::protocol::{Failure, name};
use nightcore_runtime::stderr::write_stderr;
use nightcore_runtime::worker::{self, Handlers};
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

#[cfg(feature = "tokio")]
use crate::asynchronous::{self, Loop};
#[cfg(feature = "tokio")]
use nightcore_runtime::protocol::control::FUNCTION_VARIABLE;
#[cfg(feature = "tokio")]
use nightcore_runtime::worker::HandlerError;

/// The exit code of a program that was started in a wrong way, or has wrong handlers.
const EXIT_WRONG: u8 = 2;

/// The handlers of a program. A program may have many handlers; a process runs the one of the
/// function that Nightcore started the process for.
///
/// ```no_run
/// use nightcore::{Request, Worker};
///
/// fn main() -> std::process::ExitCode {
///     let greeting = String::from("Hello, ");
///     Worker::new()
///         .handle("Greet", move |req: &Request| [greeting.as_bytes(), req.body()].concat())
///         .handle("Size", |req: &Request| req.body().len().to_string())
///         .serve()
/// }
/// ```
#[derive(Default)]
#[must_use = "a worker does nothing until it serves"]
pub struct Worker {
    handlers: Vec<(String, AnyHandler)>,
    /// The first mistake in the handlers.
    mistake: Option<Failure>,
}

enum AnyHandler {
    Threads(worker::Handler),
    #[cfg(feature = "tokio")]
    Loop(asynchronous::Handler),
}

impl AnyHandler {
    /// Returns the handler for a process that runs its handlers on threads.
    fn on_threads(self) -> worker::Handler {
        match self {
            AnyHandler::Threads(handler) => handler,
            #[cfg(feature = "tokio")]
            AnyHandler::Loop(_) => Arc::new(not_chosen),
        }
    }
}

impl Worker {
    /// Creates a worker without handlers.
    pub fn new() -> Worker {
        Worker::default()
    }

    /// Adds the handler of a function. Worker threads call it, several at once. A panic fails its
    /// call and no other.
    ///
    /// A name is `[A-Za-z_][A-Za-z0-9_-]*`, of at most 63 characters. [`Worker::serve`] reports a
    /// name that is malformed or has a handler already.
    pub fn handle<F, R>(self, name: &str, handler: F) -> Worker
    where
        F: Fn(&Request<'_>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        let run =
            move |request: &worker::Request<'_>| send(handler(&Request::new(request)), request);
        self.add(name, AnyHandler::Threads(Arc::new(run)))
    }

    /// Adds the handler of a function that runs in an event loop: any number of its requests run at
    /// once on one thread, so it must not block. The library calls the handler with each request.
    /// The future runs on the thread that serves; it need not be `Send`.
    ///
    /// When a request is cancelled, its future is dropped at its next `await`. Work that has to go
    /// on after that runs in a task that the handler spawns, see
    /// [`crate::AsyncRequest::cancelled`].
    ///
    /// ```no_run
    /// use nightcore::{AsyncRequest, Result, Worker};
    ///
    /// async fn both(req: AsyncRequest) -> Result<Vec<u8>> {
    ///     let (left, right) =
    ///         tokio::try_join!(req.call("Left", req.body()), req.call("Right", req.body()))?;
    ///     Ok([left.body(), right.body()].concat())
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Worker::new().handle_async("Both", both).serve()
    /// }
    /// ```
    ///
    /// A name has the form that [`Worker::handle`] describes.
    #[cfg(feature = "tokio")]
    pub fn handle_async<F, R>(self, name: &str, handler: F) -> Worker
    where
        F: AsyncFn(crate::AsyncRequest) -> R + Send + Sync + 'static,
        R: IntoReply + 'static,
    {
        self.add(name, AnyHandler::Loop(asynchronous::handler(handler)))
    }

    fn add(mut self, name: &str, handler: AnyHandler) -> Worker {
        let text = if !name::is_valid(name) {
            format!(
                "{name:?} cannot name a function: [A-Za-z_][A-Za-z0-9_-]*, at most 63 characters"
            )
        } else if self.handlers.iter().any(|(before, _)| before == name) {
            format!("{name:?} has two handlers: remove one of them")
        } else {
            self.handlers.push((name.to_owned(), handler));
            return self;
        };
        let status = Status::InvalidArgument.to_protocol();
        self.mistake.get_or_insert_with(|| Failure::new(status, text));
        self
    }

    /// Serves until the engine ends this process. The calling thread blocks. Handlers run on other
    /// threads, but asynchronous handlers run on the calling thread, in a tokio runtime.
    ///
    /// `main` returns the exit code. If it is not success, the reason was written to standard
    /// error.
    #[must_use = "it is for `main` to return"]
    pub fn serve(self) -> ExitCode {
        exit_code(self.try_serve())
    }

    /// Does what [`Worker::serve`] does, for a program that reports the reason itself. The program
    /// then ends with [`StartError::exit_code`].
    ///
    /// # Errors
    /// If a name is malformed or has two handlers, if the process was not started by Nightcore, if
    /// the engine refuses it, or if the engine goes away. For asynchronous handlers an engine that
    /// goes away ends the process in the regular way, which is no error. Asynchronous handlers
    /// cannot be served like this within a tokio runtime, such as that of `#[tokio::main]`: see
    /// [`Worker::try_serve_async`].
    pub fn try_serve(self) -> Result<(), StartError> {
        match self.choose()? {
            Chosen::Threads(handlers) => Ok(worker::serve(&handlers)?),
            #[cfg(feature = "tokio")]
            Chosen::Loop(_) if tokio::runtime::Handle::try_current().is_ok() => {
                Err(StartError(Reason::WithinTokio))
            }
            #[cfg(feature = "tokio")]
            Chosen::Loop(chosen) => {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build().map_err(StartError::of_tokio)?;
                runtime.block_on(asynchronous::serve(chosen))
            }
        }
    }

    /// Does what [`Worker::serve`] does, in the tokio runtime that awaits it, such as that of
    /// `#[tokio::main]`. The futures of handlers run where this future runs. A program can first
    /// use the same runtime to prepare what its handlers need.
    ///
    /// ```no_run
    /// # async fn connect() {}
    /// use nightcore::{AsyncRequest, Worker};
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() -> std::process::ExitCode {
    ///     let database = connect().await;
    ///     let foo = async move |_req: AsyncRequest| format!("{database:?}");
    ///     Worker::new().handle_async("Foo", foo).serve_async().await
    /// }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one whose I/O is not enabled.
    #[cfg(feature = "tokio")]
    #[must_use = "it is for `main` to return"]
    pub async fn serve_async(self) -> ExitCode {
        exit_code(self.try_serve_async().await)
    }

    /// Does what [`Worker::serve_async`] does, for a program that reports the reason itself.
    ///
    /// # Errors
    /// The errors of [`Worker::try_serve`].
    ///
    /// # Panics
    /// In the cases of [`Worker::serve_async`].
    #[cfg(feature = "tokio")]
    pub async fn try_serve_async(self) -> Result<(), StartError> {
        match self.choose()? {
            Chosen::Loop(chosen) => asynchronous::serve(chosen).await,
            Chosen::Threads(handlers) => {
                let serving = tokio::task::spawn_blocking(move || worker::serve(&handlers));
                Ok(serving.await.map_err(|error| StartError::of_tokio(error.into()))??)
            }
        }
    }

    /// Returns the handlers in the form in which this process runs them, which depends on the
    /// function that it was started for. If that function has no handler, the engine refuses the
    /// process and lists the names that have one.
    fn choose(self) -> Result<Chosen, StartError> {
        if let Some(mistake) = self.mistake {
            return Err(StartError(Reason::Mistake(mistake)));
        }
        #[cfg(feature = "tokio")]
        if let Some(handler) = chosen_for_loop(&self.handlers) {
            let names = self.handlers.iter().map(|(name, _)| name.clone()).collect();
            return Ok(Chosen::Loop(Loop { names, handler }));
        }
        let mut handlers = Handlers::new();
        for (name, handler) in self.handlers {
            handlers
                .add(&name, handler.on_threads())
                .map_err(|mistake| StartError(Reason::Mistake(mistake)))?;
        }
        Ok(Chosen::Threads(handlers))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.handlers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Worker").field("handlers", &names).finish_non_exhaustive()
    }
}

enum Chosen {
    Threads(Handlers),
    #[cfg(feature = "tokio")]
    Loop(Loop),
}

/// Returns the handler of the function that the process was started for, if it is asynchronous.
#[cfg(feature = "tokio")]
fn chosen_for_loop(handlers: &[(String, AnyHandler)]) -> Option<asynchronous::Handler> {
    let function = std::env::var(FUNCTION_VARIABLE).unwrap_or_default();
    let chosen = handlers.iter().find(|(name, _)| *name == function).or(handlers.first());
    match chosen {
        Some((_, AnyHandler::Loop(handler))) => Some(handler.clone()),
        _ => None,
    }
}

/// Fails a request to an asynchronous function in a process that was started for a plain function.
#[cfg(feature = "tokio")]
fn not_chosen(_: &worker::Request<'_>) -> Result<(), HandlerError> {
    let text = format!("{FUNCTION_VARIABLE} names another function than the engine has asked for");
    Err(Failure::new(Status::InvalidState.to_protocol(), text).into())
}

fn exit_code(served: Result<(), StartError>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            write_stderr(format_args!("nightcore: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Why a process cannot serve, or no longer serves. Its text is for the person who started the
/// process.
#[derive(Debug)]
pub struct StartError(Reason);

#[derive(Debug)]
enum Reason {
    /// There is a mistake in the handlers.
    Mistake(Failure),
    Runtime(worker::StartError),
    /// The thread that would block runs a tokio runtime.
    #[cfg(feature = "tokio")]
    WithinTokio,
    #[cfg(feature = "tokio")]
    Tokio(std::io::Error),
}

impl StartError {
    #[cfg(feature = "tokio")]
    pub(crate) fn of_tokio(error: std::io::Error) -> StartError {
        StartError(Reason::Tokio(error))
    }

    /// Returns the kind of error: `INVALID_ARGUMENT` if there is a mistake in the handlers or there
    /// are none, `NOT_STARTED`, `REFUSED`, `INVALID_STATE` if this process serves already or would
    /// block a tokio runtime, `UNAVAILABLE` if the engine cannot be reached, `ENDED` if it has gone
    /// away, `INTERNAL` if tokio fails.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.0 {
            Reason::Mistake(_) => Status::InvalidArgument,
            Reason::Runtime(error) => Status::of(error.status()),
            #[cfg(feature = "tokio")]
            Reason::WithinTokio => Status::InvalidState,
            #[cfg(feature = "tokio")]
            Reason::Tokio(_) => Status::Internal,
        }
    }

    /// Returns the exit code for the program: 2 if it was written or started in a wrong way, 1 if
    /// the engine cannot be reached or has gone away.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match &self.0 {
            Reason::Mistake(_) => EXIT_WRONG,
            Reason::Runtime(error) => error.exit_code(),
            #[cfg(feature = "tokio")]
            Reason::Tokio(_) | Reason::WithinTokio => EXIT_WRONG,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Mistake(mistake) => f.write_str(&mistake.message),
            Reason::Runtime(error) => error.fmt(f),
            #[cfg(feature = "tokio")]
            Reason::WithinTokio => f.write_str(
                "serve was called within a tokio runtime, which it may block: await serve_async \
                 instead, or call serve on a thread of its own",
            ),
            #[cfg(feature = "tokio")]
            Reason::Tokio(error) => write!(f, "tokio cannot run the handlers: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Mistake(_) => None,
            #[cfg(feature = "tokio")]
            Reason::WithinTokio => None,
            Reason::Runtime(error) => error.source(),
            #[cfg(feature = "tokio")]
            Reason::Tokio(error) => Some(error),
        }
    }
}

impl From<worker::StartError> for StartError {
    fn from(error: worker::StartError) -> StartError {
        StartError(Reason::Runtime(error))
    }
}
