//! The processors of this machine: how many there are, how many threads are runnable, and how much
//! processor time a process has used.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::fs::File;
use std::num::NonZeroU32;
use std::os::unix::fs::FileExt;
use std::thread::available_parallelism;
use std::time::Duration;

/// The size of the read buffer. The line of `/proc/loadavg` is always shorter.
const LOAD_BYTES: usize = 128;

/// The processors of this machine.
#[derive(Debug)]
pub struct Processors {
    /// The number of processors of the whole machine.
    online: f64,
    /// `/proc/loadavg`, which has the number of runnable threads; `None` if it cannot be opened.
    load: Option<File>,
}

impl Default for Processors {
    fn default() -> Self {
        let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1).max(1);
        Processors { online: online as f64, load: File::open("/proc/loadavg").ok() }
    }
}

impl Processors {
    /// Returns the number of cores that this process may use.
    pub fn usable() -> Option<NonZeroU32> {
        let cores = available_parallelism().ok()?;
        NonZeroU32::try_from(cores).ok()
    }

    /// Returns the number of runnable threads of the whole machine for each of its processors. The
    /// call takes one or two microseconds.
    pub fn crowd(&self) -> Option<f64> {
        let mut line = [0; LOAD_BYTES];
        let length = self.load.as_ref()?.read_at(&mut line, 0).ok()?;
        Some(runnable(std::str::from_utf8(&line[..length]).ok()?)? / self.online)
    }
}

/// Parses the fourth word of `/proc/loadavg`, which is `RUNNABLE/ALL`.
fn runnable(line: &str) -> Option<f64> {
    line.split(' ').nth(3)?.split_once('/')?.0.parse().ok()
}

/// Returns the processor time that a process has used since it began; `None` if there is no process
/// with this pid.
pub fn used_by(pid: i32) -> Option<Duration> {
    let clock = clock_getcpuclockid(pid)?;
    clock_gettime(clock).ok().map(|time: TimeSpec| time.into())
}

fn clock_getcpuclockid(pid: i32) -> Option<ClockId> {
    nix::time::clock_getcpuclockid(Pid::from_raw(pid)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runnable_threads_are_read_from_the_fourth_word() {
        assert_eq!(runnable("0.91 0.54 1.04 3/102 16415\n"), Some(3.0));
        assert_eq!(runnable(""), None);
        assert!(Processors::default().crowd().is_some_and(|crowd| crowd > 0.0));
    }

    #[test]
    fn a_process_uses_processor_time_and_one_that_is_not_there_uses_none() {
        let pid = std::process::id().cast_signed();
        let before = used_by(pid).unwrap();
        while used_by(pid).unwrap() <= before {}
        // The kernel assigns no pid as high as this.
        assert_eq!(used_by(1 << 22), None);
    }
}
