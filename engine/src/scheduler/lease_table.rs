//! Which workers are lent to which containers.

use crate::ids::{CallNumber, ContainerKey, FunctionId};

/// The leases of an engine.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub all: Vec<Lease>,
}

/// A worker that is lent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    /// The lease as a call.
    pub call: CallNumber,
    pub callee: FunctionId,
    pub container: ContainerKey,
    /// The container that calls, and its function.
    pub caller: ContainerKey,
    pub caller_function: FunctionId,
    pub is_recalled: bool,
}

impl Leases {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether a handler of this function may wait for a direct call.
    pub fn has_caller(&self, function: FunctionId) -> bool {
        self.all.iter().any(|lease| lease.caller_function == function)
    }

    /// How many workers of a container are lent.
    pub fn of(&self, container: ContainerKey) -> usize {
        self.all.iter().filter(|lease| lease.container == container).count()
    }

    pub fn forget(&mut self, call: CallNumber) {
        self.all.retain(|lease| lease.call != call);
    }
}
