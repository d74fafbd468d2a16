//! Notices Ctrl-C while a load runs.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicBool, Ordering};

static CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn on_interrupt(_: libc::c_int) {
    CAME.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C does not end the process.
pub(super) fn watch() -> nix::Result<()> {
    let handler = SigHandler::Handler(on_interrupt);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only stores to an atomic, which a signal handler may do.
    unsafe { sigaction(Signal::SIGINT, &action) }.map(drop)
}

/// Returns whether Ctrl-C came.
pub(super) fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}
