//! Measures the CPU time of processes.

use std::time::Duration;

use crate::run::processes::{self, Stat};

/// Returns the user and system time of the process and of all processes below it. The time of
/// children that have ended is included.
///
/// Live processes are read from their CPU clocks, which count nanoseconds. `/proc/PID/stat` counts
/// ticks of 10 ms, which is too coarse for a process that should do nothing.
pub fn of_tree(root: i32) -> Duration {
    processes::tree(root).iter().map(|stat| own_time(stat) + ended_children(stat)).sum()
}

/// Returns every process on the machine with its own CPU time, which excludes its children.
pub fn of_each() -> Vec<(Stat, Duration)> {
    processes::all().into_iter().map(|stat| (stat.clone(), own_time(&stat))).collect()
}

/// Returns the process's own CPU time. Returns zero if the process has ended since `stat` was read.
/// The parent's time for ended children then includes this time.
fn own_time(stat: &Stat) -> Duration {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls only write to the places given, which are valid for the whole call.
    let failed = unsafe {
        libc::clock_getcpuclockid(stat.pid, &mut clock) != 0
            || libc::clock_gettime(clock, &mut time) != 0
    };
    if failed {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn ended_children(stat: &Stat) -> Duration {
    of_ticks(stat.ended_children_ticks)
}

/// Converts a number of clock ticks, which is the unit of `/proc`, to a duration.
pub fn of_ticks(ticks: u64) -> Duration {
    // SAFETY: sysconf has no preconditions.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1).cast_unsigned();
    Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = of_tree(own);
        let mut sum = 0u64;
        for i in 0..5_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(i));
        }
        assert!(of_tree(own) > before);
    }
}
