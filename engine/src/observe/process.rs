//! Figures of the system about the engine's process.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// Figures about the engine's process. A figure that is not available is `None`.
#[derive(Clone, Copy, Debug)]
pub struct EngineProcess {
    /// Processor time used, in s.
    pub cpu_s: Option<f64>,
    /// Resident memory in bytes: the process's own, and the pages of arenas that it has touched.
    pub resident_bytes: Option<u64>,
    /// The number of open descriptors.
    pub open_files: Option<u64>,
    /// The limit of open descriptors.
    pub max_open_files: Option<u64>,
}

impl EngineProcess {
    /// Reads the figures. This takes some microseconds for each descriptor.
    pub fn read() -> EngineProcess {
        let cpu_s = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
            let s =
                |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
            s(usage.user_time()) + s(usage.system_time())
        });
        let open_files =
            std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        let max_open_files = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
        EngineProcess { cpu_s, resident_bytes: resident_bytes(), open_files, max_open_files }
    }
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page_bytes).ok()?)
}
