//! The times at which the scheduler must check calls. Entries of calls that have ended stay in
//! the heap for a while and are skipped. They are removed all at once when they make up most of the
//! heap.

use crate::ids::CallNumber;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A heap with fewer entries than this is never cleaned.
const CLEAN_ABOVE: usize = 4096;

/// The times at which the scheduler must check calls.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(u64, CallNumber)>>,
}

impl Deadlines {
    /// Schedules a check of a call for this time, ns. `alive` is the number of calls; `is_alive`
    /// tells whether a call still exists.
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

    /// The earliest time of an entry, ns.
    pub fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes and returns a call whose time has come.
    pub fn pop(&mut self, now: u64) -> Option<CallNumber> {
        self.heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.heap.pop().map(|Reverse((_, id))| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_ended_calls_do_not_pile_up() {
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
