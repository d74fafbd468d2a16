//! Work that would hold up calls: it runs on a thread of its own.

use std::sync::mpsc;
use std::thread::Builder;
use tokio::sync::oneshot;

/// Runs some work and returns its result; `None` if it panicked. The work runs here, and holds up
/// calls, if the system gives no thread.
pub async fn run_aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (result, done) = oneshot::channel();
    let task = move || {
        // Whoever asked may have left.
        let _ = result.send(work());
    };
    // The thread is given its task when it is there: a start that fails would take it along.
    let (give, take) = mpsc::channel();
    let thread = Builder::new().name("nc-aside".into()).spawn(move || {
        if let Ok(task) = take.recv() {
            let task: Box<dyn FnOnce() + Send> = task;
            task();
        }
    });
    match thread {
        // It waits for this, so it takes it.
        Ok(_) => drop(give.send(Box::new(task))),
        Err(_) => task(),
    }
    done.await.ok()
}
