//! Calls whose deadline has passed, and handlers that do not end.

use super::action::Action;
use super::call::{CallId, Stage};
use super::container::ContainerKey;
use super::function::FunctionId;
use super::input::Input;
use super::{Dispatch, ns};
use nightcore_runtime::protocol::{Failure, Status};

impl<P: Input, R> Dispatch<P, R> {
    /// When a deadline passes next, ns.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.next()
    }

    /// Ends calls whose deadline has passed; finds those that are stuck.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some(id) = self.deadlines.pop(now) {
            let Some(call) = self.calls.get(id) else { continue };
            let (function, expired, stage) = (call.function, call.expired, call.stage);
            // Others have its slot: it has not been told yet, and cannot end.
            let waits_for_slot = !call.held.is_empty();
            if call.deadline == u64::MAX {
                continue;
            }
            if !expired {
                self.expire_call(now, id, function, stage);
            } else if waits_for_slot {
                self.look_after_grace(now, id, function);
            } else if let Stage::Dispatched(channel) = stage {
                self.set_stuck(id, self.channels[channel].container);
            }
            self.pump(now, function);
        }
    }

    fn expire_call(&mut self, now: u64, id: CallId, function: FunctionId, stage: Stage) {
        if let Some(call) = self.calls.get_mut(id) {
            call.expired = true;
        }
        let spec = self.spec(function);
        let place = if stage == Stage::Queued { "in the queue" } else { "in the handler" };
        let text = format!("{} did not answer by its deadline; it was {place}", spec.name);
        self.abandon(now, id, Failure::new(Status::DeadlineExceeded, text));
        self.cancel_tree(now, id, Status::DeadlineExceeded);
        if stage != Stage::Queued {
            self.look_after_grace(now, id, function);
        }
    }

    /// A call that is still there when the grace has passed is looked at again.
    fn look_after_grace(&mut self, now: u64, id: CallId, function: FunctionId) {
        let at = now.saturating_add(ns(self.spec(function).grace));
        let calls = &self.calls;
        self.deadlines.push(at, id, calls.len(), |id| calls.get(id).is_some());
    }

    fn set_stuck(&mut self, id: CallId, key: ContainerKey) {
        if let Some(call) = self.calls.get_mut(id) {
            call.stuck = true;
        }
        let container = &mut self.containers[key];
        if !std::mem::replace(&mut container.set_aside, true) {
            self.functions[container.function as usize - 1].counts.stuck += 1;
            self.actions.push_back(Action::Replace { container: key });
        }
        self.end_if_done(key);
    }

    /// Ends a container that was set aside when nothing runs in it but what is stuck: if nothing does, by asking.
    pub(super) fn end_if_done(&mut self, key: ContainerKey) {
        let Some(container) = self.containers.get(key) else { return };
        if !container.set_aside || container.ending {
            return;
        }
        let mut open = container.channels.iter().flat_map(|channel| &self.channels[*channel].open);
        let mut is_stuck = false;
        let is_done = open.all(|id| {
            let call = self.calls.get(*id);
            is_stuck |= call.is_some();
            call.is_none_or(|call| call.stuck)
        });
        if is_done {
            self.containers[key].ending = true;
            let action = if is_stuck {
                Action::End { container: key }
            } else {
                Action::Leave { container: key }
            };
            self.actions.push_back(action);
        }
    }
}
