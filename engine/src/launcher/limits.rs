//! Limits of one process, as far as the system keeps them for each.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Has a write beyond the limit of file sizes fail in this process, and shared memory beyond it. By
/// default SIGXFSZ ends the process.
pub fn outlive_file_size_limit() -> nix::Result<()> {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map(drop)
}

/// Raises this process's limit of open files as far as it may; returns what it was. The engine
/// needs two for each worker; programs it starts get the limit it was given, as some cannot deal
/// with a larger one.
pub fn raise_open_files() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(soft)
}

/// Sets this process's limit of open files back. Safe between fork and exec.
pub(super) fn set_open_files(soft: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)
}

/// Limits the open files of this process for good. Safe between fork and exec.
pub fn limit_open_files(most: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(hard), most.min(hard))
}

/// Limits the memory that this process can reserve to write to. Safe between fork and exec.
pub(super) fn limit_data(bytes: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_DATA, bytes, bytes)
}
