//! Runs the same load in several rounds. Other servers have their rounds in between.

use std::time::Duration;

use anyhow::Result;

use crate::calls::load::{self, Load};
use crate::calls::pairs::median;
use crate::report::figures::Report;
use crate::run::cpu;

/// Before a load is measured, it runs for its time divided by this number, so that workers, caches
/// and averages settle.
const WARM_UP_SHARE: u32 = 4;
/// The number of calls for which CPU time is reported.
const CPU_CALLS: f64 = 100_000.0;

/// The results of the rounds of one server.
#[derive(Debug, Default)]
pub struct LoadRounds {
    /// The calls per second of each round.
    pub rps: Vec<f64>,
    /// The median latency of each round, in µs.
    pub p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    cpu_s_per_100k: Vec<f64>,
}

impl LoadRounds {
    /// Runs the next round. The server's processes are `roots` and all processes below them.
    pub fn run(&mut self, load: &Load, roots: &[i32]) -> Result<()> {
        let cpu_time = || roots.iter().map(|root| cpu::of_tree(*root)).sum::<Duration>();
        load::run(&Load { max_time: load.max_time / WARM_UP_SHARE, ..*load })?;
        let before = cpu_time();
        let outcome = load::run(load)?;
        let used = cpu_time().saturating_sub(before);
        self.rps.push(outcome.per_second());
        self.p50_us.push(outcome.quantile_us(0.50));
        self.p99_us.push(outcome.quantile_us(0.99));
        self.cpu_s_per_100k.push(used.as_secs_f64() * CPU_CALLS / outcome.calls as f64);
        Ok(())
    }

    /// Returns the figures, which are medians of the rounds.
    pub fn figures(&self) -> Figures {
        Figures {
            rps: median(&self.rps),
            p50_us: median(&self.p50_us),
            p99_us: median(&self.p99_us),
            cpu_s_per_100k: median(&self.cpu_s_per_100k),
        }
    }
}

/// The figures of a server under a load.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Calls per second.
    pub rps: f64,
    /// The median latency, in µs.
    pub p50_us: f64,
    /// The 99th percentile of the latency, in µs.
    pub p99_us: f64,
    /// User and system time of the server's side for 100,000 calls, in s.
    pub cpu_s_per_100k: f64,
}

impl Figures {
    /// Returns the user and system time of the server's side for one call, in µs.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_s_per_100k * 1e6 / CPU_CALLS
    }

    /// Adds all figures to the report, without bars.
    pub fn tell(&self, report: &mut Report, key: &str) {
        report.add(&format!("{key}.rps"), self.rps);
        report.add(&format!("{key}.p50_us"), self.p50_us);
        report.add(&format!("{key}.p99_us"), self.p99_us);
        report.add(&format!("{key}.cpu_s_per_100k"), self.cpu_s_per_100k);
    }
}
