//! One turn of the scheduler: an event at a time, and the actions that follow from it.

use super::action::{Action, Actions};

/// The time of an event, and where its actions go.
pub(super) struct Turn<'a, P, R> {
    /// ns of the monotonic clock.
    pub now: u64,
    actions: &'a mut Actions<P, R>,
}

impl<'a, P, R> Turn<'a, P, R> {
    #[inline]
    pub fn new(now: u64, actions: &'a mut Actions<P, R>) -> Turn<'a, P, R> {
        Turn { now, actions }
    }

    /// Asks for something to be done, after all before.
    #[inline]
    pub fn push(&mut self, action: Action<P, R>) {
        self.actions.push(action);
    }

    /// The turn ends; the scheduler is to be woken then, ns.
    #[inline]
    pub fn end(self, wake_at: Option<u64>) {
        self.actions.set_wake(wake_at);
    }
}
