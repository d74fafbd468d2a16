//! Builds and runs the floors. A floor measures the minimum time that the operating system takes
//! for a piece of work.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::calls::pairs::{Sized, median};
use crate::report::figures::Report;
use crate::run::compile::compile;
use crate::run::settings::{Placement, Settings};
use crate::run::{interrupt, processes};

/// The number of iterations for a first estimate of the p50, which determines the size of the
/// measured runs.
const FIRST_ITERATIONS: usize = 500;
/// The number of runs of a floor alone. It is odd, because the median of the runs counts. It is
/// small, because measurements that are compared with a floor also run the floor themselves.
const RUNS: usize = 3;
/// The duration of a run that is made because a bar needs the floor and the report does not contain
/// its figure yet.
const FRESH_RUN: Duration = Duration::from_millis(100);

/// A floor whose processes may run anywhere.
#[derive(Clone, Copy, Debug)]
pub enum Floor {
    /// The round trip A → B → A.
    PingPong,
    /// The round trip A → E → B → E → A.
    Relay,
}

impl Floor {
    /// All floors.
    pub const ALL: [Floor; 2] = [Floor::PingPong, Floor::Relay];

    /// Returns the floor's name in the keys of the report. Its source file has the same name.
    pub fn name(self) -> &'static str {
        match self {
            Floor::PingPong => "pingpong",
            Floor::Relay => "relay",
        }
    }
}

/// The floor of two cores, with one process on each.
const COPY: &str = "memcpy_cross_core";
/// The sizes that are copied, each with the number of copies in one run. A run takes some
/// milliseconds.
const COPIES: [(&str, usize, Sized); 2] = [
    ("64KiB", 64 << 10, Sized { count: 5000, warm_up: 500 }),
    ("1MiB", 1 << 20, Sized { count: 1000, warm_up: 100 }),
];
/// The program that keeps a core busy.
const BUSY: &str = "busy";

/// The quantiles that one run of a floor printed, in µs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
}

/// Returns the key of the time of one copy.
pub fn copy_key(size: &str) -> String {
    format!("floor.{COPY}.{size}.p50_us")
}

/// The compiled floors.
#[derive(Debug)]
pub struct Floors {
    directory: PathBuf,
}

impl Floors {
    /// Compiles all floors.
    pub fn build(settings: &Settings) -> Result<Floors> {
        let floors = Floors { directory: settings.work_dir.clone() };
        for name in Floor::ALL.map(Floor::name).into_iter().chain([COPY, BUSY]) {
            let source = settings.bench_dir.join("floors").join(format!("{name}.c"));
            compile(&[source], &floors.program(name), &[])?;
        }
        Ok(floors)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the command that keeps this core busy.
    pub fn busy_command(&self, cpu: usize) -> (PathBuf, [String; 1]) {
        (self.program(BUSY), [cpu.to_string()])
    }

    /// Runs a program once. The program limits its own lifetime, and the kernel kills it when this
    /// process ends.
    fn run(&self, name: &str, size: Sized, options: &[String]) -> Result<Quantiles> {
        interrupt::check()?;
        let mut command = Command::new(self.program(name));
        command
            .args([size.count.to_string(), size.warm_up.to_string()])
            .args(options)
            .stdin(Stdio::null());
        let parent = std::process::id();
        // SAFETY: the closure only makes system calls, which is allowed between fork and exec.
        unsafe { command.pre_exec(move || processes::die_with_parent(parent, libc::SIGKILL)) };
        let result = command.output().with_context(|| format!("cannot run the floor {name}"))?;
        let printed = String::from_utf8_lossy(&result.stdout);
        let complaint = String::from_utf8_lossy(&result.stderr);
        if !result.status.success() {
            bail!("the floor {name} ended with {}: {}", result.status, complaint.trim());
        }
        parse_quantiles(&printed).with_context(|| {
            format!("the floor {name} printed something unexpected: {}", printed.trim())
        })
    }

    fn placed(&self, floor: Floor, placement: Placement, size: Sized) -> Result<Quantiles> {
        let options = match placement {
            Placement::OneCore(cpu) => vec!["--cpu".to_owned(), cpu.to_string()],
            Placement::Unpinned => Vec::new(),
        };
        self.run(floor.name(), size, &options)
    }

    /// Returns the p50 in µs. This is the report's figure if the report already has one, and
    /// otherwise the median of a few new runs of 100 ms each.
    pub fn reported_us(&self, floor: Floor, placement: Placement, report: &Report) -> Result<f64> {
        let key = format!("floor.{}.{}.p50_us", floor.name(), placement.name());
        if let Some(p50_us) = report.get(&key) {
            return Ok(p50_us);
        }
        let size = self.size_for(floor, placement, FRESH_RUN)?;
        let runs: Result<Vec<f64>> =
            (0..RUNS).map(|_| self.p50_us(floor, placement, size)).collect();
        Ok(median(&runs?))
    }

    /// Returns the p50 of one run, in µs.
    pub fn p50_us(&self, floor: Floor, placement: Placement, size: Sized) -> Result<f64> {
        Ok(self.placed(floor, placement, size)?.p50)
    }

    /// Returns the number of round trips that take about `time`.
    pub fn size_for(&self, floor: Floor, placement: Placement, time: Duration) -> Result<Sized> {
        let first = Sized { count: FIRST_ITERATIONS, warm_up: FIRST_ITERATIONS };
        Ok(Sized::filling(time, self.p50_us(floor, placement, first)?))
    }

    /// Measures `floor.*`.
    pub fn measure(&self, settings: &Settings, report: &mut Report) -> Result<()> {
        for floor in Floor::ALL {
            for placement in settings.placements() {
                let key = format!("floor.{}.{}", floor.name(), placement.name());
                if !settings.wants(&key) {
                    continue;
                }
                let size = self.size_for(floor, placement, settings.effort.half_pair)?;
                let runs: Result<Vec<Quantiles>> =
                    (0..RUNS).map(|_| self.placed(floor, placement, size)).collect();
                let runs = runs?;
                let of_runs = |quantile: fn(&Quantiles) -> f64| {
                    median(&runs.iter().map(quantile).collect::<Vec<_>>())
                };
                report.add(&format!("{key}.p50_us"), of_runs(|run| run.p50));
                report.add_detail(&format!("{key}.p90_us"), of_runs(|run| run.p90));
                report.add_detail(&format!("{key}.p99_us"), of_runs(|run| run.p99));
                report.add_detail(&format!("{key}.p999_us"), of_runs(|run| run.p999));
            }
        }
        self.measure_copies(settings, report)
    }

    fn measure_copies(&self, settings: &Settings, report: &mut Report) -> Result<()> {
        if !settings.wants(&format!("floor.{COPY}")) {
            return Ok(());
        }
        let [cpu, other, ..] = settings.cpus[..] else {
            eprintln!("skipped: {COPY}, as there is one core only");
            return Ok(());
        };
        for (name, bytes, size) in COPIES {
            let options = [
                "--cpu",
                &cpu.to_string(),
                "--other-cpu",
                &other.to_string(),
                "--copy",
                &bytes.to_string(),
            ]
            .map(str::to_owned);
            let runs: Result<Vec<f64>> =
                (0..RUNS).map(|_| Ok(self.run(COPY, size, &options)?.p50)).collect();
            report.add(&copy_key(name), median(&runs?));
        }
        Ok(())
    }
}

/// Parses "p50_ns N p90_ns N p99_ns N p999_ns N iterations N".
fn parse_quantiles(line: &str) -> Option<Quantiles> {
    let mut words = line.split_whitespace();
    let mut next_us = |name: &str| {
        let is_named = words.next()? == name;
        let ns: f64 = words.next()?.parse().ok()?;
        is_named.then_some(ns / 1000.0)
    };
    Some(Quantiles {
        p50: next_us("p50_ns")?,
        p90: next_us("p90_ns")?,
        p99: next_us("p99_ns")?,
        p999: next_us("p999_ns")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_floor_is_read() {
        let line = "p50_ns 1500 p90_ns 2000 p99_ns 3000 p999_ns 4500 iterations 5000\n";
        assert_eq!(
            parse_quantiles(line),
            Some(Quantiles { p50: 1.5, p90: 2.0, p99: 3.0, p999: 4.5 })
        );
        assert_eq!(parse_quantiles("p50_ns 1500 p99_ns 3000 iterations 5000\n"), None);
    }
}
