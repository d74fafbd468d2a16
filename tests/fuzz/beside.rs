//! What the other side does at the same time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says that it is over, whether it ends well or not.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does this while another thread does the other thing over and over.
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
