//! The state of an engine, as `nightcore ps` shows it.

use crate::dispatch::{FunctionStatus, Quantiles, SegmentTimes};
use crate::launcher::KeeperStatus;
use crate::link::Hub;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::status::TABLE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Where clients call it.
    pub address: String,
    /// Payloads that went by the arena, in either direction.
    pub arena_payloads: u64,
    /// Its functions.
    pub functions: Vec<FunctionState>,
}

/// The state of a function.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionState {
    /// Its name.
    pub name: String,
    /// Calls that came in by the gateway.
    pub external: u64,
    /// Calls made by functions.
    pub internal: u64,
    /// Calls that ended with an answer.
    pub answered: u64,
    /// Calls that ended with an error, by its name.
    pub failed: BTreeMap<String, u64>,
    /// Calls in the queue.
    pub queued: u32,
    /// Calls whose handler computes.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Workers that are ready.
    pub workers: usize,
    /// Workers that are being created.
    pub starting: u32,
    /// Processes.
    pub processes: Vec<ProcessState>,
    /// λ: calls accepted in a second.
    pub rate_per_s: f64,
    /// t_run: time a call runs.
    pub run_us: f64,
    /// t_open: time a call is open, less what its internal calls spent queued.
    pub open_us: f64,
    /// Where the time of its calls went; none before one was answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub segments: Option<Segments>,
    /// λ × t_run.
    pub tau: f64,
    /// How many calls may run at once.
    pub limit: u32,
    /// Where the limit comes from.
    pub why: String,
    /// How often a process was started again.
    pub restarts: u64,
    /// How the last process that ended did.
    pub last_end: Option<String>,
    /// Why it cannot be called now.
    pub unavailable: Option<String>,
    /// The newest generation of its processes: one more with each time it is started anew.
    pub generation: u32,
    /// The generation that gets calls.
    pub serving: u32,
    /// Why processes of the newest one do not come to be.
    pub failing: Option<String>,
}

/// Where the time of a function's calls went, since the engine started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Segments {
    /// From its arrival to its dispatch.
    pub queued: Segment,
    /// From there until the handler began.
    pub woken: Segment,
    /// Until it ended, waits for internal calls included.
    pub ran: Segment,
    /// Until the engine had the answer.
    pub returned: Segment,
}

/// Quantiles of a segment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Median.
    pub p50_us: f64,
    /// 99 of 100 are at most this.
    pub p99_us: f64,
}

impl From<SegmentTimes> for Segments {
    fn from(times: SegmentTimes) -> Segments {
        let segment = |quantiles: Quantiles| Segment {
            p50_us: quantiles.p50_ns as f64 / 1000.0,
            p99_us: quantiles.p99_ns as f64 / 1000.0,
        };
        Segments {
            queued: segment(times.queued),
            woken: segment(times.woken),
            ran: segment(times.ran),
            returned: segment(times.returned),
        }
    }
}

/// The state of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessState {
    /// Its id.
    pub pid: i32,
    /// Its workers.
    pub workers: usize,
    /// Whether it was attached by hand.
    pub attached: bool,
    /// Blocks of the arena that the engine has handed out to it.
    pub arena_blocks: u64,
}

/// Asks an engine's rooms for their state.
pub fn of(hub: &mut Hub, keeper: &KeeperStatus, address: &str) -> EngineStatus {
    let now = now_ns();
    let containers = hub.containers();
    let functions = hub.dispatch.functions().map(|id| {
        let status = hub.dispatch.status(now, id);
        let history = keeper.history(id);
        let of_function = containers.iter().filter(|c| c.function == status.name);
        let processes = of_function.map(|c| ProcessState {
            pid: c.pid,
            workers: c.workers,
            attached: c.launch.is_none(),
            arena_blocks: c.blocks,
        });
        let processes = processes.collect();
        function(status, processes, history.restarts, history.last_end)
    });
    let functions = functions.collect();
    EngineStatus {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        address: address.into(),
        arena_payloads: hub.arena_payloads(),
        functions,
    }
}

fn function(
    status: FunctionStatus,
    processes: Vec<ProcessState>,
    restarts: u64,
    last_end: Option<String>,
) -> FunctionState {
    let failed = TABLE.iter().zip(status.counts.failed).filter(|(_, count)| *count > 0);
    FunctionState {
        name: status.name,
        external: status.counts.external,
        internal: status.counts.internal,
        answered: status.counts.answered,
        failed: failed.map(|(row, count)| (row.name.to_owned(), count)).collect(),
        queued: status.queued,
        running: status.running,
        waiting: status.waiting,
        workers: status.workers,
        starting: status.starting,
        processes,
        rate_per_s: status.concurrency.rate_per_s,
        run_us: status.concurrency.run_ns / 1000.0,
        open_us: status.concurrency.open_ns / 1000.0,
        segments: status.segments.map(Segments::from),
        tau: status.concurrency.tau,
        limit: status.concurrency.limit,
        why: status.concurrency.why.to_string(),
        restarts,
        last_end,
        unavailable: status.unavailable,
        generation: status.generation,
        serving: status.serving,
        failing: status.failing,
    }
}
