//! A call that was admitted and is about to enter its function's queue.

use super::call::Call;
use super::load::{FunctionLoad, Loads};
use super::state::{Caller, Counted, Queued, Running, Start, State};
use crate::ids::{CallId, CallNumber, ContainerKey, Fingerprint, FunctionId};

/// A call from outside or from another call. It was admitted.
#[derive(Debug)]
pub struct NewCall<P, R> {
    /// The function.
    pub function: FunctionId,
    /// The caller, who waits for it.
    pub caller: Caller<R>,
    /// The payload.
    pub payload: P,
    /// The length of the payload, in bytes.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// The id of the external call at the top of its tree.
    pub root: CallId,
    /// How many calls are above it in its tree.
    pub depth: u32,
    /// Its deadline, ns.
    pub deadline: u64,
}

impl<P, R> NewCall<P, R> {
    /// Makes the call, which enters its function's queue under this number.
    #[inline]
    pub(super) fn enter(self, id: CallNumber, now: u64, load: &mut FunctionLoad) -> Call<P, R> {
        let NewCall { function, caller, payload, bytes, input, root, depth, deadline } = self;
        Call {
            id,
            function,
            root: Some(root),
            depth,
            input,
            bytes,
            deadline: Some(deadline),
            queued_at: now,
            state: State::Queued(Queued::enter(caller, payload, bytes, load)),
        }
    }
}

/// A worker that is about to be lent to a container. The worker runs one call for as long as the
/// lease lasts.
#[derive(Clone, Copy, Debug)]
pub struct NewLease {
    /// The worker's function.
    pub function: FunctionId,
    /// The container that may call the worker directly.
    pub caller: ContainerKey,
    /// The worker.
    pub start: Start,
}

impl NewLease {
    /// Makes the call that stands for the lease, under this number. It has no deadline.
    pub(super) fn begin<P, R>(self, id: CallNumber, loads: Loads<'_>) -> Call<P, R> {
        let NewLease { function, caller, start } = self;
        let counted = Counted { id, is_outside: false, bytes: 0 };
        Call {
            id,
            function,
            root: None,
            // A depth of 0 would make it a call from outside.
            depth: 1,
            input: None,
            bytes: 0,
            deadline: None,
            queued_at: start.now,
            state: State::Running(Running::lease(counted, caller, start, loads)),
        }
    }
}
