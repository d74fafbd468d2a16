//! Keeps the slots of handlers whose process is dying.
//!
//! A dying process closes its channels before it releases what its handlers hold, such as file
//! locks. A process that has only disconnected runs on until it is killed. In both cases the slots
//! are kept until the process has ended, so that no more than `max` handlers run.

use super::Scheduler;
use super::turn::Turn;
use crate::calls::Share;
use crate::ids::{ChannelKey, ContainerKey, FunctionId};
use crate::pool::Phase;

impl<P: Share, R> Scheduler<P, R> {
    /// Whether a container that has left is still known, because its process has not ended.
    pub fn is_dying(&self, key: ContainerKey) -> bool {
        self.pool.is_connected(key)
    }

    /// Notes that the process of a container that left earlier has ended.
    pub(super) fn process_ended(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        if self.pool.is_connected(key) {
            self.forget(turn, key);
        }
    }

    /// Forgets a container that has no workers.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        let function = self.pool[key].function();
        self.free_slots(key);
        self.pool.disconnect(key);
        self.serve_newest_if_ready(turn, function);
        self.pump(turn, function);
    }

    /// Keeps the slots of the handlers that a lost worker runs.
    pub(super) fn keep_slots(&mut self, now: u64, key: ContainerKey, channel: ChannelKey) {
        let open = self.pool.open(channel).ids().iter();
        let dispatched = open.filter_map(|id| self.calls.get(*id)?.dispatched());
        let slots = dispatched.filter(|at| !at.waits).count() as u32;
        let container = &mut self.pool[key];
        container.keep_slots(now, slots);
        let function = container.function();
        self.functions[function].slots.keep(slots);
    }

    fn free_slots(&mut self, key: ContainerKey) {
        let container = &mut self.pool[key];
        let (function, slots) = (container.function(), container.free_slots());
        self.functions[function].slots.free(slots);
    }

    /// Frees the slots that are kept for containers whose process has not ended in time: there only
    /// a thread has ended. Looks again when the next container's time is over.
    pub(super) fn free_slots_of_survivors(&mut self, now: u64, function: FunctionId) {
        let survivors = self.pool.containers(function).filter(|(_, c)| {
            c.keeps_slots() && c.phase() < Phase::Ending && c.slots_kept_until(now).is_none()
        });
        for key in survivors.map(|(key, _)| key).collect::<Vec<_>>() {
            self.free_slots(key);
        }
        self.maintain_pauses(now, function);
    }
}
