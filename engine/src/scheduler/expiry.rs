//! Handles calls whose deadline has passed, and handlers that do not end.

use super::Scheduler;
use super::action::Action;
use super::time::ns;
use super::turn::Turn;
use crate::calls::{Patience, Share};
use crate::ids::{CallNumber, ContainerKey, FunctionId};
use nightcore_runtime::protocol::{CancelReason, Failure, Status};

/// The least time, in ns, until the scheduler checks again a call that cannot end because it
/// waits for a slot. A grace period may be zero, so it cannot serve as that time.
const RECHECK_NS: u64 = 1_000_000;

impl<P: Share, R> Scheduler<P, R> {
    /// Schedules a check of a call for this time, ns.
    #[inline]
    pub(super) fn check_at(&mut self, id: CallNumber, at: u64) {
        let calls = &self.calls;
        self.deadlines.push(at, id, calls.len(), |id| calls.get(id).is_some());
    }

    /// Ends calls whose deadline has passed, and finds handlers that are stuck.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_, P, R>) {
        while let Some(id) = self.deadlines.pop(turn.now) {
            let Some(call) = self.calls.get(id) else { continue };
            if call.deadline().is_none() {
                continue;
            }
            let (function, at) = (call.function(), call.dispatched());
            match (at, call.abandoned()) {
                (None, _) => self.expire_call(turn, id, "in the queue"),
                (Some(_), None) => {
                    self.expire_call(turn, id, "in the handler");
                    self.begin_grace(turn.now, id, function);
                }
                (Some(_), Some((_, Patience::UntilDeadline))) => {
                    self.begin_grace(turn.now, id, function);
                }
                // Other calls have its slot, so the handler has not been told yet and cannot end.
                (Some(_), Some(_)) if call.holds_answers() => {
                    let grace_ns = ns(self.functions[function].spec().grace);
                    self.check_at(id, turn.now.saturating_add(grace_ns.max(RECHECK_NS)));
                }
                (Some(at), Some(_)) => self.set_stuck(turn, id, at.container),
            }
            self.pump(turn, function);
        }
    }

    fn expire_call(&mut self, turn: &mut Turn<'_, P, R>, id: CallNumber, place: &str) {
        let Some(call) = self.calls.get(id) else { return };
        let name = &self.functions[call.function()].spec().name;
        let text = format!("{name} did not answer by its deadline; it was {place}");
        let failure = Failure::new(Status::DeadlineExceeded, text);
        self.cancel(turn, id, failure, CancelReason::Deadline);
    }

    /// Begins the grace period, for which an abandoned call may run on.
    fn begin_grace(&mut self, now: u64, id: CallNumber, function: FunctionId) {
        let until = now.saturating_add(ns(self.functions[function].spec().grace));
        if let Some(call) = self.calls.get_mut(id) {
            call.set_patience(Patience::Grace);
            self.check_at(id, until);
        }
    }

    pub(super) fn set_stuck(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        id: CallNumber,
        key: ContainerKey,
    ) {
        if let Some(call) = self.calls.get_mut(id) {
            call.set_patience(Patience::Stuck);
        }
        let container = &mut self.pool[key];
        if container.set_aside() {
            self.functions[container.function()].counts.stuck += 1;
            turn.push(Action::Replace { container: key });
            self.recall_in(turn, key);
        }
        self.end_if_done(turn, key);
    }

    /// Ends a container that was set aside, once only stuck calls run in it. If no call runs in it,
    /// it is asked to exit.
    pub(super) fn end_if_done(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        if !self.pool.is_connected(key) || !self.pool[key].is_set_aside() {
            return;
        }
        let is_stuck = |id: &CallNumber| {
            let abandoned = self.calls.get(*id).and_then(|call| call.abandoned());
            matches!(abandoned, Some((_, Patience::Stuck)))
        };
        let mut stuck = 0;
        for id in self.pool.open_in(key).flat_map(|open| open.ids()) {
            if !is_stuck(id) {
                return;
            }
            stuck += 1;
        }
        self.pool[key].end();
        turn.push(match stuck {
            0 => Action::Leave { container: key },
            _ => Action::End { container: key },
        });
    }
}
