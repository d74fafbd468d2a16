//! A function's queue: first in, first out.

use crate::ids::CallNumber;
use std::collections::VecDeque;

/// A queue with fewer entries than this is never cleaned.
const CLEAN_ABOVE: usize = 1024;

/// The lane in which a call is queued. The number of open calls from outside is bounded; nested
/// calls are exempt from that bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Calls from outside.
    Outside,
    /// Calls that functions make.
    Nested,
}

/// The order of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum QueueOrder {
    /// The call is sent again, and goes before all others, as it has waited before.
    Again,
    /// The call keeps the order of arrival, which is this number.
    Arrived(u64),
}

/// The queued calls of a function. Entries of calls that left without being started, for example at
/// their deadline, stay for a while and are skipped.
#[derive(Debug, Default)]
pub struct Queue {
    outside: VecDeque<(QueueOrder, CallNumber)>,
    nested: VecDeque<(QueueOrder, CallNumber)>,
    arrivals: u64,
}

impl Queue {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<(QueueOrder, CallNumber)> {
        match lane {
            Lane::Outside => &mut self.outside,
            Lane::Nested => &mut self.nested,
        }
    }

    /// Adds a call behind all others.
    pub fn push(&mut self, lane: Lane, call: CallNumber) {
        self.arrivals += 1;
        let order = QueueOrder::Arrived(self.arrivals);
        self.lane(lane).push_back((order, call));
    }

    /// Adds a nested call that is sent again before all others.
    pub fn push_again(&mut self, call: CallNumber) {
        self.nested.push_front((QueueOrder::Again, call));
    }

    /// The call whose turn it is. Calls from outside are considered only if they `may_open`.
    #[inline]
    pub fn head(
        &mut self,
        may_open: bool,
        is_queued: impl Fn(CallNumber) -> bool,
    ) -> Option<(CallNumber, Lane)> {
        for lane in [&mut self.outside, &mut self.nested] {
            while lane.front().is_some_and(|(_, call)| !is_queued(*call)) {
                lane.pop_front();
            }
        }
        let outside = self.outside.front().filter(|_| may_open);
        match (outside, self.nested.front()) {
            (Some(outside), Some(nested)) if nested.0 < outside.0 => Some((nested.1, Lane::Nested)),
            (Some(outside), _) => Some((outside.1, Lane::Outside)),
            (None, Some(nested)) => Some((nested.1, Lane::Nested)),
            (None, None) => None,
        }
    }

    /// Whether internal calls are queued. Valid after [`Queue::head`].
    pub fn has_nested(&self) -> bool {
        !self.nested.is_empty()
    }

    /// Removes the first call of a lane, which [`Queue::head`] has returned.
    pub fn pop(&mut self, lane: Lane) {
        self.lane(lane).pop_front();
    }

    /// The queued calls, and some that have left.
    pub fn calls(&self) -> impl Iterator<Item = CallNumber> {
        self.outside.iter().chain(&self.nested).map(|(_, call)| *call)
    }

    /// Removes the entries of calls that have left, if they make up most of the queue. `queued` is
    /// the number of calls in it.
    pub fn forget_left(&mut self, queued: u32, is_queued: impl Fn(CallNumber) -> bool) {
        let entries = self.outside.len() + self.nested.len();
        if entries > CLEAN_ABOVE.max(4 * queued as usize) {
            self.outside.retain(|(_, call)| is_queued(*call));
            self.nested.retain(|(_, call)| is_queued(*call));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64) -> CallNumber {
        CallNumber::new(number).unwrap()
    }

    fn take(queue: &mut Queue, may_open: bool) -> Option<u64> {
        let (call, lane) = queue.head(may_open, |call| call.number() != 3)?;
        queue.pop(lane);
        Some(call.number())
    }

    #[test]
    fn calls_come_in_the_order_of_arrival_and_nested_ones_pass_where_none_may_open() {
        let mut queue = Queue::default();
        for number in 1..=6 {
            let lane = if number % 2 == 0 { Lane::Nested } else { Lane::Outside };
            queue.push(lane, call(number));
        }
        queue.push_again(call(7));
        let turns = [true, true, true, false, false].map(|may_open| take(&mut queue, may_open));
        assert_eq!(turns, [7, 1, 2, 4, 6].map(Some), "3 has left");
        assert_eq!(take(&mut queue, false), None);
        assert_eq!(take(&mut queue, true), Some(5));
    }

    #[test]
    fn calls_that_have_left_do_not_pile_up() {
        let mut queue = Queue::default();
        for number in 1..100_000 {
            queue.push(Lane::Outside, call(number));
            queue.forget_left(1, |queued| queued.number() == number);
            assert!(queue.outside.len() <= CLEAN_ABOVE + 1);
        }
    }
}
