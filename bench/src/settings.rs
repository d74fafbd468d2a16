//! What a run measures, where things are, and the places that processes run in.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Where the processes of a measurement may run. Results have two modes by placement, so both are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// All of them on this core: the cost of the work itself, since no halted core has to be woken.
    OneCore(usize),
    /// Wherever the kernel puts them: what a user sees.
    Unpinned,
}

impl Placement {
    /// Its name in the keys of the report.
    pub fn name(self) -> &'static str {
        match self {
            Placement::OneCore(_) => "one_core",
            Placement::Unpinned => "unpinned",
        }
    }

    /// The set of cores to pin to, if any.
    pub fn cpu_set(self) -> Result<Option<CpuSet>> {
        let Placement::OneCore(cpu) = self else { return Ok(None) };
        let mut set = CpuSet::new();
        set.set(cpu).with_context(|| format!("core {cpu} is out of range"))?;
        Ok(Some(set))
    }
}

/// How long each part of a run takes.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Alternating pairs of floor and work; odd, so that the median is one of them.
    pub pairs: usize,
    /// One half of a pair.
    pub half_pair: Duration,
    /// One size of internal calls.
    pub internal: Duration,
    /// One number of connections.
    pub external: Duration,
    /// As `pairs` and `half_pair`, for each direction of each language.
    pub language_pairs: usize,
    pub half_language_pair: Duration,
    /// Rounds over the servers of all languages and their peers; odd, too.
    pub language_rounds: usize,
    /// The time of each server in a round.
    pub language_round: Duration,
    /// Looking at an engine that has nothing to do.
    pub idle: Duration,
    /// Whether the engine's memory is measured up to a million calls.
    pub million_calls: bool,
}

impl Effort {
    /// What `make bench` does.
    pub const FULL: Effort = Effort {
        pairs: 7,
        half_pair: Duration::from_millis(400),
        internal: Duration::from_millis(1500),
        external: Duration::from_secs(4),
        language_pairs: 5,
        half_language_pair: Duration::from_millis(250),
        language_rounds: 3,
        language_round: Duration::from_secs(1),
        idle: Duration::from_secs(10),
        million_calls: true,
    };
    /// To see that everything works; its figures are rough.
    pub const QUICK: Effort = Effort {
        pairs: 3,
        half_pair: Duration::from_millis(100),
        internal: Duration::from_millis(200),
        external: Duration::from_millis(500),
        language_pairs: 1,
        half_language_pair: Duration::from_millis(100),
        language_rounds: 1,
        language_round: Duration::from_millis(300),
        idle: Duration::from_secs(2),
        million_calls: false,
    };
}

/// The settings of one run.
#[derive(Debug)]
pub struct Settings {
    /// Only keys under this prefix are measured.
    pub only: Option<String>,
    /// How long each part takes.
    pub effort: Effort,
    /// The folder with `floors/` and `functions/`.
    pub bench_dir: PathBuf,
    /// Where compiled programs, logs and the report go.
    pub work_dir: PathBuf,
    /// The `nightcore` program.
    pub engine: PathBuf,
    /// The folder of `nightcore.h`.
    pub include_dir: PathBuf,
    /// What the functions are linked with.
    pub link: Vec<OsString>,
    /// The core that pinned measurements run on.
    pub cpu: usize,
}

impl Settings {
    /// Whether a key, or any key below it, was asked for.
    pub fn wants(&self, key: &str) -> bool {
        self.only.as_deref().is_none_or(|only| key.starts_with(only) || only.starts_with(key))
    }

    /// Both placements.
    pub fn placements(&self) -> [Placement; 2] {
        [Placement::OneCore(self.cpu), Placement::Unpinned]
    }
}

/// The first core this process may run on: core 0, unless something restricts it.
pub fn first_cpu() -> Result<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("cannot read the allowed cores")?;
    (0..CpuSet::count()).find(|cpu| set.is_set(*cpu).unwrap_or(false)).context("no core is allowed")
}
