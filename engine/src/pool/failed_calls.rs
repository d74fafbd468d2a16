//! The calls that failed because their container died.

use crate::ids::CallId;

/// The most calls that are named: enough to find out what a process died of, and few enough for a
/// log of a process that ran a thousand.
const MAX_NAMED: usize = 16;

/// The calls that failed because their container died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedCalls {
    count: u32,
    roots: Vec<u64>,
}

impl FailedCalls {
    /// One more has failed, which this call from outside led to.
    pub fn add(&mut self, root: CallId) {
        self.count += 1;
        let root = root.number();
        if self.roots.len() < MAX_NAMED && !self.roots.contains(&root) {
            self.roots.push(root);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The calls from outside that led to them: of the first ones, each once.
    pub fn roots(&self) -> &[u64] {
        &self.roots
    }
}
