//! Describes the machine of a run, and which other programs were running on it. Figures from
//! different machines cannot be compared without this description.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::report::figures::Report;
use crate::report::ticks::Ticks;
use crate::run::{cpu, interrupt};

/// The duration of an observation. It is long enough to show which other processes are busy.
const OBSERVED_FOR: Duration = Duration::from_millis(500);
/// The maximum number of other processes that are named. It is enough to see what else runs.
const MAX_NAMES: usize = 8;
/// The share of one core, in per cent, below which a process does not disturb a measurement.
const NAMED_PERCENT: f64 = 2.0;
/// The share of all cores, in per cent, above which other processes are likely to affect figures.
const BUSY_PERCENT: f64 = 10.0;

/// The share of stolen time, in per cent, above which the host is likely to affect figures: it
/// stops threads that spin for a message, and other threads wait for the stopped ones.
const STOLEN_PERCENT: f64 = 2.0;

/// Returns the description in some lines, and adds its numbers to the report.
pub fn describe(report: &mut Report) -> Result<Vec<String>> {
    let cores = std::thread::available_parallelism()?.get();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut load = load.split_whitespace();
    let averages: Vec<&str> = load.by_ref().take(3).collect();
    let runnable = load.next().and_then(|field| field.split('/').next()).unwrap_or("?");
    let (busy, others) = observe()?;
    let mut lines = vec![
        format!("machine: {cores} cores, Linux {}, {}", kernel.trim(), std::env::consts::ARCH),
        format!(
            "at the start: load average {}, {runnable} runnable threads (one is this), \
             {busy:.0} % of the machine busy",
            averages.join(" ")
        ),
        format!("other processes at work: {}", shown(&others)),
    ];
    if busy > BUSY_PERCENT {
        lines.push(
            "NOTE: the machine is not idle; trust only the ratios, and those with care".to_owned(),
        );
    }
    report.add("machine.cores", cores as f64);
    if let Some(load) = averages.first().and_then(|number| number.parse().ok()) {
        report.add("machine.load_1m", load);
    }
    report.add("machine.busy_percent", busy);
    Ok(lines)
}

/// Adds the share of the cores' time that the host took since `before` to the report. Returns a
/// line about this share if it is large.
pub fn describe_host(before: Ticks, report: &mut Report) -> Option<String> {
    let percent = Ticks::now()?.stolen_percent_since(before);
    report.add("machine.stolen_percent", percent);
    (percent > STOLEN_PERCENT).then(|| {
        format!(
            "NOTE: the host took {percent:.0} % of the cores' time during this run; \
             trust no figure of it, and measure again"
        )
    })
}

fn shown(names: &[String]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        count if count > MAX_NAMES => {
            format!("{}, and {} more", names[..MAX_NAMES].join(", "), count - MAX_NAMES)
        }
        _ => names.join(", "),
    }
}

/// Observes the machine for a short time. Returns the used share of all cores in per cent, and the
/// processes that use them, each with its share of one core in per cent.
fn observe() -> Result<(f64, Vec<String>)> {
    let (ticks, times) = (Ticks::now(), cpu::of_each());
    interrupt::sleep(OBSERVED_FOR)?;
    let busy = ticks
        .zip(Ticks::now())
        .map_or(f64::NAN, |(before, after)| after.busy_percent_since(before));
    let before: HashMap<i32, Duration> =
        times.into_iter().map(|(stat, time)| (stat.pid, time)).collect();
    let own = std::process::id().cast_signed();
    let mut others = Vec::new();
    for (stat, time) in cpu::of_each() {
        let used = time.saturating_sub(before.get(&stat.pid).copied().unwrap_or_default());
        let percent = 100.0 * used.as_secs_f64() / OBSERVED_FOR.as_secs_f64();
        if stat.pid != own && percent > NAMED_PERCENT {
            others.push(format!("{} {percent:.0} %", stat.name));
        }
    }
    Ok((busy, others))
}

/// Measures the processor time that programs other than this one and its children use.
#[derive(Debug)]
pub struct Neighbours {
    since: Instant,
    busy: Duration,
    own: Duration,
}

impl Neighbours {
    /// Begins to measure. Returns `None` if `/proc/stat` cannot be read.
    pub fn watch() -> Option<Neighbours> {
        let ticks = Ticks::now()?;
        let own = cpu::of_tree(std::process::id().cast_signed());
        Some(Neighbours { since: Instant::now(), busy: cpu::of_ticks(ticks.busy), own })
    }

    /// Returns the mean number of cores that other programs have kept busy since `watch`. Time that
    /// the host took counts as the time of other programs.
    pub fn busy_cores(&self) -> Option<f64> {
        let now = Neighbours::watch()?;
        let busy = now.busy.saturating_sub(self.busy);
        let foreign = busy.saturating_sub(now.own.saturating_sub(self.own));
        Some(foreign.as_secs_f64() / self.since.elapsed().as_secs_f64())
    }
}
