//! Builds and runs the floors: the least that the operating system takes for a piece of work.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::compile::compile;
use crate::pairs::{Sized, median};
use crate::report::Report;
use crate::settings::{Placement, Settings};
use crate::{interrupt, processes};

/// Enough for a first look at the p50, by which the measured runs are sized.
const LOOK_ITERATIONS: usize = 500;
/// A floor alone is the median of this many runs: odd, and few, since pairs have floors of their own.
const RUNS: usize = 3;

/// One of the programs in `floors/`.
#[derive(Clone, Copy, Debug)]
pub enum Floor {
    /// A → B → A.
    PingPong,
    /// A → E → B → E → A.
    Relay,
}

impl Floor {
    /// All of them.
    pub const ALL: [Floor; 2] = [Floor::PingPong, Floor::Relay];

    /// Its name in the keys of the report, and of its source.
    pub fn name(self) -> &'static str {
        match self {
            Floor::PingPong => "pingpong",
            Floor::Relay => "relay",
        }
    }
}

/// The compiled floors.
#[derive(Debug)]
pub struct Floors {
    directory: PathBuf,
}

impl Floors {
    /// Compiles all of them.
    pub fn build(settings: &Settings) -> Result<Floors> {
        let floors = Floors { directory: settings.work_dir.clone() };
        for floor in Floor::ALL {
            let source = settings.bench_dir.join("floors").join(format!("{}.c", floor.name()));
            compile(&[source], &floors.program(floor), &[])?;
        }
        Ok(floors)
    }

    fn program(&self, floor: Floor) -> PathBuf {
        self.directory.join(floor.name())
    }

    /// The p50 of one run, in µs. The program bounds its own life, and ends with this process.
    pub fn p50_us(&self, floor: Floor, placement: Placement, size: Sized) -> Result<f64> {
        interrupt::check()?;
        let name = floor.name();
        let mut command = Command::new(self.program(floor));
        command.args([size.count.to_string(), size.warm_up.to_string()]).stdin(Stdio::null());
        if let Placement::OneCore(cpu) = placement {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let parent = std::process::id();
        // SAFETY: the closure only makes system calls, which is allowed between fork and exec.
        unsafe { command.pre_exec(move || processes::die_with_parent(parent, libc::SIGKILL)) };
        let result = command.output().with_context(|| format!("cannot run the floor {name}"))?;
        let printed = String::from_utf8_lossy(&result.stdout);
        let complaint = String::from_utf8_lossy(&result.stderr);
        if !result.status.success() {
            bail!("the floor {name} ended with {}: {}", result.status, complaint.trim());
        }
        let p50_ns: f64 = printed
            .strip_prefix("p50_ns ")
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("the floor {name} printed something unexpected: {}", printed.trim()))?;
        Ok(p50_ns / 1000.0)
    }

    /// How many round trips fill about `time`.
    pub fn size_for(&self, floor: Floor, placement: Placement, time: Duration) -> Result<Sized> {
        let look = Sized { count: LOOK_ITERATIONS, warm_up: LOOK_ITERATIONS };
        Ok(Sized::filling(time, self.p50_us(floor, placement, look)?))
    }

    /// Measures `floor.*`.
    pub fn measure(&self, settings: &Settings, report: &mut Report) -> Result<()> {
        for floor in Floor::ALL {
            for placement in settings.placements() {
                let key = format!("floor.{}.{}.p50_us", floor.name(), placement.name());
                if !settings.wants(&key) {
                    continue;
                }
                let size = self.size_for(floor, placement, settings.effort.half_pair)?;
                let runs: Result<Vec<f64>> = (0..RUNS).map(|_| self.p50_us(floor, placement, size)).collect();
                report.add(&key, median(&runs?));
            }
        }
        Ok(())
    }
}
