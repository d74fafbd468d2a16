//! The times at which something was missing. Only in these times may a call end without an answer,
//! or late.

use crate::outcome::Times;

/// A span of time, in ns of the monotonic clock. Without an end, it still lasts.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: u64,
    to: Option<u64>,
}

impl Window {
    fn end(self) -> u64 {
        self.to.unwrap_or(u64::MAX)
    }

    /// Returns how much of the time between these two falls into the window.
    fn shared(self, from: u64, to: u64) -> u64 {
        self.end().min(to).saturating_sub(self.from.max(from))
    }
}

/// The resource that is missing in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// The engine is dead, or is starting.
    Engine,
    /// The engine is stopped.
    EngineRunning,
    /// The engine has no descriptors for another connection.
    Descriptors,
    /// More clients connect than the engine may have, so that new ones wait.
    Accepting,
    /// Clients have all connections that they may have, so an idle connection is ended for the next
    /// one.
    Room,
    /// The client with this number is stopped.
    Client(usize),
}

/// All windows.
#[derive(Debug, Default)]
pub struct Windows(Vec<(Without, Window)>);

/// The time until an engine that had no descriptors accepts connections again. It pauses first, and
/// then all waiting connections come at once.
const ACCEPT_AGAIN_NS: u64 = 200_000_000;

impl Windows {
    pub fn begin(&mut self, without: Without, now: u64) {
        self.0.push((without, Window { from: now, to: None }));
    }

    pub fn end(&mut self, without: Without, now: u64) {
        for (kind, window) in &mut self.0 {
            if *kind == without && window.to.is_none() {
                window.to = Some(now);
            }
        }
    }

    fn of(&self, without: Without) -> impl Iterator<Item = Window> {
        // The latest window comes first, because windows are looked up while they last, or soon
        // after.
        self.0.iter().rev().filter(move |(kind, _)| *kind == without).map(|(_, window)| *window)
    }

    /// Returns whether a connection that was open between these times may be lost. It may if the
    /// engine died while the connection was open, or did not exist.
    pub fn may_be_lost(&self, opened: u64, ended: u64) -> bool {
        self.of(Without::Engine).any(|window| {
            (opened <= window.from && window.from <= ended) || window.shared(ended, ended + 1) > 0
        })
    }

    /// Returns whether a connection may be lost because it was idle and was ended for another one.
    /// In that case the engine has seen nothing of its call.
    pub fn may_be_ended_idle(&self, times: Times) -> bool {
        let mut full = self.of(Without::Room).chain(self.of(Without::Descriptors));
        full.any(|window| {
            let window = Window { to: window.to.map(|to| to + ACCEPT_AGAIN_NS), ..window };
            window.shared(times.idle_since, times.ended) > 0
        })
    }

    /// Returns how much later than its deadline a call may end, in ns.
    pub fn allowance(&self, client: usize, times: Times) -> u64 {
        let Times { opened, is_first, began, ended, .. } = times;
        let stopped = self.of(Without::EngineRunning).chain(self.of(Without::Client(client)));
        let stopped = stopped.map(|window| window.shared(began, ended)).sum::<u64>();
        // Earlier connections may be waiting too, behind others or for a stopped engine.
        let not_accepted = self
            .of(Without::Descriptors)
            .chain(self.of(Without::Accepting))
            .filter(|window| is_first && window.shared(opened, ended) > 0);
        let not_accepted = not_accepted
            .map(|window| {
                Window { to: window.to.map(|to| to + ACCEPT_AGAIN_NS), ..window }
                    .shared(began, ended)
            })
            .sum::<u64>();
        stopped + not_accepted
    }
}
