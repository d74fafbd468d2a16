//! The calls that failed because their container died.

use crate::ids::CallId;

/// The most calls that are named. They are enough to find out why a process died, and few enough
/// for a log line about a process that ran a thousand calls.
const MAX_NAMED: usize = 16;

/// The calls that failed because their container died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedCalls {
    count: u32,
    roots: Vec<u64>,
}

impl FailedCalls {
    /// Adds a call that failed. `root` is the id of the external call at the top of its tree.
    pub fn add(&mut self, root: CallId) {
        self.count += 1;
        let root = root.number();
        if self.roots.len() < MAX_NAMED && !self.roots.contains(&root) {
            self.roots.push(root);
        }
    }

    /// How many calls failed.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The external calls at the top of the trees of those calls, each once. Only the first few are
    /// kept.
    pub fn roots(&self) -> &[u64] {
        &self.roots
    }
}
