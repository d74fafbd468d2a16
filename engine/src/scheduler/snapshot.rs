//! The state of a function at one moment: every count, and the reason of every limit.

use crate::functions::Counts;
use crate::functions::admission::quarantine::Quarantined;
use crate::functions::concurrency::Report;
use crate::ids::Generation;

/// How many containers of a function are connected, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerCounts {
    /// Containers with a ready worker that have passed their readiness check, if there is one.
    pub ready: u32,
    /// Containers whose first worker is being created, that are being checked, or whose generation
    /// does not serve yet.
    pub starting: u32,
    /// Containers that get no new calls: one of their handlers does not end, or they are exiting.
    pub set_aside: u32,
}

/// How many workers a function has, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// Workers without an open call.
    pub idle: u32,
    /// Workers with an open call; an event loop may have several.
    pub busy: u32,
    /// Workers that are being created.
    pub starting: u32,
}

/// The state of a function at one moment.
#[derive(Clone, Debug)]
pub struct FunctionStatus {
    /// Its name.
    pub name: String,
    /// Its connected containers.
    pub containers: ContainerCounts,
    /// The workers of its containers.
    pub workers: WorkerCounts,
    /// Calls that wait in the queue.
    pub queued: u32,
    /// The length of their payloads, in bytes.
    pub queued_bytes: u64,
    /// Calls whose handler computes.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Its workers that are lent, idle or not. The core fills this in, as it knows of direct calls.
    pub leases: u32,
    /// Counters since the engine started.
    pub counts: Counts,
    /// The state of the concurrency control.
    pub concurrency: Report,
    /// Most calls that may run at once.
    pub max: u32,
    /// The reason why it cannot be called now, if it cannot.
    pub unavailable: Option<String>,
    /// The newest generation of its containers.
    pub generation: Generation,
    /// The generation that gets calls.
    pub serving: Generation,
    /// The reason why containers of the newest generation fail to start, if they do.
    pub failing: Option<String>,
    /// Inputs that are refused, the most recently refused first.
    pub quarantined: Vec<Quarantined>,
}
