//! A call that was admitted and is about to enter its function's queue.

use super::call::Call;
use super::load::FunctionLoad;
use super::state::{Caller, Queued, State};
use crate::ids::{CallNumber, Fingerprint, FunctionId};

/// A call from outside or from another call that was admitted.
#[derive(Debug)]
pub struct NewCall<P, R> {
    /// The function.
    pub function: FunctionId,
    /// Who waits for it.
    pub caller: Caller<R>,
    /// What it carries.
    pub payload: P,
    /// Bytes of that.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// The call from outside that it is below, and how many calls are above it; none from outside.
    pub below: Option<(CallNumber, u32)>,
    /// When it must have ended, ns.
    pub deadline: u64,
}

impl<P, R> NewCall<P, R> {
    /// It enters its function's queue under this id.
    #[inline]
    pub(super) fn enter(self, id: CallNumber, now: u64, load: &mut FunctionLoad) -> Call<P, R> {
        let NewCall { function, caller, payload, bytes, input, below, deadline } = self;
        Call {
            id,
            function,
            root: below.map(|(root, _)| root),
            depth: below.map_or(0, |(_, depth)| depth),
            input,
            bytes,
            deadline: Some(deadline),
            queued_at: now,
            state: State::Queued(Queued::enter(caller, payload, bytes, load)),
        }
    }
}
