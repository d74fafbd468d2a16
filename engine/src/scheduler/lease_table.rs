//! The table of leases: which workers are lent to which containers.

use crate::ids::{CallNumber, ContainerKey, FunctionId};

/// All leases of an engine.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub all: Vec<Lease>,
}

/// A worker that is lent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    /// The lease's number as a call.
    pub call: CallNumber,
    pub callee: FunctionId,
    pub container: ContainerKey,
    /// The container that makes the calls, and its function.
    pub caller: ContainerKey,
    pub caller_function: FunctionId,
    pub is_recalled: bool,
}

impl Leases {
    /// The number of leases.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether handlers of this function may wait for direct calls.
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
