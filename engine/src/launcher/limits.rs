//! Limits that the system applies to a single process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Ignores SIGXFSZ, so that a write, or shared memory, beyond the limit of file sizes causes an
/// error. By default the signal ends the process.
pub fn outlive_file_size_limit() -> nix::Result<()> {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map(drop)
}

/// Raises this process's limit of open files as far as possible. Returns the former limit. The
/// engine needs two descriptors for each worker. The programs that it starts get the former limit,
/// because some cannot handle a larger one.
pub fn raise_open_files() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(soft)
}

/// Restores this process's limit of open files. Safe between fork and exec.
pub(super) fn set_open_files(soft: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)
}

/// Limits the open files of this process permanently. Safe between fork and exec.
pub fn limit_open_files(most: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(hard), most.min(hard))
}

/// Limits the writable memory that this process can reserve. Safe between fork and exec.
pub(super) fn limit_data(bytes: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_DATA, bytes, bytes)
}
