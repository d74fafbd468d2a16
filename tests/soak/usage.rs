//! The memory, threads and descriptors of an engine's processes.

use harness::{Engine, process};

/// The difference of memory between two times under load that does not count as growth: allocators
/// keep and return memory as they like.
const MEMORY_SLACK_MB: f64 = 16.0;
const MEMORY_SLACK_SHARE: f64 = 0.05;
/// The number of threads that a runtime may keep after a load. Go's keeps threads for system calls,
/// of which each running handler had one.
const THREAD_SLACK: usize = 16;
const DESCRIPTOR_SLACK: usize = 4;

/// The resources that one process uses.
pub struct Usage {
    name: String,
    memory_mb: f64,
    /// The part of its memory that is shared with other processes.
    shared_mb: f64,
    threads: usize,
    descriptors: usize,
}

/// Returns the value of a line of `/proc/PID/status` that is in KiB.
fn memory_mb(pid: i32, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Returns the usage of the engine, the launcher, and the one container of each function.
pub fn of(engine: &Engine) -> Vec<Usage> {
    let own = [("engine".to_owned(), engine.pid()), ("launcher".to_owned(), engine.launcher())];
    let containers = engine.status().functions.into_iter();
    let containers = containers.filter_map(|f| Some((f.name, f.processes.first()?.pid)));
    let usage = |(name, pid)| Usage {
        name,
        memory_mb: memory_mb(pid, "VmRSS:"),
        shared_mb: memory_mb(pid, "RssShmem:"),
        threads: process::threads(pid).len(),
        descriptors: process::descriptor_count(pid),
    };
    own.into_iter().chain(containers).map(usage).collect()
}

/// Returns what processes use more of now, while idle, than before there was any load.
pub fn more(before: &[Usage], now: &[Usage]) -> Vec<String> {
    let mut more = Vec::new();
    for (was, is) in before.iter().zip(now) {
        assert_eq!(was.name, is.name, "they are listed in the same order");
        if is.threads > was.threads + THREAD_SLACK {
            more.push(format!("{}: {} threads, before {}", is.name, is.threads, was.threads));
        }
        if is.descriptors > was.descriptors + DESCRIPTOR_SLACK {
            more.push(format!(
                "{}: {} descriptors, before {}",
                is.name, is.descriptors, was.descriptors
            ));
        }
    }
    more
}

/// Prints the memory of all processes, and returns the processes whose memory has grown from the
/// first samples to the last.
pub fn compare(first: &[Vec<Usage>], last: &[Vec<Usage>]) -> Vec<String> {
    println!("\n{:11}  {:>18}", "process", "memory, MB");
    let mut grown = Vec::new();
    for index in 0..first[0].len() {
        let name = &first[0][index].name;
        if first
            .iter()
            .chain(last)
            .any(|sample| sample.get(index).is_none_or(|usage| usage.name != *name))
        {
            grown.push(format!("{name} had no process for a while"));
            continue;
        }
        let memory = |samples: &[Vec<Usage>]| median(samples.iter().map(|s| s[index].memory_mb));
        let (memory_before, memory_after) = (memory(first), memory(last));
        println!("{name:11}  {memory_before:7.1} -> {memory_after:7.1}");
        let allowed = memory_before * (1.0 + MEMORY_SLACK_SHARE) + MEMORY_SLACK_MB;
        if memory_after.is_nan() || memory_after > allowed {
            let shared =
                |samples: &[Vec<Usage>]| median(samples.iter().map(|s| s[index].shared_mb));
            let (shared_before, shared_after) = (shared(first), shared(last));
            grown.push(format!(
                "{name}: memory from {memory_before:.1} to {memory_after:.1} MB, \
                 of which {shared_before:.1} and {shared_after:.1} are shared"
            ));
        }
    }
    println!();
    grown
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
