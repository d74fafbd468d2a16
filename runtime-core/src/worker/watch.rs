//! Runs code of a handler's when its call is cancelled, whatever the handler's own thread does meanwhile.
//!
//! The engine says that a call is cancelled by a word of shared memory, which wakes nobody. So one thread looks at the words of
//! the calls that are watched, and does nothing while none is. It is not the launching thread, which brings the memory
//! that handlers wait for: code that blocks there could wait for itself.

use super::session::{Session, forked, is_forked};
use crate::protocol::{Failure, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

/// How often the words are looked at. A fifth of the time in which a handler should know, and little enough work.
const PERIOD: Duration = Duration::from_millis(1);

type Function = Box<dyn FnOnce() + Send>;

/// A function that waits for a call to be cancelled.
struct Waiting {
    number: u64,
    call: u64,
    slot: u32,
    run: Function,
}

#[derive(Default)]
struct State {
    last_number: u64,
    waiting: Vec<Waiting>,
    /// The watch whose function runs now, and its call.
    running: Option<(u64, u64)>,
    thread: Option<ThreadId>,
}

/// All watches of a process.
#[derive(Default)]
pub(super) struct Watches {
    state: Mutex<State>,
    /// Something is to be watched, or a function has ended.
    changed: Condvar,
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what `is_it` says out, and waits for its function if it runs now on another thread.
    fn stop(&self, is_it: impl Fn(u64, u64) -> bool) {
        let mut state = self.lock();
        let stopped: Vec<Waiting> =
            state.waiting.extract_if(.., |waiting| is_it(waiting.number, waiting.call)).collect();
        while state.running.is_some_and(|(number, call)| is_it(number, call))
            && state.thread != Some(std::thread::current().id())
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // What a function has captured may do anything when it is dropped.
        drop(stopped);
    }

    /// A call has ended.
    pub(super) fn call_ended(&self, call: u64) {
        self.stop(|_, of| of == call);
    }
}

/// A function that runs if a call is cancelled, for as long as this lives and the call runs.
///
/// When it is dropped its function does not run any more: if it runs at that moment on another thread, its end is waited for.
#[derive(Debug)]
pub struct Watch {
    session: Arc<Session>,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A fork has neither the thread nor, perhaps, the lock.
        if !is_forked() {
            self.session.watches.stop(|number, _| number == self.number);
        }
    }
}

/// Runs a function once when the call in this slot is cancelled; at once, on this thread, if it is cancelled already.
pub(super) fn watch(
    session: &Arc<Session>,
    slot: u32,
    call: u64,
    run: Function,
) -> Result<Watch, Failure> {
    if is_forked() {
        return Err(forked());
    }
    let mut state = session.watches.lock();
    if state.thread.is_none() {
        let of_thread = session.clone();
        let thread = std::thread::Builder::new().name("nc-cancel".into());
        let thread = thread.spawn(move || look_for_ever(&of_thread)).map_err(|error| {
            Failure::new(
                Status::Overloaded,
                format!("cannot create the thread that watches: {error}"),
            )
        })?;
        state.thread = Some(thread.thread().id());
    }
    state.last_number += 1;
    let number = state.last_number;
    // The word is looked at after this is in the list, or right here: so no cancellation is missed.
    if is_cancelled(session, slot, call) {
        drop(state);
        run_guarded(session, run);
    } else {
        state.waiting.push(Waiting { number, call, slot, run });
        drop(state);
        session.watches.changed.notify_all();
    }
    Ok(Watch { session: session.clone(), number })
}

fn is_cancelled(session: &Session, slot: u32, call: u64) -> bool {
    session.arena.base.cancel_word(slot).load(std::sync::atomic::Ordering::Relaxed) == call
}

fn look_for_ever(session: &Session) {
    let watches = &session.watches;
    let mut state = watches.lock();
    loop {
        let cancelled = |waiting: &Waiting| is_cancelled(session, waiting.slot, waiting.call);
        if let Some(at) = state.waiting.iter().position(cancelled) {
            let Waiting { number, call, run, .. } = state.waiting.remove(at);
            state.running = Some((number, call));
            drop(state);
            run_guarded(session, run);
            state = watches.lock();
            state.running = None;
            watches.changed.notify_all();
            continue;
        }
        state = if state.waiting.is_empty() {
            watches.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
        } else {
            watches.changed.wait_timeout(state, PERIOD).unwrap_or_else(PoisonError::into_inner).0
        };
    }
}

/// Runs a function; a panic is told and harms nobody else.
fn run_guarded(session: &Session, run: Function) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        eprintln!(
            "nightcore: {}: a function that was to run on cancellation panicked",
            session.function()
        );
    }
}
