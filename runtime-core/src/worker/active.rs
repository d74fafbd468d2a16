//! How many threads of this process run a handler. While several do, none of them spins, since a
//! spinning thread would keep a core from another one.

use std::sync::atomic::{AtomicU32, Ordering};

static ACTIVE: AtomicU32 = AtomicU32::new(0);

/// Counts this thread as one that runs a handler, until it is dropped.
pub(super) struct Active(());

impl Active {
    /// Notes that this thread runs a handler from now on.
    #[inline]
    pub(super) fn begin() -> Active {
        ACTIVE.fetch_add(1, Ordering::Relaxed);
        Active(())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether no thread except perhaps this one runs a handler.
#[inline]
pub(super) fn is_alone() -> bool {
    ACTIVE.load(Ordering::Relaxed) <= 1
}

/// Whether no thread runs a handler.
#[inline]
pub(super) fn is_idle() -> bool {
    ACTIVE.load(Ordering::Relaxed) == 0
}
