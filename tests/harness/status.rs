//! The output of `nightcore ps --json`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// An engine.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // The names are those of the command's output.
pub struct Status {
    pub pid: i32,
    pub version: String,
    pub address: String,
    pub metrics: Option<String>,
    pub arena_payloads: u64,
    pub functions: Vec<FunctionStatus>,
}

/// A function.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // As above.
pub struct FunctionStatus {
    pub name: String,
    pub external: u64,
    pub internal: u64,
    pub answered: u64,
    pub failed: BTreeMap<String, u64>,
    pub ended: Ended,
    pub queued: u32,
    pub running: u32,
    pub waiting: u32,
    pub workers: usize,
    pub starting: u32,
    pub leases: u32,
    pub processes: Vec<ProcessStatus>,
    pub rate_per_s: f64,
    pub run_us: f64,
    pub open_us: f64,
    pub tau: f64,
    pub limit: u32,
    pub why: String,
    pub restarts: u64,
    pub restarts_by_reason: BTreeMap<String, u64>,
    pub quarantined: Vec<QuarantinedInput>,
    pub quarantine_refused: u64,
    pub retries: u64,
    pub last_end: Option<String>,
    pub last_end_ago_s: Option<f64>,
    pub unavailable: Option<String>,
    pub generation: u32,
    pub serving: u32,
    pub failing: Option<String>,
    #[serde(default)]
    pub last_output: Vec<String>,
}

/// Calls that ended, by outcome: "answered", or the error's name.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // As above.
pub struct Ended {
    pub external: BTreeMap<String, u64>,
    pub internal: BTreeMap<String, u64>,
}

/// An input that is refused.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // As above.
pub struct QuarantinedInput {
    pub input: String,
    pub deaths: u32,
    pub refused: u64,
    pub left_s: f64,
}

/// A process of a function.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // As above.
pub struct ProcessStatus {
    pub pid: i32,
    pub workers: usize,
    pub attached: bool,
    pub arena_blocks: u64,
}
