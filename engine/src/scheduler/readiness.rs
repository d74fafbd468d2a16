//! Readiness checks. A container that is checked gets no calls before it has answered a probe,
//! which is a call of its own function.

use super::Scheduler;
use super::action::{Action, Actions};
use super::event::Arrival;
use super::time::ns;
use super::turn::Turn;
use crate::calls::{Caller, NewCall, Share};
use crate::functions::Origin;
use crate::ids::{ChannelKey, ContainerKey};
use crate::pool::Phase;

impl<P: Share, R> Scheduler<P, R> {
    /// Sends a probe to a container that is being checked. Returns false if the container is gone
    /// or has no worker. [`Action::Respond`] reports the end of the probe.
    pub fn probe(
        &mut self,
        now: u64,
        container: ContainerKey,
        probe: Arrival<P, R>,
        actions: &mut Actions<P, R>,
    ) -> bool {
        self.turn(now, actions, |scheduler, turn| scheduler.probes(turn, container, probe))
    }

    fn probes(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        container: ContainerKey,
        probe: Arrival<P, R>,
    ) -> bool {
        let Some(channel) = self.checked_worker(container) else { return false };
        let Arrival { function, root, timeout: _, payload, bytes, input, reply } = probe;
        let f = &mut self.functions[function];
        f.counts.accepted(Origin::External);
        let deadline = turn.now.saturating_add(ns(f.spec().timeout));
        let caller = Caller::Client(reply);
        let depth = 0;
        let call = NewCall { function, caller, payload, bytes, input, root, depth, deadline };
        // The probe does not queue: no other call may run in this container yet.
        let id = self.calls.enter(call, turn.now, f.slots.load_mut());
        self.check_at(id, deadline);
        self.upkeep.watch(function);
        self.dispatch(turn, id, (container, channel));
        true
    }

    /// Finds a worker of a container that is being checked.
    fn checked_worker(&self, container: ContainerKey) -> Option<ChannelKey> {
        let found = self.is_checked(container).then(|| &self.pool[container])?;
        found.workers.free(found.load().running())
    }

    /// Whether a container is being checked.
    pub fn is_checked(&self, container: ContainerKey) -> bool {
        self.pool.is_connected(container) && self.pool[container].phase() == Phase::Checking
    }

    /// Begins the check of a container whose first worker is ready.
    pub(super) fn check(&mut self, turn: &mut Turn<'_, P, R>, container: ContainerKey) {
        if self.pool[container].workers.ready().len() == 1 {
            turn.push(Action::Check { container });
        }
    }

    /// Notes that a container has passed its check.
    pub(super) fn passed(&mut self, turn: &mut Turn<'_, P, R>, container: ContainerKey) {
        if !self.is_checked(container) {
            return;
        }
        let function = self.pool[container].function();
        let serving = self.pool.members(function).generations().serving();
        self.pool[container].pass(serving);
        if self.pool[container].serves() {
            self.functions[function].set_unavailable(None);
        }
        self.ready_in(turn, container);
    }
}
