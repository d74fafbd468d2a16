//! The state of an engine, as `nightcore ps --json` shows it.

use crate::core::CoreHandle;
use crate::functions::admission::quarantine::Quarantined;
use crate::functions::{self, Histogram, Origin, RESPONSE_CLASSES};
use crate::launcher::KeeperStatus;
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
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started, s since 1970.
    pub started_at_s: f64,
    /// Where clients call it.
    pub address: String,
    /// Where its metrics are, if `[admin]` says so.
    pub metrics: Option<String>,
    /// Payloads that went by the arena, in either direction.
    pub arena_payloads: u64,
    /// What requests and answers hold.
    pub memory: MemoryState,
    /// Calls of functions that are not there.
    pub not_found: ByOrigin<u64>,
    /// Its functions.
    pub functions: Vec<FunctionState>,
}

/// What requests and answers hold together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MemoryState {
    /// The bound, bytes.
    pub limit_bytes: u64,
    /// What they hold now, bytes.
    pub held_bytes: u64,
    /// How often there was no room.
    pub refused: u64,
}

impl From<Usage> for MemoryState {
    fn from(usage: Usage) -> MemoryState {
        let Usage { limit, held, refused } = usage;
        MemoryState { limit_bytes: limit, held_bytes: held, refused }
    }
}

/// Of calls that came in by the gateway, and of those made by functions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)] // The names say it.
pub struct ByOrigin<T> {
    pub external: T,
    pub internal: T,
}

/// How calls can end: answered, or with an error.
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
    /// Calls that came in by the gateway.
    pub external: u64,
    /// Calls made by functions.
    pub internal: u64,
    /// Calls that ended with an answer.
    pub answered: u64,
    /// Calls that ended with an error, by its name.
    pub failed: BTreeMap<String, u64>,
    /// Calls that ended, by how, answered or by the error's name; also those that were not
    /// accepted.
    pub ended: ByOrigin<BTreeMap<String, u64>>,
    /// Responses to clients by the class of their HTTP status: `2xx` and so on.
    pub responses: BTreeMap<String, u64>,
    /// Calls in the queue.
    pub queued: u32,
    /// What they carry, bytes.
    pub queued_bytes: u64,
    /// Calls whose handler computes.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Workers that containers of other functions may call directly.
    pub leases: u32,
    /// Workers that are ready.
    pub workers: u32,
    /// Those without a call.
    pub idle: u32,
    /// Those with one.
    pub busy: u32,
    /// Workers that are being created.
    pub starting: u32,
    /// Connected processes, by state.
    pub containers: Containers,
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
    /// How many may at most.
    pub max: u32,
    /// Where the limit comes from.
    pub why: String,
    /// How often a process was started again.
    pub restarts: u64,
    /// The same, by how the one before ended.
    pub restarts_by_reason: BTreeMap<String, u64>,
    /// Processes that were replaced because a handler did not end.
    pub stuck: u64,
    /// Inputs that are refused, as they were under way when processes died; the one that was
    /// refused last comes first.
    pub quarantined: Vec<QuarantinedInput>,
    /// Calls that were refused for that.
    pub quarantine_refused: u64,
    /// How often internal calls were sent again, as their process died.
    pub retries: u64,
    /// How the last process that ended did.
    pub last_end: Option<String>,
    /// How long ago that was, s.
    pub last_end_ago_s: Option<f64>,
    /// Why it cannot be called now.
    pub unavailable: Option<String>,
    /// The newest generation of its processes: one more with each time it is started anew.
    pub generation: u32,
    /// The generation that gets calls.
    pub serving: u32,
    /// Why processes of the newest one do not come to be.
    pub failing: Option<String>,
    /// The last lines of its output, if its processes do not come to be: `nightcore ps` reads them
    /// in its log.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub last_output: Vec<String>,
}

/// An input that is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuarantinedInput {
    /// Which: the same number in the engine's log.
    pub input: String,
    /// At how many deaths of processes it was under way.
    pub deaths: u32,
    /// How often it was refused.
    pub refused: u64,
    /// For how much longer it is, s.
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
pub struct Containers {
    /// A worker of it is ready, and it has passed its readiness check if it has one.
    pub ready: u32,
    /// Its first worker is being created, it is being checked, or its generation does not serve yet.
    pub starting: u32,
    /// It gets no new calls: a handler in it does not end, or it is ending.
    pub set_aside: u32,
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
    /// All of it.
    pub whole: Segment,
}

/// Quantiles of a segment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Median.
    pub p50_us: f64,
    /// 99 of 100 are at most this.
    pub p99_us: f64,
}

impl From<&functions::Segments> for Segments {
    fn from(segments: &functions::Segments) -> Segments {
        let segment = |times: &Histogram| Segment {
            p50_us: times.quantile_ns(0.50) as f64 / 1000.0,
            p99_us: times.quantile_ns(0.99) as f64 / 1000.0,
        };
        Segments {
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
    /// Its workers.
    pub workers: usize,
    /// Whether it was attached by hand.
    pub attached: bool,
    /// Blocks of the arena that the engine has handed out to it.
    pub arena_blocks: u64,
    /// Bytes of those that it has not given back.
    pub arena_used_bytes: u64,
    /// Bytes of shared memory whose blocks the engine hands out.
    pub arena_engine_bytes: u64,
    /// Bytes of shared memory whose blocks it hands out itself.
    pub arena_function_bytes: u64,
}

/// An engine, whose state can be asked for.
pub struct Observed {
    /// Its core.
    pub core: CoreHandle,
    /// Where what requests and answers hold is counted.
    pub memory: Memory,
    /// The processes.
    pub keeper: KeeperStatus,
    /// Where clients call the engine.
    pub address: String,
    /// Where its metrics are, if `[admin]` says so.
    pub metrics: Option<String>,
    /// When it started.
    pub started_at: SystemTime,
}

impl Observed {
    /// Its state.
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
            let segments = core.scheduler().segments(id).map(Segments::from);
            let history = self.keeper.history(id);
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

/// The outcomes that there were.
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
    segments: Option<Segments>,
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
        containers: Containers { ready, starting, set_aside },
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
