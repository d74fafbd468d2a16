//! Which functions are to be looked at, and when.

use crate::ids::FunctionId;
use std::collections::BTreeSet;

/// How often a function that has more workers than it keeps is looked at.
pub(super) const TICK_NS: u64 = 500_000_000;

/// The earlier of two times, where either may be never.
#[inline]
pub(super) fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Which functions are to be looked at, and when.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Functions whose limit holds calls back, and when it may rise, ns.
    held_back: Vec<(FunctionId, u64)>,
    /// Functions that have had calls, and may have more workers than they keep.
    watched: Vec<FunctionId>,
    next_tick: u64,
    /// When functions whose containers could not make a worker are looked at again.
    ask_again: BTreeSet<(u64, FunctionId)>,
}

impl Upkeep {
    /// Looks at a function again at this time, ns.
    pub fn look_again(&mut self, function: FunctionId, at: u64) {
        match self.held_back.iter_mut().find(|(held_back, _)| *held_back == function) {
            Some((_, look_at)) => *look_at = at,
            None => self.held_back.push((function, at)),
        }
    }

    /// Asks the containers of a function for workers again at this time, ns.
    pub fn ask_again(&mut self, at: u64, function: FunctionId) {
        self.ask_again.insert((at, function));
    }

    /// Looks at a function from time to time from now on.
    #[inline]
    pub fn watch(&mut self, function: FunctionId) {
        // The last one is nearly always the one.
        if self.watched.last() != Some(&function) && !self.watched.contains(&function) {
            self.watched.push(function);
        }
    }

    /// When there is something to look at next, ns.
    #[inline]
    pub fn next(&self, now: u64) -> Option<u64> {
        let mut next = (!self.watched.is_empty()).then(|| self.next_tick.max(now));
        for (_, at) in &self.held_back {
            next = earliest(next, Some(*at));
        }
        earliest(next, self.ask_again.first().map(|(at, _)| *at))
    }

    /// A function whose containers are to be asked for workers again.
    pub fn pop_ask_again(&mut self, now: u64) -> Option<FunctionId> {
        self.ask_again.first().filter(|(at, _)| *at <= now)?;
        self.ask_again.pop_first().map(|(_, function)| function)
    }

    /// The functions whose limit may rise now.
    pub fn take_held_back(&mut self, now: u64) -> Vec<FunctionId> {
        let due = self.held_back.extract_if(.., |(_, at)| *at <= now);
        due.map(|(function, _)| function).collect()
    }

    /// The functions that are watched, if a tick is due.
    pub fn take_watched(&mut self, now: u64) -> Vec<FunctionId> {
        if now < self.next_tick {
            return Vec::new();
        }
        self.next_tick = now + TICK_NS;
        std::mem::take(&mut self.watched)
    }
}
