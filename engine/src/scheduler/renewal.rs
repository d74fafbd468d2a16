//! Functions that are added, changed or removed while calls are under way.
//!
//! When a new generation of containers begins to serve, it gets new calls and queued ones. Calls
//! that were dispatched stay where they are, and each old container exits after its last call.

use super::Scheduler;
use super::action::Action;
use super::turn::Turn;
use crate::calls::Share;
use crate::functions::Spec;
use crate::ids::{ContainerKey, FunctionId, Generation};
use crate::pool::Phase;
use nightcore_runtime::protocol::{Failure, Status};

impl<P: Share, R> Scheduler<P, R> {
    /// Adds a function, or restores one that was removed.
    pub(super) fn added(&mut self, turn: &mut Turn<'_, P, R>, spec: Spec) -> FunctionId {
        let Some(id) = self.functions.known(&spec.name) else {
            self.pool.add_function();
            return self.functions.add(spec);
        };
        let f = &mut self.functions[id];
        f.set_removed(false);
        f.set_spec(spec);
        let generation = self.pool.members_mut(id).generations_mut().begin();
        self.serve(turn, id, generation);
        id
    }

    /// Applies a function's changed configuration.
    pub(super) fn configured(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
        spec: Spec,
    ) {
        self.functions[function].set_spec(spec);
        self.recall_of(turn, function);
        self.pump(turn, function);
    }

    /// Begins a new generation, whose containers are about to be started.
    pub(super) fn renewed(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
    ) -> Generation {
        let generation = self.pool.members_mut(function).generations_mut().begin();
        if !self.is_ready(function) {
            self.serve(turn, function, generation);
            return generation;
        }
        for key in self.pool.members(function).containers().to_vec() {
            if self.pool[key].phase() <= Phase::Warming {
                self.retire(turn, key);
            }
        }
        generation
    }

    /// Notes that a container of this generation fails to start, and why. `is_all` says that all of
    /// them fail.
    pub(super) fn generation_failing(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        (function, generation): (FunctionId, Generation),
        reason: &str,
        is_all: bool,
    ) {
        let is_ready = self.is_ready(function);
        let generations = self.pool.members_mut(function).generations_mut();
        generations.fail(generation, reason);
        if is_all && !is_ready && generation == generations.serving() {
            self.set_unavailable(turn, function, reason);
        }
    }

    /// Makes a function unavailable: queued calls end, and new calls are refused.
    fn set_unavailable(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId, reason: &str) {
        self.functions[function].set_unavailable(Some(reason.to_owned()));
        let told = self.spec(function).told_reason(reason);
        self.end_all_queued(turn, function, &Failure::new(Status::Unavailable, told));
    }

    fn end_all_queued(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
        failure: &Failure,
    ) {
        let queued: Vec<_> = self.functions[function].queue.calls().collect();
        for id in queued {
            self.end_queued(turn, id, failure.clone());
        }
    }

    /// Marks a function as removed.
    pub(super) fn removed(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        self.functions[function].set_removed(true);
        self.recall_of(turn, function);
        self.upkeep.watch(function);
    }

    /// Retires the containers of a removed function when no call is queued. Returns true if some
    /// are left.
    pub(super) fn maintain_removed(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
    ) -> bool {
        let containers = self.pool.members(function).containers().to_vec();
        let f = &self.functions[function];
        let is_queued = f.slots.load().queued() > 0;
        if containers.is_empty() && is_queued {
            let text = format!("{} was removed", f.spec().name);
            self.end_all_queued(turn, function, &Failure::new(Status::NotFound, text));
        } else if !is_queued {
            containers.iter().for_each(|key| self.retire(turn, *key));
        }
        !containers.is_empty()
    }

    /// Lets the newest generation serve if it is ready now. To be called when a container became
    /// ready or has left. The caller must look at the queue afterwards.
    pub(super) fn serve_newest_if_ready(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
    ) {
        let generations = self.pool.members(function).generations();
        if !generations.is_changing() {
            return;
        }
        let newest = generations.newest();
        let ready = self.pool.containers(function).filter(|(_, c)| {
            c.phase() == Phase::Warming
                && c.membership().generation() == newest
                && !c.workers.ready().is_empty()
        });
        let ready = ready.count();
        let processes = self.functions[function].spec().processes as usize;
        if ready >= processes || (ready > 0 && !self.is_ready(function)) {
            self.serve(turn, function, newest);
        }
    }

    /// Makes this generation serve. Older ones only finish their calls.
    fn serve(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId, generation: Generation) {
        let members = self.pool.members_mut(function);
        members.generations_mut().serve(generation);
        self.functions[function].forget_code();
        for key in members.containers().to_vec() {
            let container = &mut self.pool[key];
            let membership = container.membership();
            if membership.generation() == generation {
                container.serve();
                self.functions[function].set_mode(container.workers.mode());
            } else if !membership.is_attached() {
                self.retire(turn, key);
            }
        }
        turn.push(Action::Serves { function, generation });
    }

    /// Gives a container no new calls, and lets it exit after its last one.
    pub(super) fn retire(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        self.pool[key].set_aside();
        self.recall_in(turn, key);
        self.end_if_done(turn, key);
    }

    /// Gives a container no more calls, as another one of its function takes its place.
    pub(super) fn set_aside(&mut self, turn: &mut Turn<'_, P, R>, container: ContainerKey) {
        if !self.pool.is_connected(container) {
            return;
        }
        let function = self.pool[container].function();
        self.retire(turn, container);
        self.pump(turn, function);
    }

    /// The newest generation of a function's containers.
    pub fn newest_generation(&self, function: FunctionId) -> Generation {
        self.pool.members(function).generations().newest()
    }

    /// The generation of a function's containers that gets calls.
    pub fn serving_generation(&self, function: FunctionId) -> Generation {
        self.pool.members(function).generations().serving()
    }

    /// Whether containers of the newest generation are being started, and none has failed so far.
    pub fn is_coming(&self, function: FunctionId) -> bool {
        let is_changing = self.pool.members(function).generations().is_changing();
        (is_changing || !self.is_ready(function)) && self.failing(function).is_none()
    }

    /// The reason why containers of the newest generation fail to start, if they do.
    pub fn failing(&self, function: FunctionId) -> Option<&str> {
        let failing = self.pool.members(function).generations().failing();
        failing.or_else(|| self.functions[function].unavailable())
    }
}
