//! Shuts the run down gracefully on Ctrl-C, on SIGTERM and at the run's time limit. Every wait
//! checks a flag, so that the run ends the processes that it has started.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The time between two checks of the flag during a wait.
pub const POLL_EVERY: Duration = Duration::from_millis(100);

/// The number of the signal that arrived, or 0.
static CAME: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_signal(signal: libc::c_int) {
    CAME.store(signal, Ordering::Relaxed);
}

/// Handles SIGINT and SIGTERM, ignores SIGPIPE, and starts the time limit of the run.
pub fn install(run: Duration) -> Result<()> {
    // SA_RESTART is not set, so that a signal makes a blocked read return.
    let remember =
        SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    let actions = [
        (Signal::SIGINT, remember),
        (Signal::SIGTERM, remember),
        (Signal::SIGALRM, remember),
        (Signal::SIGPIPE, ignore),
    ];
    for (signal, action) in actions {
        // SAFETY: the handler only stores to an atomic, which a signal handler may do.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("cannot handle {signal}"))?;
    }
    // SAFETY: alarm has no preconditions.
    unsafe { libc::alarm(libc::c_uint::try_from(run.as_secs())?) };
    Ok(())
}

/// Returns whether the run was told to end.
pub fn pending() -> bool {
    CAME.load(Ordering::Relaxed) != 0
}

/// Fails if the run was told to end.
pub fn check() -> Result<()> {
    match CAME.load(Ordering::Relaxed) {
        0 => Ok(()),
        libc::SIGALRM => bail!("the run exceeded its time limit"),
        _ => bail!("interrupted"),
    }
}

/// Sleeps for `time`, or until the run is told to end. The thread does not wake in between, because
/// that would disturb the measurement.
pub fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let request = libc::timespec {
            tv_sec: libc::time_t::try_from(left.as_secs())?,
            tv_nsec: libc::c_long::from(left.subsec_nanos()),
        };
        // `std::thread::sleep` is not used, because it continues to sleep after a signal.
        // SAFETY: the request is a valid timespec, and a null pointer for the rest is allowed.
        unsafe { libc::nanosleep(&request, std::ptr::null_mut()) };
    }
}
