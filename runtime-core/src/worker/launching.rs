//! The launching thread. It reads the control socket, and creates worker threads when the engine
//! asks for them.

use super::caller;
use super::channel;
use super::handlers::{Handler, Handlers};
use super::session::{NewWorker, Session, StartError};
use super::thread;
use crate::ipc::socket;
use crate::protocol::control::{FromEngine, Mode, WorkerFailed};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The stack size of a worker thread, which is the usual one of C programs. It takes address space
/// only, until it is touched.
const WORKER_STACK_BYTES: usize = 8 * 1024 * 1024;
/// How long a process may run on after its engine has gone.
const EXIT_GRACE: Duration = Duration::from_millis(500);
/// The exit code of a process that was ended because its engine had gone.
const EXIT_ENGINE_GONE: i32 = 1;

/// Serves until the engine ends the container. The calling thread becomes the launching thread.
/// Handlers run on worker threads, at most as many at once as the engine asks for.
///
/// # Errors
///
/// If the process cannot serve, or the engine goes away.
pub fn serve(handlers: &Handlers) -> Result<(), StartError> {
    let session = Arc::new(Session::start(&handlers.names(), Mode::Threads)?);
    caller::connected(&session);
    let handler = handlers.get(session.function()).ok_or(StartError::NoHandlers)?.clone();
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    while !session.was_shut_down() {
        match socket::receive_control(session.control()) {
            Ok(Some(received)) => {
                let Some(new) = session.handle(received) else { continue };
                workers.retain(|worker| !worker.is_finished());
                let slot = new.create.slot;
                match create_worker(&session, new, &handler) {
                    Ok(worker) => workers.push(worker),
                    Err(text) => drop(session.send(&WorkerFailed { slot, text }.write())),
                }
            }
            Ok(None) | Err(_) => {
                session.end(false);
                end_process_with_engine(&session);
                return Err(StartError::EngineGone);
            }
        }
    }
    // The engine may still die while the last handlers run.
    end_process_with_engine(&session);
    for worker in workers {
        // Panics of handlers are caught. A thread that ended with another panic has nothing to
        // report.
        let _ = worker.join();
    }
    Ok(())
}

fn create_worker(
    session: &Arc<Session>,
    new: NewWorker,
    handler: &Handler,
) -> Result<JoinHandle<()>, String> {
    let slot = new.create.slot.number();
    let channel = channel::open(new, Mode::Threads)?;
    let (session, handler) = (session.clone(), handler.clone());
    std::thread::Builder::new()
        .name(format!("nc-worker-{slot}"))
        .stack_size(WORKER_STACK_BYTES)
        .spawn(move || thread::run(session, slot, channel, &handler))
        .map_err(|e| format!("cannot create a thread: {e}"))
}

/// Ends the process some time after its engine, since a handler that never returns must not outlive
/// the engine. Waits for the end of the control socket, and then for the grace period.
fn end_process_with_engine(session: &Arc<Session>) {
    let session = session.clone();
    let _ = std::thread::Builder::new().name("nc-exit".into()).spawn(move || {
        // Memory for process calls may still come.
        while let Ok(Some(received)) = socket::receive_control::<FromEngine>(session.control()) {
            drop(session.handle(received));
        }
        session.end(false);
        std::thread::sleep(EXIT_GRACE);
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(EXIT_ENGINE_GONE) }
    });
}
