//! The settings of a run: what it measures, where files are, and where processes run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores on which the processes of a measurement may run. Results depend on the placement, so
/// both placements are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// All processes run on this core. Results show the cost of the work itself, because no halted
    /// core has to be woken.
    OneCore(usize),
    /// The kernel chooses the cores. Results show the cost that a user sees.
    Unpinned,
}

impl Placement {
    /// Returns the placement's name in the keys of the report.
    pub fn name(self) -> &'static str {
        match self {
            Placement::OneCore(_) => "one_core",
            Placement::Unpinned => "unpinned",
        }
    }

    /// Returns the set of cores to pin to, if there is one.
    pub fn cpu_set(self) -> Result<Option<CpuSet>> {
        let Placement::OneCore(cpu) = self else { return Ok(None) };
        let mut set = CpuSet::new();
        set.set(cpu).with_context(|| format!("core {cpu} is out of range"))?;
        Ok(Some(set))
    }
}

/// The duration of each part of a run. Numbers of rounds are odd, so that the median is the result
/// of one round.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The time after which the whole run ends, even if figures are missing.
    pub run: Duration,
    /// The number of rounds that measure the floor, named pipes and rings.
    pub pairs: usize,
    /// The duration of each of the three measurements in a round.
    pub half_pair: Duration,
    /// The number of rounds for the sizes that have no floor, and the duration of each measurement
    /// in a round.
    pub size_rounds: usize,
    pub size_round: Duration,
    /// The number of fresh engines that show the modes of an internal call, for each placement.
    pub fresh_engines: usize,
    /// The rounds, and the duration of each measurement, of internal calls beside busy cores.
    pub beside_rounds: usize,
    pub beside_round: Duration,
    /// The rounds, and the duration of each measurement, of servers at one number of connections.
    pub external_rounds: usize,
    pub external_round: Duration,
    /// The rounds, and the duration of each measurement, of one direction of one language.
    pub language_pairs: usize,
    pub half_language_pair: Duration,
    /// The rounds, and the duration of each measurement, of all languages' servers and their peers.
    pub language_rounds: usize,
    pub language_round: Duration,
    /// The rounds, and the duration of each measurement, of the applications.
    pub app_rounds: usize,
    pub app_round: Duration,
    /// The rounds, and the duration of each measurement, of an engine with and without a crowd.
    pub crowd_rounds: usize,
    pub crowd_round: Duration,
    /// The number of clients that leave while functions wait for each other.
    pub clients_that_leave: usize,
    /// The time for which a function is called at each offered rate.
    pub overload: Duration,
    /// The time for which another function is called without and with a flood beside it.
    pub overload_beside: Duration,
    /// The time for which an idle engine is observed.
    pub idle: Duration,
    /// The numbers of calls after which the engine's memory is measured, ascending. The first is
    /// the base.
    pub memory_calls: &'static [u64],
    /// Whether crowds are measured.
    pub crowds: bool,
}

impl Effort {
    /// The effort of `make bench`.
    pub const FULL: Effort = Effort {
        run: Duration::from_secs(12 * 60),
        pairs: 7,
        half_pair: Duration::from_millis(350),
        size_rounds: 3,
        size_round: Duration::from_millis(250),
        fresh_engines: 20,
        beside_rounds: 20,
        beside_round: Duration::from_millis(250),
        external_rounds: 5,
        external_round: Duration::from_millis(700),
        language_pairs: 5,
        half_language_pair: Duration::from_millis(80),
        language_rounds: 3,
        language_round: Duration::from_millis(500),
        app_rounds: 5,
        app_round: Duration::from_millis(450),
        clients_that_leave: 500,
        overload: Duration::from_millis(1500),
        overload_beside: Duration::from_millis(2500),
        crowd_rounds: 5,
        crowd_round: Duration::from_millis(400),
        idle: Duration::from_secs(10),
        memory_calls: &[100_000, 1_000_000],
        crowds: false,
    };
    /// The effort of `make bench-long`: that of [`Effort::FULL`], and the measurements that do not
    /// fit into twelve minutes.
    pub const LONG: Effort = Effort {
        run: Duration::from_secs(30 * 60),
        memory_calls: &[100_000, 1_000_000, 10_000_000],
        crowds: true,
        ..Effort::FULL
    };
    /// A short effort to see that everything works. Its figures are rough.
    pub const QUICK: Effort = Effort {
        pairs: 3,
        half_pair: Duration::from_millis(100),
        size_rounds: 1,
        size_round: Duration::from_millis(100),
        fresh_engines: 3,
        beside_rounds: 1,
        beside_round: Duration::from_millis(100),
        external_rounds: 1,
        external_round: Duration::from_millis(300),
        language_pairs: 1,
        half_language_pair: Duration::from_millis(100),
        language_rounds: 1,
        language_round: Duration::from_millis(300),
        app_rounds: 1,
        app_round: Duration::from_millis(300),
        clients_that_leave: 100,
        overload: Duration::from_millis(500),
        overload_beside: Duration::from_millis(500),
        crowd_rounds: 1,
        crowd_round: Duration::from_millis(100),
        idle: Duration::from_secs(2),
        memory_calls: &[100_000],
        ..Effort::FULL
    };
    /// The effort of [`Effort::QUICK`], with the crowds.
    pub const QUICK_LONG: Effort = Effort { run: Effort::LONG.run, crowds: true, ..Effort::QUICK };
}

/// The settings of one run.
#[derive(Debug)]
pub struct Settings {
    /// Only keys with this prefix are measured.
    pub only: Option<String>,
    /// The duration of each part.
    pub effort: Effort,
    /// The folder with `floors/` and `functions/`.
    pub bench_dir: PathBuf,
    /// The folder for compiled programs, logs and the report.
    pub work_dir: PathBuf,
    /// The `nightcore` program.
    pub engine: PathBuf,
    /// The folder of `nightcore.h`.
    pub include_dir: PathBuf,
    /// The linker arguments of the functions.
    pub link: Vec<OsString>,
    /// The cores that may be used, at least one. Pinned measurements run on the first core.
    pub cpus: Vec<usize>,
}

impl Settings {
    /// Returns whether a key, or any key below it, was asked for.
    pub fn wants(&self, key: &str) -> bool {
        self.only.as_deref().is_none_or(|only| key.starts_with(only) || only.starts_with(key))
    }

    /// Returns both placements.
    pub fn placements(&self) -> [Placement; 2] {
        [self.one_core(), Placement::Unpinned]
    }

    /// Returns the placement of pinned measurements.
    pub fn one_core(&self) -> Placement {
        Placement::OneCore(self.cpus.first().copied().unwrap_or(0))
    }
}

/// Pins this process, which contains the clients, to one core while this value lives.
#[derive(Debug)]
pub struct Pinned(CpuSet);

impl Pinned {
    /// Places the clients of a measurement with this placement. Unpinned clients may still run on
    /// the same cores as before.
    pub fn to(placement: Placement) -> Result<Pinned> {
        let before =
            sched_getaffinity(Pid::from_raw(0)).context("cannot read the allowed cores")?;
        if let Some(set) = placement.cpu_set()? {
            sched_setaffinity(Pid::from_raw(0), &set).context("cannot pin the clients")?;
        }
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // An error is not expected, because this set of cores was allowed before.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

/// Returns the cores that this process may run on: all, unless something restricts it.
pub fn allowed_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("cannot read the allowed cores")?;
    let cpus: Vec<usize> =
        (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect();
    ensure!(!cpus.is_empty(), "no core is allowed");
    Ok(cpus)
}
