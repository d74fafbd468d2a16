//! The functions that the scheduler must check, and the times of the checks.

use crate::ids::FunctionId;
use std::collections::BTreeSet;

/// The period, in ns, at which the scheduler checks functions that have more workers than they
/// keep.
pub(super) const TICK_NS: u64 = 500_000_000;

/// The earlier of two times, either of which may be never.
#[inline]
pub(super) fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The functions that the scheduler must check, and the times of the checks.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Functions whose limit holds calls back, and the time in ns at which the limit may rise.
    held_back: Vec<(FunctionId, u64)>,
    /// Functions that have had calls, and may have more workers than they keep.
    watched: Vec<FunctionId>,
    next_tick: u64,
    /// The times, in ns, at which containers that could not create a worker are asked again.
    ask_again: BTreeSet<(u64, FunctionId)>,
}

impl Upkeep {
    /// Schedules a check of a function for this time, ns.
    pub fn recheck_at(&mut self, function: FunctionId, at: u64) {
        match self.held_back.iter_mut().find(|(held_back, _)| *held_back == function) {
            Some((_, check_at)) => *check_at = at,
            None => self.held_back.push((function, at)),
        }
    }

    /// Schedules that the containers of a function are asked for workers again, at this time, ns.
    pub fn ask_again(&mut self, at: u64, function: FunctionId) {
        self.ask_again.insert((at, function));
    }

    /// Checks a function periodically from now on.
    #[inline]
    pub fn watch(&mut self, function: FunctionId) {
        // Nearly always the function is the last one already.
        if self.watched.last() != Some(&function) && !self.watched.contains(&function) {
            self.watched.push(function);
        }
    }

    /// The time, in ns, at which the next check is due.
    #[inline]
    pub fn next(&self, now: u64) -> Option<u64> {
        let mut next = (!self.watched.is_empty()).then(|| self.next_tick.max(now));
        for (_, at) in &self.held_back {
            next = earliest(next, Some(*at));
        }
        earliest(next, self.ask_again.first().map(|(at, _)| *at))
    }

    /// Removes and returns a function whose containers are to be asked for workers again now.
    pub fn pop_ask_again(&mut self, now: u64) -> Option<FunctionId> {
        self.ask_again.first().filter(|(at, _)| *at <= now)?;
        self.ask_again.pop_first().map(|(_, function)| function)
    }

    /// Removes and returns the functions whose limit may rise now.
    pub fn take_held_back(&mut self, now: u64) -> Vec<FunctionId> {
        let due = self.held_back.extract_if(.., |(_, at)| *at <= now);
        due.map(|(function, _)| function).collect()
    }

    /// Removes and returns the watched functions, if a tick is due.
    pub fn take_watched(&mut self, now: u64) -> Vec<FunctionId> {
        if now < self.next_tick {
            return Vec::new();
        }
        self.next_tick = now + TICK_NS;
        std::mem::take(&mut self.watched)
    }
}
