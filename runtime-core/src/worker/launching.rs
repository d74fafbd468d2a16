//! The launching thread: it holds the control socket and creates worker threads when the engine says so.

use super::channel;
use super::request::Request;
use super::session::{Session, StartError};
use super::thread::ThreadWorker;
use crate::ipc::socket::{self, Received};
use crate::protocol::control::{Control, ControlKind, Mode};
use crate::protocol::{Failure, Status};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Stack of a worker thread; what C programs are used to. Address space only, until it is touched.
const WORKER_STACK_BYTES: usize = 8 * 1024 * 1024;
/// How long a process may go on after its engine has gone, before it is ended.
const EXIT_GRACE: Duration = Duration::from_millis(500);
/// The exit code of a process that was ended because its engine had gone.
const EXIT_ENGINE_GONE: i32 = 1;

/// A function's code: it answers by [`Request::reply`] or fails by returning a failure.
pub type Handler = Arc<dyn Fn(&Request<'_>) -> Result<(), Failure> + Send + Sync>;

/// The handlers of a program, by name. A container runs the one it was started for.
#[derive(Clone, Default)]
pub struct Handlers(Vec<(String, Handler)>);

impl Handlers {
    /// No handlers.
    pub const fn new() -> Handlers {
        Handlers(Vec::new())
    }

    /// Registers a handler.
    pub fn add(&mut self, name: &str, handler: Handler) -> Result<(), Failure> {
        let invalid = |text| Err(Failure::new(Status::InvalidArgument, text));
        if !crate::protocol::name::is_valid(name) {
            return invalid(format!(
                "{name:?} cannot name a function: [A-Za-z_][A-Za-z0-9_-]*, at most 63 characters"
            ));
        }
        if self.get(name).is_some() {
            return invalid(format!("a handler named {name:?} is registered already"));
        }
        self.0.push((name.to_owned(), handler));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Handler> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, handler)| handler)
    }
}

/// Serves until the engine ends the container. The calling thread becomes the launching thread; handlers run on
/// worker threads, at most as many at once as the engine asks for.
pub fn serve(handlers: &Handlers) -> Result<(), StartError> {
    let names: Vec<&str> = handlers.0.iter().map(|(name, _)| name.as_str()).collect();
    let session = Arc::new(Session::start(&names, Mode::Threads)?);
    let handler = handlers.get(session.function()).ok_or(StartError::NoHandlers)?.clone();
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    while !session.was_shut_down() {
        match socket::receive(session.control()) {
            Ok(Some(received)) => match session.handle(received) {
                Some(create) if create.kind == ControlKind::CreateWorker => {
                    workers.retain(|worker| !worker.is_finished());
                    let slot = create.control.id;
                    match create_worker(&session, create, &handler) {
                        Ok(worker) => workers.push(worker),
                        Err(text) => {
                            let failed =
                                Control { id: slot, ..Control::new(ControlKind::WorkerFailed) };
                            let _ = socket::send(session.control(), failed, &text, &[]);
                        }
                    }
                }
                _ => {}
            },
            Ok(None) | Err(_) => {
                session.end(false);
                end_process_with_engine(&session);
                return Err(StartError::EngineGone);
            }
        }
    }
    // The engine may still die under the last handlers.
    end_process_with_engine(&session);
    for worker in workers {
        // A handler's panic was caught; a thread that died otherwise has nothing to tell.
        let _ = worker.join();
    }
    Ok(())
}

fn create_worker(
    session: &Arc<Session>,
    create: Received,
    handler: &Handler,
) -> Result<JoinHandle<()>, String> {
    let slot = create.control.id as u32;
    if slot as usize >= crate::protocol::limits::MAX_WORKERS_PER_CONTAINER {
        return Err(format!("no worker slot {slot}"));
    }
    let (incoming, outgoing) = channel::open(create, Mode::Threads)?;
    let (session, handler) = (session.clone(), handler.clone());
    std::thread::Builder::new()
        .name(format!("nc-worker-{slot}"))
        .stack_size(WORKER_STACK_BYTES)
        .spawn(move || ThreadWorker::new(session, slot, incoming, outgoing).run(&handler))
        .map_err(|e| format!("cannot create a thread: {e}"))
}

/// A handler that never returns must not outlive the engine: waits for the end of the control socket, then for the
/// grace, then ends the process.
fn end_process_with_engine(session: &Arc<Session>) {
    let session = session.clone();
    let _ = std::thread::Builder::new().name("nc-exit".into()).spawn(move || {
        while let Ok(Some(_)) = socket::receive(session.control()) {}
        std::thread::sleep(EXIT_GRACE);
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(EXIT_ENGINE_GONE) }
    });
}

/// Runs a handler; a panic becomes its failure.
pub(super) fn guarded(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    Failure::new(Status::FunctionFailed, format!("panicked: {text}"))
}
