//! Runs work that would delay calls, on a thread of its own.

use std::sync::mpsc;
use std::thread::Builder;
use tokio::sync::oneshot;

/// Runs some work on a new thread and returns its result; `None` if it panicked. If the system
/// provides no thread, the work runs on the caller's thread and delays calls.
pub async fn run_aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (result, done) = oneshot::channel();
    let task = move || {
        // The caller may have dropped its future.
        let _ = result.send(work());
    };
    // The task is sent only after the thread exists: a failed spawn would drop the task.
    let (give, take) = mpsc::channel();
    let thread = Builder::new().name("nc-aside".into()).spawn(move || {
        if let Ok(task) = take.recv() {
            let task: Box<dyn FnOnce() + Send> = task;
            task();
        }
    });
    match thread {
        // The thread waits for the task, so the send succeeds.
        Ok(_) => drop(give.send(Box::new(task))),
        Err(_) => task(),
    }
    done.await.ok()
}
