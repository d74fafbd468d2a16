//! Runs the other side at the same time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that the other thread should stop, whether this side returns or panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `this` while another thread repeats `other`.
pub(crate) fn beside(other: impl Fn() + Sync, this: impl FnOnce()) {
    let (is_over, both) = (AtomicBool::new(false), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            both.wait();
            while !is_over.load(Ordering::Relaxed) {
                other();
            }
        });
        let _over = Over(&is_over);
        both.wait();
        this();
    });
}
