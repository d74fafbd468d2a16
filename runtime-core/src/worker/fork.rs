//! Forks of a process that serves. They inherit its handles and must not use them.

use crate::protocol::{Failure, Status};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Makes [`is_forked`] true in every fork of this process from now on.
pub(super) fn note_forks() {
    static NOTES_FORKS: Once = Once::new();
    // SAFETY: the handler only stores to an atomic, which is safe in the child of a fork.
    NOTES_FORKS.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(note_fork));
    });
}

/// Whether this process is a fork of one that serves. Its handles belong to the parent.
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// The failure of every operation after a fork.
pub(super) fn forked() -> Failure {
    let text = "this process is a fork of a worker: its requests belong to the parent";
    Failure::new(Status::Forked, text)
}
