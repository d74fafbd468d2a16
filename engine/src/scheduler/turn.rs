//! One turn of the scheduler: the handling of one event, and the actions that follow from it.

use super::action::{Action, Actions};

/// The time of an event, and the buffer for its actions.
pub(super) struct Turn<'a, P, R> {
    /// The time, in ns of the monotonic clock.
    pub now: u64,
    actions: &'a mut Actions<P, R>,
}

impl<'a, P, R> Turn<'a, P, R> {
    #[inline]
    pub fn new(now: u64, actions: &'a mut Actions<P, R>) -> Turn<'a, P, R> {
        Turn { now, actions }
    }

    /// Appends an action.
    #[inline]
    pub fn push(&mut self, action: Action<P, R>) {
        self.actions.push(action);
    }

    /// Ends the turn. The scheduler must be woken at this time, ns.
    #[inline]
    pub fn end(self, wake_at: Option<u64>) {
        self.actions.set_wake(wake_at);
    }
}
