//! The direct channels whose calls workers of this container run: they come by the control socket,
//! and the workers take them.

use super::callee_end::CalleeEnd;
use crate::ipc::direct::DirectFile;
use crate::protocol::CallNumber;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    /// Those that have come and were not taken; `None` if one could not be used.
    come: HashMap<CallNumber, Option<Box<CalleeEnd>>>,
    /// Those that were taken, to wake their workers.
    taken: HashMap<CallNumber, DirectFile>,
    ended: bool,
}

/// The direct channels of a container, as the callee.
#[derive(Debug, Default)]
pub(super) struct Lents {
    state: Mutex<State>,
    changed: Condvar,
}

impl Lents {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One has come.
    pub(super) fn add(&self, lease: CallNumber, end: Option<CalleeEnd>) {
        self.lock().come.insert(lease, end.map(Box::new));
        self.changed.notify_all();
    }

    /// Takes one, which may still be on its way. `None`: it cannot be used, or none will come.
    pub(super) fn take(&self, lease: CallNumber) -> Option<Box<CalleeEnd>> {
        let mut state = self.lock();
        loop {
            if let Some(end) = state.come.remove(&lease) {
                let end = end?;
                state.taken.insert(lease, end.file.clone());
                return Some(end);
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// In an event loop: takes one if it has come; `Some(None)` if it cannot be used.
    pub(super) fn take_if_here(&self, lease: CallNumber) -> Option<Option<Box<CalleeEnd>>> {
        self.lock().come.remove(&lease)
    }

    /// A worker is done with one.
    pub(super) fn remove(&self, lease: CallNumber) {
        self.lock().taken.remove(&lease);
    }

    /// The session is over: all workers are woken.
    pub(super) fn end_all(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.taken.values().for_each(DirectFile::wake_callee);
        drop(state);
        self.changed.notify_all();
    }
}
