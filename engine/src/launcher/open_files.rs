//! The limit of open files. The engine needs two for each worker; programs it starts get the limit it was given, as some
//! cannot deal with a larger one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises this process's limit as far as it may; returns what it was.
pub fn raise_open_files() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(soft)
}

/// Sets this process's limit back. Safe between fork and exec.
pub(super) fn set_open_files(soft: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)
}
