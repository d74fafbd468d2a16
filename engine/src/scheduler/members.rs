//! Containers and workers that connect, leave or fail.

use super::Scheduler;
use super::action::Action;
use super::ended_by::EndedBy;
use super::event::ProcessFate;
use super::turn::Turn;
use crate::calls::Share;
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use crate::pool::{Container, FailedCalls, Membership, Phase, Workers};
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_WORKERS_PER_CONTAINER;
use nightcore_runtime::protocol::{Failure, Status};

/// How long a container gets no calls after one of its channels was closed, ns. A dying process
/// closes its channels first, and the transport waits this long for its death. If only a thread has
/// ended, the container goes on after this time.
const DYING_NS: u64 = 50_000_000;

/// How long the engine waits, in ns, before it asks a container again that could not create a
/// worker. It is so long that failing costs nothing, and so short that a passing shortage is not
/// felt for long.
const ASK_AGAIN_AFTER_NS: u64 = 200_000_000;

impl<P: Share, R> Scheduler<P, R> {
    /// How many calls a connected container has been given.
    pub fn calls_of(&self, container: ContainerKey) -> Option<u64> {
        self.pool.is_connected(container).then(|| self.pool[container].calls())
    }

    /// Adds a container that has connected. It was attached by hand if `generation` is `None`.
    pub(super) fn connected(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
        generation: Option<Generation>,
        mode: Mode,
    ) -> ContainerKey {
        let f = &mut self.functions[function];
        let generations = self.pool.members(function).generations();
        let (serving, newest) = (generations.serving(), generations.newest());
        let membership = match generation {
            Some(generation) => Membership::Launched(generation),
            None => Membership::Attached(serving),
        };
        let generation = membership.generation();
        let serves = generation == serving;
        let is_over = f.is_removed() || (!serves && generation != newest);
        let phase = match (f.spec().ready_path.is_some() && !membership.is_attached(), serves) {
            (true, _) => Phase::Checking,
            (false, true) => Phase::Serving,
            (false, false) => Phase::Warming,
        };
        let workers = Workers::new(mode, f.spec().max(Some(mode)));
        let key = self.pool.connect(Container::new(function, membership, phase, workers));
        if is_over {
            self.retire(turn, key);
            return key;
        }
        if serves {
            f.set_mode(mode);
        }
        if phase == Phase::Serving {
            f.set_unavailable(None);
        }
        let first = match mode {
            Mode::Threads => {
                let each = f.spec().min.div_ceil(f.spec().processes.max(1));
                each.clamp(1, MAX_WORKERS_PER_CONTAINER as u32)
            }
            Mode::EventLoop => 1,
        };
        (0..first).for_each(|_| self.ask_for_worker(turn, key));
        key
    }

    pub(super) fn ask_for_worker(&mut self, turn: &mut Turn<'_, P, R>, container: ContainerKey) {
        self.pool[container].workers.asked();
        turn.push(Action::CreateWorker { container });
    }

    /// Asks for the workers that the queue needs. Returns false if none is being created and none
    /// can be asked for.
    pub(super) fn want_workers(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) -> bool {
        let now = turn.now;
        if self.pool.members(function).containers().is_empty() {
            // A container is being started, or the function will be declared unavailable.
            return true;
        }
        let f = &mut self.functions[function];
        let limit = f.bound().map_or(u32::MAX, |bound| bound).min(f.limit(now, None));
        let load = *f.slots.load();
        let wanted = load.queued().min(limit.saturating_sub(f.running_here()));
        // Containers that were set aside, or do not serve yet, create no workers for these calls.
        let serving = self.pool.containers(function).filter(|(_, c)| c.serves());
        let mut starting: u32 = serving.map(|(_, c)| c.workers.starting()).sum();
        while starting < wanted {
            let open = self.pool.containers(function).filter(|(_, c)| c.has_room(now));
            let fewest = open.min_by_key(|(_, c)| {
                (!c.membership().is_attached(), c.workers.ready_or_starting())
            });
            let Some((key, _)) = fewest else { break };
            self.ask_for_worker(turn, key);
            starting += 1;
        }
        // More workers will come in these cases: a container that was set aside is replaced, unless
        // it is of an older generation; a container without workers is asked again; a container
        // that pauses goes on, or is replaced.
        let serving = self.pool.members(function).generations().serving();
        let will_come = self.pool.containers(function).any(|(_, c)| {
            c.membership().generation() >= serving
                && (c.phase() >= Phase::SetAside
                    || c.phase() == Phase::Checking
                    || c.workers.ready().is_empty()
                    || c.pauses_until(now).is_some())
        });
        starting > 0 || load.running() > 0 || will_come
    }

    /// Schedules a look for the time at which a pausing container may get calls again, or kept
    /// slots may be free.
    pub(super) fn maintain_pauses(&mut self, now: u64, function: FunctionId) {
        let containers = self.pool.containers(function);
        let pauses =
            containers.flat_map(|(_, c)| [c.pauses_until(now), c.slots_kept_until(now)]).flatten();
        if let Some(at) = pauses.min() {
            self.upkeep.recheck_at(function, at);
        }
    }

    /// Fails a nested call that would wait for ever: every worker that the function may have waits
    /// for another call.
    pub(super) fn no_worker_can_come(&mut self, turn: &mut Turn<'_, P, R>, call: CallNumber) {
        let text = "all workers wait for other calls, and no more can be had";
        self.end_queued(turn, call, Failure::new(Status::Overloaded, text));
    }

    /// Adds a worker that is ready for calls.
    pub(super) fn worker_came(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        key: ContainerKey,
    ) -> ChannelKey {
        let channel = self.pool.add_worker(key);
        if self.is_checked(key) {
            self.check(turn, key);
        } else {
            self.ready_in(turn, key);
        }
        channel
    }

    /// Goes on when a container has one more ready worker, or may get calls now.
    pub(super) fn ready_in(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        let container = &self.pool[key];
        let (function, generation) = (container.function(), container.membership().generation());
        // Another container may have failed between this one's connection and its first worker.
        if container.serves() {
            self.functions[function].set_unavailable(None);
        }
        let ready = self.pool.containers(function).filter(|(_, c)| {
            c.membership() == Membership::Launched(generation)
                && matches!(c.phase(), Phase::Warming | Phase::Serving)
                && !c.workers.ready().is_empty()
        });
        if ready.count() >= self.functions[function].spec().processes as usize {
            self.pool.members_mut(function).generations_mut().all_came(generation);
        }
        self.serve_newest_if_ready(turn, function);
        self.pump(turn, function);
    }

    /// Notes that a worker cannot be created. Its container is asked for another one only after a
    /// pause, as the missing descriptors or threads are likely to be missing still.
    pub(super) fn worker_failed(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        let again = turn.now.saturating_add(ASK_AGAIN_AFTER_NS);
        let container = &mut self.pool[key];
        container.workers.failed(again);
        let function = container.function();
        self.upkeep.ask_again(again, function);
        self.pump(turn, function);
    }

    /// Asks each container that could not create even one worker for a worker.
    pub(super) fn ask_again(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        for key in self.pool.members(function).containers().to_vec() {
            if self.pool[key].lacks_workers() {
                self.ask_for_worker(turn, key);
            }
        }
    }

    /// Removes a worker. Its calls end with this failure.
    pub(super) fn worker_gone(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        channel: ChannelKey,
        failure: &Failure,
    ) {
        let Some(key) = self.pool.container_of(channel) else { return };
        // The end of a retired worker says nothing about its process.
        if self.pool[key].workers.ready().contains(&channel) {
            self.keep_last_words(turn.now, key);
            self.pool[key].may_die(turn.now.saturating_add(DYING_NS));
        }
        self.keep_slots(turn.now, key, channel);
        self.pool[key].workers.gone(channel);
        for id in self.pool.open(channel).ids().to_vec() {
            self.end(turn, id, Err(failure.clone()), EndedBy::Death);
        }
        self.caller_gone(turn, channel);
        self.pool.remove_worker(channel);
    }

    /// Removes a container and all its workers.
    pub(super) fn container_gone(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        key: ContainerKey,
        failure: &Failure,
        process: ProcessFate,
    ) {
        if !self.pool.is_connected(key) {
            return;
        }
        if process != ProcessFate::DiedWithLauncher {
            self.blame(turn, key);
        }
        let was_checked = self.is_checked(key);
        let container = &mut self.pool[key];
        container.end();
        for channel in container.workers.ready().to_vec() {
            self.worker_gone(turn, channel, failure);
        }
        if let Some(caller) = self.pool[key].caller {
            self.worker_gone(turn, caller, failure);
        }
        self.recall_from(turn, key);
        let failed = std::mem::take(&mut self.pool[key].failed_calls);
        // A readiness probe is not a call of any client, so it is not reported as failed.
        self.failed_calls = if was_checked { FailedCalls::default() } else { failed };
        // An attached container is not ended by the engine when it leaves.
        let is_launched = !self.pool[key].membership().is_attached();
        if process != ProcessFate::Lives || !is_launched || !self.pool[key].keeps_slots() {
            self.forget(turn, key);
        }
    }

    /// Returns the calls that failed with the container that was lost last, and clears them.
    pub fn take_failed_calls(&mut self) -> FailedCalls {
        std::mem::take(&mut self.failed_calls)
    }

    /// Whether at least one worker of the function is ready.
    pub fn is_ready(&self, function: FunctionId) -> bool {
        let mut containers = self.pool.containers(function);
        containers.any(|(_, c)| c.serves() && !c.workers.ready().is_empty())
    }
}
