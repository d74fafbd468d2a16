//! Runs a function of a handler when its call is cancelled, whatever the handler's own thread is
//! doing.
//!
//! The engine cancels a call of a thread by a word of shared memory, and wakes nobody. So one
//! thread polls the words of the calls that are watched, and sleeps while no call is. It is not the
//! launching thread: that thread brings the memory that handlers wait for, so a function that
//! blocked it could wait for itself.

use super::cancel_source::CancelSource;
use super::fork::{forked, is_forked};
use crate::protocol::{CallNumber, CancelReason, Failure, Status};
use crate::stderr::write_stderr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

/// The period in which the words are polled. It is a fifth of the time within which a handler
/// should know of a cancellation, and costs little.
const PERIOD: Duration = Duration::from_millis(1);

type Function = Box<dyn FnOnce() + Send>;

/// The number of a watch within its process.
type WatchNumber = u64;

/// A function that runs when a call is cancelled.
struct Waiting {
    number: WatchNumber,
    call: CallNumber,
    source: CancelSource,
    run: Function,
}

#[derive(Default)]
struct WatchState {
    last_number: WatchNumber,
    waiting: Vec<Waiting>,
    /// The watch whose function runs now, and its call.
    running: Option<(WatchNumber, CallNumber)>,
    thread: Option<ThreadId>,
}

/// All watches of a process.
pub(super) struct Watches {
    /// The name of the function that the process runs.
    function: String,
    state: Mutex<WatchState>,
    /// Signals that a watch has begun, or a watch's function has ended.
    changed: Condvar,
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

impl Watches {
    /// The watches of a process that runs `function`.
    pub(super) fn new(function: &str) -> Watches {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Watches { function: function.to_owned(), state, changed }
    }

    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the watches that `is_it` selects. If the function of one of them runs now on another
    /// thread, waits for its end.
    fn stop(&self, is_it: impl Fn(WatchNumber, CallNumber) -> bool) {
        let mut state = self.lock();
        let stopped: Vec<Waiting> =
            state.waiting.extract_if(.., |waiting| is_it(waiting.number, waiting.call)).collect();
        while state.running.is_some_and(|(number, call)| is_it(number, call))
            && state.thread != Some(std::thread::current().id())
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // The values that a function has captured may run any code when they are dropped.
        drop(stopped);
    }

    /// Removes the watches of a call that has ended.
    pub(super) fn call_ended(&self, call: CallNumber) {
        self.stop(|_, of| of == call);
    }

    /// Notes that a message cancelled a call.
    pub(super) fn call_cancelled(&self, call: CallNumber, reason: CancelReason) {
        let mut state = self.lock();
        for waiting in state.waiting.iter_mut().filter(|waiting| waiting.call == call) {
            waiting.source.tell(reason);
        }
        self.changed.notify_all();
    }

    /// Runs a function once when the call is cancelled. If it is cancelled already, the function
    /// runs at once, on this thread.
    pub(super) fn watch(
        self: &Arc<Self>,
        call: CallNumber,
        source: CancelSource,
        run: Function,
    ) -> Result<Watch, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let mut state = self.lock();
        if state.thread.is_none() {
            let of_thread = self.clone();
            let thread = std::thread::Builder::new().name("nc-cancel".into());
            let thread = thread.spawn(move || of_thread.poll_for_ever()).map_err(|error| {
                let text = format!("cannot create the thread that watches: {error}");
                Failure::new(Status::Overloaded, text)
            })?;
            state.thread = Some(thread.thread().id());
        }
        state.last_number += 1;
        let number = state.last_number;
        // The word is polled after this watch was added to the list, and checked here. So no
        // cancellation is missed.
        if source.reason().is_some() {
            drop(state);
            self.run_guarded(run);
        } else {
            state.waiting.push(Waiting { number, call, source, run });
            drop(state);
            self.changed.notify_all();
        }
        Ok(Watch { watches: self.clone(), number })
    }

    fn poll_for_ever(&self) {
        let mut state = self.lock();
        loop {
            let cancelled = |waiting: &Waiting| waiting.source.reason().is_some();
            if let Some(at) = state.waiting.iter().position(cancelled) {
                let Waiting { number, call, run, .. } = state.waiting.remove(at);
                state.running = Some((number, call));
                drop(state);
                self.run_guarded(run);
                state = self.lock();
                state.running = None;
                self.changed.notify_all();
                continue;
            }
            state = if state.waiting.is_empty() {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(state, PERIOD);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Runs a function. If it panics, that is only reported on standard error.
    fn run_guarded(&self, run: Function) {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            write_stderr(format_args!(
                "nightcore: {}: a function that was to run on cancellation panicked",
                self.function
            ));
        }
    }
}

/// A function that runs if a call is cancelled, for as long as this lives and the call runs.
///
/// After this was dropped, the function does not run any more. If it runs on another thread at that
/// moment, the drop waits for its end.
#[derive(Debug)]
pub struct Watch {
    watches: Arc<Watches>,
    number: WatchNumber,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A fork does not have the thread, and perhaps not the lock.
        if !is_forked() {
            self.watches.stop(|number, _| number == self.number);
        }
    }
}
