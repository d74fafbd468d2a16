//! The state of an engine, as `nightcore ps --json` shows it.

use crate::core::CoreHandle;
use crate::functions::admission::quarantine::Quarantined;
use crate::functions::{self, Histogram, Origin, RESPONSE_CLASSES};
use crate::launcher::ProcessHistories;
use crate::launcher::supervisor::History;
use crate::memory::{Memory, Usage};
use crate::scheduler::{ContainerCounts, FunctionStatus};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::status::TABLE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The state of an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineStatus {
    /// The id of its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The time at which it started, in s since 1970.
    pub started_at_s: f64,
    /// The address at which clients call it.
    pub address: String,
    /// The address of its metrics, if `[admin]` sets one.
    pub metrics: Option<String>,
    /// The number of payloads that went through the arena, in both directions.
    pub arena_payloads: u64,
    /// The memory that requests and answers hold.
    pub memory: MemoryState,
    /// Calls of functions that do not exist.
    pub not_found: ByOrigin<u64>,
    /// Its functions.
    pub functions: Vec<FunctionState>,
}

/// The memory that all requests and answers hold together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MemoryState {
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// The memory held now, in bytes.
    pub held_bytes: u64,
    /// The number of requests that were refused for lack of memory.
    pub refused: u64,
}

impl From<Usage> for MemoryState {
    fn from(usage: Usage) -> MemoryState {
        let Usage { limit, held, refused } = usage;
        MemoryState { limit_bytes: limit, held_bytes: held, refused }
    }
}

/// A value for calls that came through the gateway, and one for calls made by functions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)] // The names say it.
pub struct ByOrigin<T> {
    pub external: T,
    pub internal: T,
}

/// The ways in which a call can end: answered, or with an error.
pub const OUTCOMES: [&str; functions::OUTCOMES] = {
    let mut names = ["answered"; functions::OUTCOMES];
    let mut number = 1;
    while number < names.len() {
        names[number] = TABLE[number].name;
        number += 1;
    }
    names
};

/// The state of a function.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionState {
    /// Its name.
    pub name: String,
    /// Calls that came through the gateway.
    pub external: u64,
    /// Calls made by functions.
    pub internal: u64,
    /// Calls that ended with an answer.
    pub answered: u64,
    /// Calls that ended with an error, by its name.
    pub failed: BTreeMap<String, u64>,
    /// Calls that ended, by outcome: `answered` or the error's name. Calls that were not accepted
    /// are included.
    pub ended: ByOrigin<BTreeMap<String, u64>>,
    /// Responses to clients by the class of their HTTP status: `2xx` and so on.
    pub responses: BTreeMap<String, u64>,
    /// Calls in the queue.
    pub queued: u32,
    /// The bytes that queued calls carry.
    pub queued_bytes: u64,
    /// Calls whose handlers compute.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Workers that containers of other functions may call directly.
    pub leases: u32,
    /// Workers that are ready.
    pub workers: u32,
    /// Ready workers without a call.
    pub idle: u32,
    /// Ready workers with a call.
    pub busy: u32,
    /// Workers that are being created.
    pub starting: u32,
    /// Connected processes, by state.
    pub containers: ContainersByState,
    /// Its processes.
    pub processes: Vec<ProcessState>,
    /// λ: accepted calls per second.
    pub rate_per_s: f64,
    /// t_run: the time for which a call runs, in µs.
    pub run_us: f64,
    /// t_open: the time for which a call is open, less the time that its internal calls spent
    /// queued, in µs.
    pub open_us: f64,
    /// The parts of the time of its calls; `None` before a call was answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub segments: Option<SegmentTimes>,
    /// λ × t_run.
    pub tau: f64,
    /// The number of calls that may run at once.
    pub limit: u32,
    /// The maximum of that limit.
    pub max: u32,
    /// The reason for the limit.
    pub why: String,
    /// The number of times that a process was restarted.
    pub restarts: u64,
    /// The number of restarts, by the way in which the previous process ended.
    pub restarts_by_reason: BTreeMap<String, u64>,
    /// The number of processes that were replaced because a handler did not end.
    pub stuck: u64,
    /// Inputs that are refused because they were under way when processes died. The latest comes
    /// first.
    pub quarantined: Vec<QuarantinedInput>,
    /// The number of calls that were refused for this reason.
    pub quarantine_refused: u64,
    /// The number of times that internal calls were retried because their process died.
    pub retries: u64,
    /// The way in which the last process ended.
    pub last_end: Option<String>,
    /// How long ago the last process ended, in s.
    pub last_end_ago_s: Option<f64>,
    /// The reason why it cannot be called now.
    pub unavailable: Option<String>,
    /// The newest generation of its processes. The number rises by one at each renewal.
    pub generation: u32,
    /// The generation that receives calls.
    pub serving: u32,
    /// The reason why processes of the newest generation do not start.
    pub failing: Option<String>,
    /// The last lines of its output, if its processes do not start. `nightcore ps` reads them from
    /// its log.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub last_output: Vec<String>,
}

/// An input that is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuarantinedInput {
    /// The input's identifier, which is also in the engine's log.
    pub input: String,
    /// The number of deaths of processes at which it was under way.
    pub deaths: u32,
    /// The number of times that it was refused.
    pub refused: u64,
    /// The time for which it remains refused, in s.
    pub left_s: f64,
}

impl From<Quarantined> for QuarantinedInput {
    fn from(quarantined: Quarantined) -> QuarantinedInput {
        let Quarantined { input, deaths, refused, left_ns } = quarantined;
        QuarantinedInput {
            input: format!("{input:016x}"),
            deaths,
            refused,
            left_s: left_ns as f64 / 1e9,
        }
    }
}

/// Connected processes of a function, by state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ContainersByState {
    /// Processes with a ready worker that have passed their readiness check, if there is one.
    pub ready: u32,
    /// Processes whose first worker is being created, that are being checked, or whose generation
    /// does not serve yet.
    pub starting: u32,
    /// Processes that get no new calls, because a handler in them does not end or because they are
    /// ending.
    pub set_aside: u32,
}

/// The parts of the time of a function's calls, since the engine started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SegmentTimes {
    /// From the arrival of a call to its dispatch.
    pub queued: Segment,
    /// From the dispatch until the handler began.
    pub woken: Segment,
    /// The run of the handler, including its waits for internal calls.
    pub ran: Segment,
    /// From the end of the handler until the engine had the answer.
    pub returned: Segment,
    /// The whole time of a call.
    pub whole: Segment,
}

/// Quantiles of a segment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// The median, in µs.
    pub p50_us: f64,
    /// The 99th percentile, in µs.
    pub p99_us: f64,
}

impl From<&functions::Segments> for SegmentTimes {
    fn from(segments: &functions::Segments) -> SegmentTimes {
        let segment = |times: &Histogram| Segment {
            p50_us: times.quantile_ns(0.50) as f64 / 1000.0,
            p99_us: times.quantile_ns(0.99) as f64 / 1000.0,
        };
        SegmentTimes {
            queued: segment(&segments.queued),
            woken: segment(&segments.woken),
            ran: segment(&segments.ran),
            returned: segment(&segments.returned),
            whole: segment(&segments.whole),
        }
    }
}

/// The state of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessState {
    /// Its id.
    pub pid: i32,
    /// The number of its workers.
    pub workers: usize,
    /// Whether it was attached by hand.
    pub attached: bool,
    /// The number of arena blocks that the engine has handed out to it.
    pub arena_blocks: u64,
    /// The bytes of those blocks that it has not given back.
    pub arena_used_bytes: u64,
    /// The bytes of shared memory in which the engine allocates blocks.
    pub arena_engine_bytes: u64,
    /// The bytes of shared memory in which the process allocates blocks.
    pub arena_function_bytes: u64,
}

/// An engine whose state can be read.
pub struct Observed {
    /// Its core.
    pub core: CoreHandle,
    /// The counter of the memory that requests and answers hold.
    pub memory: Memory,
    /// The state of the processes.
    pub histories: ProcessHistories,
    /// The address at which clients call the engine.
    pub address: String,
    /// The address of its metrics, if `[admin]` sets one.
    pub metrics: Option<String>,
    /// The time at which it started.
    pub started_at: SystemTime,
}

impl Observed {
    /// Returns the state of the engine.
    pub fn status(&self) -> EngineStatus {
        let now = now_ns();
        let core = &mut *self.core.borrow_mut();
        core.count_direct_calls();
        let containers = core.containers();
        let functions = core.scheduler().functions().map(|id| {
            let status = core.function_status(now, id);
            let of_function = containers.iter().filter(|c| c.function == status.name);
            let processes = of_function.map(|c| ProcessState {
                pid: c.pid,
                workers: c.workers,
                attached: c.launch.is_none(),
                arena_blocks: c.blocks,
                arena_used_bytes: c.arena_used_bytes,
                arena_engine_bytes: c.arena_mapped_bytes[0],
                arena_function_bytes: c.arena_mapped_bytes[1],
            });
            let processes = processes.collect();
            let segments = core.scheduler().segments(id).map(SegmentTimes::from);
            let history = self.histories.history(id);
            function(now, status, segments, processes, history)
        });
        let functions = functions.collect();
        let not_found = |origin| core.scheduler().not_found(origin);
        EngineStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at_s: self
                .started_at
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
            address: self.address.clone(),
            metrics: self.metrics.clone(),
            arena_payloads: core.arena_payloads(),
            memory: self.memory.usage().into(),
            not_found: ByOrigin {
                external: not_found(Origin::External),
                internal: not_found(Origin::Internal),
            },
            functions,
        }
    }
}

/// Returns the outcomes that occurred, with their counts.
fn outcomes(ended: [u64; functions::OUTCOMES]) -> BTreeMap<String, u64> {
    let ended = OUTCOMES.iter().zip(ended).filter(|(_, count)| *count > 0);
    ended.map(|(outcome, count)| ((*outcome).to_owned(), count)).collect()
}

fn responses(counts: [u64; RESPONSE_CLASSES.len()]) -> BTreeMap<String, u64> {
    RESPONSE_CLASSES
        .iter()
        .zip(counts)
        .map(|(class, count)| (format!("{class}xx"), count))
        .collect()
}

fn function(
    now: u64,
    status: FunctionStatus,
    segments: Option<SegmentTimes>,
    processes: Vec<ProcessState>,
    history: History,
) -> FunctionState {
    let [external, internal] = status.counts.ended;
    let mut failed = outcomes(std::array::from_fn(|outcome| external[outcome] + internal[outcome]));
    let answered = failed.remove(OUTCOMES[0]).unwrap_or_default();
    let ContainerCounts { ready, starting, set_aside } = status.containers;
    let restarts = history.restarts.iter().map(|(reason, count)| ((*reason).to_owned(), *count));
    let ago_s = |at: u64| now.saturating_sub(at) as f64 / 1e9;
    FunctionState {
        name: status.name,
        external: status.counts.external,
        internal: status.counts.internal,
        answered,
        failed,
        ended: ByOrigin { external: outcomes(external), internal: outcomes(internal) },
        responses: responses(status.counts.responses),
        queued: status.queued,
        queued_bytes: status.queued_bytes,
        running: status.running,
        waiting: status.waiting,
        leases: status.leases,
        workers: status.workers.idle + status.workers.busy,
        idle: status.workers.idle,
        busy: status.workers.busy,
        starting: status.workers.starting,
        containers: ContainersByState { ready, starting, set_aside },
        processes,
        rate_per_s: status.concurrency.rate_per_s,
        run_us: status.concurrency.run_ns / 1000.0,
        open_us: status.concurrency.open_ns / 1000.0,
        segments,
        tau: status.concurrency.tau,
        limit: status.concurrency.limit,
        max: status.max,
        why: status.concurrency.why.to_string(),
        restarts: history.restarts.values().sum(),
        restarts_by_reason: restarts.collect(),
        stuck: status.counts.stuck,
        quarantined: status.quarantined.into_iter().map(QuarantinedInput::from).collect(),
        quarantine_refused: status.counts.quarantine_refused,
        retries: status.counts.retries,
        last_end: history.last_end.as_ref().map(|(end, _)| end.to_string()),
        last_end_ago_s: history.last_end.as_ref().map(|(_, at)| ago_s(*at)),
        unavailable: status.unavailable,
        generation: status.generation.number(),
        serving: status.serving.number(),
        failing: status.failing,
        last_output: Vec::new(),
    }
}
