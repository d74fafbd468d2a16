//! Points in time at which a call must be looked at. What has ended is not taken out at once: entries whose call is
//! gone are skipped, and thrown out together when they are most of the heap.

use super::call::CallId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries below which a heap is never cleaned.
const CLEAN_ABOVE: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(u64, CallId)>>,
}

impl Deadlines {
    /// Look at this call at this time. `alive`: how many calls there are; `is_alive`: whether one is among them.
    pub(super) fn push(
        &mut self,
        at: u64,
        call: CallId,
        alive: usize,
        is_alive: impl Fn(CallId) -> bool,
    ) {
        if self.heap.len() > CLEAN_ABOVE.max(4 * alive) {
            self.heap.retain(|Reverse((_, id))| is_alive(*id));
        }
        self.heap.push(Reverse((at, call)));
    }

    /// The earliest time there is something to look at.
    pub(super) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a call whose time has come.
    pub(super) fn pop(&mut self, now: u64) -> Option<CallId> {
        self.heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.heap.pop().map(|Reverse((_, id))| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_does_not_pile_up() {
        let mut deadlines = Deadlines::default();
        for call in 0..1_000_000 {
            deadlines.push(call + 30_000, call, 1, |id| id == call);
            assert!(deadlines.heap.len() <= CLEAN_ABOVE + 1);
        }
        assert_eq!(deadlines.pop(5), None);
        assert!(deadlines.next().is_some());
    }
}
