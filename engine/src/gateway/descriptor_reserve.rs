//! Keeps descriptors for work that must succeed when the system gives no more.

use std::cell::Cell;
use std::fs::File;

/// The number of descriptors that are kept: finding out the process of a client takes one for the
/// process and one for a file of `/proc`.
const DESCRIPTORS: usize = 2;

/// Some descriptors that are open for nothing else. They are opened when the engine starts. So they
/// have low numbers, which stay usable if the limit of open files is lowered.
pub struct DescriptorReserve(Cell<Vec<File>>);

impl DescriptorReserve {
    /// Opens the descriptors.
    pub fn open() -> DescriptorReserve {
        DescriptorReserve(Cell::new(open()))
    }

    /// Does some work that may take descriptors for a moment.
    pub(super) fn lend<T>(&self, work: impl FnOnce() -> T) -> T {
        drop(self.0.take());
        let result = work();
        self.0.set(open());
        result
    }
}

/// Opens as many descriptors as there are, up to the number that is kept.
fn open() -> Vec<File> {
    (0..DESCRIPTORS).map_while(|_| File::open("/dev/null").ok()).collect()
}
