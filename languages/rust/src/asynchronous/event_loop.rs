//! Drives the runtime's event loop, and runs a task for each request.

use super::request::{AsyncRequest, Running};
use super::{Handler, Loop, run};
use crate::error::Error;
use crate::host::{CallEnd, Host, Received};
use crate::reply::send;
use crate::worker::StartError;
use nightcore_runtime::protocol::{CallNumber, Failure, Metadata, Status};
use nightcore_runtime::worker::{Event, EventLoop, LoopRequest, RunningCall};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::{AbortHandle, LocalSet, spawn_blocking, spawn_local, yield_now};

/// The most events that are handled before other tasks have a turn.
const MAX_EVENTS: usize = 256;

/// The requests that are running, by number.
type Requests = Rc<RefCell<HashMap<CallNumber, Task>>>;

/// A request, and the task of its handler.
struct Task {
    running: Arc<Running>,
    /// `None` until the task is spawned.
    abort: Option<AbortHandle>,
}

/// Serves until the engine ends this process, and until the tasks that handlers have spawned by
/// `spawn_local` have ended.
pub(crate) async fn serve(of: Loop) -> Result<(), StartError> {
    let Loop { names, handler } = of;
    let connect = move || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        EventLoop::connect(&names)
    };
    let connected = spawn_blocking(connect).await;
    let event_loop = connected.map_err(|error| StartError::of_tokio(error.into()))??;
    let tasks = LocalSet::new();
    let served = tasks.run_until(drive(&event_loop, &handler)).await;
    tasks.await;
    served.map_err(StartError::of_tokio)
}

/// Handles events until the engine ends this process.
async fn drive(event_loop: &EventLoop, handler: &Handler) -> io::Result<()> {
    // SAFETY: the descriptor belongs to `event_loop`, which is borrowed until after `readable` is
    // dropped: the descriptor stays open and stays the same.
    let readable = unsafe {
        AsyncFd::<BorrowedFd<'_>>::register_with_interest(event_loop.fd(), Interest::READABLE)
    }?;
    let requests = Requests::default();
    loop {
        let mut count = 0;
        while count < MAX_EVENTS {
            match event_loop.next(Some(Duration::ZERO)).map_err(io::Error::other)? {
                Some(Event::Ended) => return Ok(()),
                Some(event) => happened(event, handler, &requests),
                None => break,
            }
            count += 1;
        }
        if count == MAX_EVENTS || count > 0 && event_loop.spins() {
            // Handlers run now and send messages, to which answers soon come. To spin once more
            // costs less than to park and be woken.
            yield_now().await;
            continue;
        }
        // The descriptor becomes readable only after `next` has found nothing. An event that makes
        // it readable from then on is not cleared here.
        readable.readable().await?.clear_ready();
    }
}

fn happened(event: Event, handler: &Handler, requests: &Requests) {
    match event {
        Event::Request(request) => begin(request, handler, requests),
        Event::Answer { request, tag, result } => {
            let result = result.map(Received::FromEngine).map_err(Error::from);
            if let Some(task) = requests.borrow().get(&request) {
                task.running.ended(CallEnd { tag, result });
            }
        }
        Event::Cancelled { request, .. } => {
            if let Some(task) = requests.borrow().get(&request) {
                task.running.was_cancelled();
                if let Some(abort) = &task.abort {
                    abort.abort();
                }
            }
        }
        Event::Ended => {}
    }
}

fn begin(request: LoopRequest, handler: &Handler, requests: &Requests) {
    let number = request.id();
    let request = Arc::new(request);
    let running = Arc::new(Running::new(request.clone(), false));
    let task = Task { running: running.clone(), abort: None };
    requests.borrow_mut().insert(number, task);
    let ending = Ending { request, running, requests: requests.clone(), number };
    let handler = handler.clone();
    let spawned = spawn_local(async move {
        let Ending { request, running, .. } = &ending;
        let returned = run(&handler, AsyncRequest::new(running.clone())).await;
        let sent = returned.and_then(|returned| send(returned, &**request as &dyn Host));
        if let Err(error) = sent {
            // This is refused only if the process has forked.
            let _ = request.fail(&error);
        }
    });
    if let Some(task) = requests.borrow_mut().get_mut(&number) {
        task.abort = Some(spawned.abort_handle());
    }
}

/// Ends a request when its task ends or is dropped.
struct Ending {
    request: Arc<LoopRequest>,
    running: Arc<Running>,
    requests: Requests,
    number: CallNumber,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.requests.borrow_mut().remove(&self.number);
        // Each of the two is refused if the request has its reply.
        let _ = if RunningCall::is_cancelled(&*self.request) {
            // The engine has told the caller already that the call has ended.
            Host::reply(&*self.request, b"", Metadata::default())
        } else {
            let text = "the handler was dropped before it replied";
            self.request.fail(&Failure::new(Status::FunctionFailed, text).into())
        };
        self.running.end();
    }
}
