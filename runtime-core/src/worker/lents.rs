//! The direct channels whose calls the workers of this container run. They come by the control
//! socket, and the workers take them from here.

use super::callee_end::CalleeEnd;
use crate::ipc::direct::DirectFile;
use crate::protocol::CallNumber;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct LentsState {
    /// The channels that have come and were not taken yet; `None` for one that cannot be used.
    come: HashMap<CallNumber, Option<Box<CalleeEnd>>>,
    /// The channels that were taken, to wake their workers.
    taken: HashMap<CallNumber, DirectFile>,
    ended: bool,
}

/// The direct channels of a container, as the callee.
#[derive(Debug, Default)]
pub(super) struct Lents {
    state: Mutex<LentsState>,
    changed: Condvar,
}

impl Lents {
    fn lock(&self) -> MutexGuard<'_, LentsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel that has come.
    pub(super) fn add(&self, lease: CallNumber, end: Option<CalleeEnd>) {
        self.lock().come.insert(lease, end.map(Box::new));
        self.changed.notify_all();
    }

    /// Takes a channel, and waits for it if it is still on its way. Returns `None` if it cannot be
    /// used, or no more channels come.
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

    /// In an event loop: takes a channel if it has come. Returns `Some(None)` if it cannot be used.
    pub(super) fn take_if_here(&self, lease: CallNumber) -> Option<Option<Box<CalleeEnd>>> {
        self.lock().come.remove(&lease)
    }

    /// Forgets a channel that a worker no longer uses.
    pub(super) fn remove(&self, lease: CallNumber) {
        self.lock().taken.remove(&lease);
    }

    /// Wakes all workers, as the session is over.
    pub(super) fn end_all(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.taken.values().for_each(DirectFile::wake_callee);
        drop(state);
        self.changed.notify_all();
    }
}
