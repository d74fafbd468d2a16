//! The state of a function at a moment: every count, and the reason of every limit.

use crate::functions::Counts;
use crate::functions::admission::quarantine::Quarantined;
use crate::functions::concurrency::Report;
use crate::ids::Generation;

/// Connected containers of a function, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerCounts {
    /// A worker of it is ready, and it has passed its readiness check if it has one.
    pub ready: u32,
    /// Its first worker is being created, it is being checked, or its generation does not serve
    /// yet.
    pub starting: u32,
    /// It holds a handler that does not end, or is ending, and gets no new calls.
    pub set_aside: u32,
}

/// Workers of a function, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// No call was sent to it that has not ended.
    pub idle: u32,
    /// Its call has not ended; of an event loop: at least one.
    pub busy: u32,
    /// Being created.
    pub starting: u32,
}

/// The state of a function at a moment.
#[derive(Clone, Debug)]
pub struct FunctionStatus {
    /// Its name.
    pub name: String,
    /// Processes that are connected.
    pub containers: ContainerCounts,
    /// Their workers.
    pub workers: WorkerCounts,
    /// Calls that wait in the queue.
    pub queued: u32,
    /// What they carry, bytes.
    pub queued_bytes: u64,
    /// Calls whose handler computes.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Its workers that are lent, idle or not; counted by whoever knows of direct calls.
    pub leases: u32,
    /// Counts since the engine started.
    pub counts: Counts,
    /// The concurrency control's view.
    pub concurrency: Report,
    /// Most calls that may run at once.
    pub max: u32,
    /// Why it cannot be called now.
    pub unavailable: Option<String>,
    /// The newest generation of its containers.
    pub generation: Generation,
    /// The generation that gets calls.
    pub serving: Generation,
    /// Why containers of the newest one do not come to be.
    pub failing: Option<String>,
    /// Inputs that are refused; the one that was refused last comes first.
    pub quarantined: Vec<Quarantined>,
}
