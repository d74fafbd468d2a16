//! Points in time at which a call must be looked at. Entries of calls that have ended stay in the
//! heap for a while: they are skipped, and removed together when they are most of it.

use crate::ids::CallNumber;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries below which a heap is never cleaned.
const CLEAN_ABOVE: usize = 4096;

/// When which call must be looked at.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(u64, CallNumber)>>,
}

impl Deadlines {
    /// Has a call looked at at this time, ns. `alive`: how many calls there are; `is_alive`:
    /// whether a call is one of them.
    pub fn push(
        &mut self,
        at: u64,
        call: CallNumber,
        alive: usize,
        is_alive: impl Fn(CallNumber) -> bool,
    ) {
        if self.heap.len() > CLEAN_ABOVE.max(4 * alive) {
            self.heap.retain(|Reverse((_, id))| is_alive(*id));
        }
        self.heap.push(Reverse((at, call)));
    }

    /// The earliest time there is something to look at.
    pub fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a call whose time has come.
    pub fn pop(&mut self, now: u64) -> Option<CallNumber> {
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
            let id = CallNumber::new(call + 1).unwrap();
            deadlines.push(call + 30_000, id, 1, |other| other == id);
            assert!(deadlines.heap.len() <= CLEAN_ABOVE + 1);
        }
        assert_eq!(deadlines.pop(5), None);
        assert!(deadlines.next().is_some());
    }
}
