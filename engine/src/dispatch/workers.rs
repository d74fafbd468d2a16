//! Workers and their containers come and go.

use super::action::Action;
use super::container::{Channel, ChannelKey, Container, ContainerKey};
use super::function::{self, FunctionId, Generation};
use super::input::Input;
use super::{CallId, Dispatch, Ended, Stage, upkeep};
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_WORKERS_PER_CONTAINER;
use nightcore_runtime::protocol::{Failure, Status};

/// How long a container gets no calls when one of its channels was closed: a process that dies closes them before its death is
/// seen, which the link waits for as long. If only a thread has ended the container goes on after it.
const DYING_NS: u64 = 50_000_000;

impl<P: Input, R> Dispatch<P, R> {
    /// A container has connected: of this generation, or attached by hand. Its first workers are asked for.
    pub fn container_connected(
        &mut self,
        function: FunctionId,
        generation: Option<Generation>,
        mode: Mode,
    ) -> ContainerKey {
        let f = &mut self.functions[function as usize - 1];
        let window = function::max(&f.spec, Some(mode));
        let attached = generation.is_none();
        let generation = generation.unwrap_or(f.serving);
        let warming = generation != f.serving;
        let is_over = f.removed || (warming && generation != f.generation);
        let container =
            Container { attached, warming, ..Container::new(function, generation, mode, window) };
        let key = self.containers.insert(container);
        f.containers.push(key);
        if is_over {
            self.retire(key);
            return key;
        }
        if !warming {
            f.set_mode(mode);
            f.unavailable = None;
        }
        let first = match mode {
            Mode::Threads => f
                .spec
                .min
                .div_ceil(f.spec.processes.max(1))
                .clamp(1, MAX_WORKERS_PER_CONTAINER as u32),
            Mode::EventLoop => 1,
        };
        for _ in 0..first {
            self.ask_for_worker(key);
        }
        key
    }

    fn ask_for_worker(&mut self, container: ContainerKey) {
        self.containers[container].starting += 1;
        self.actions.push_back(Action::CreateWorker { container });
    }

    /// Asks for the workers that the queue needs. False if none is under way and none can be asked for.
    pub(super) fn want_workers(&mut self, now: u64, function: FunctionId) -> bool {
        let f = self.function(function);
        if f.containers.is_empty() {
            return true; // One is being started, or the function will be declared unavailable.
        }
        let limit = self.function_mut(function).concurrency.limit(now, None);
        let f = self.function(function);
        let wanted = f.queued.min(limit.saturating_sub(f.running));
        // One that was set aside, or does not serve yet, starts no worker for these calls.
        let takes_part = |key: &&ContainerKey| self.containers[**key].serves();
        let taking_part = f.containers.iter().filter(takes_part);
        let mut starting: u32 = taking_part.map(|key| self.containers[*key].starting).sum();
        while starting < wanted {
            let containers = self.function(function).containers.iter().copied();
            let open = containers.filter(|key| self.containers[*key].has_room(now));
            let key = open.min_by_key(|key| {
                let c = &self.containers[*key];
                (!c.attached, c.channels.len() + c.starting as usize)
            });
            let Some(key) = key else { break };
            self.ask_for_worker(key);
            starting += 1;
        }
        let f = self.function(function);
        let mut containers = f.containers.iter().map(|key| &self.containers[*key]);
        // One that was set aside is replaced, but for those of older generations; one without workers is asked again; one that
        // pauses goes on, or is replaced.
        let will_come = containers.any(|c| {
            c.generation >= f.serving
                && (c.set_aside || c.channels.is_empty() || c.pauses_until(now).is_some())
        });
        starting > 0 || f.running > 0 || will_come
    }

    /// Looks again when containers that pause may get calls.
    pub(super) fn look_after_pauses(&mut self, now: u64, function: FunctionId) {
        let containers =
            self.function(function).containers.iter().map(|key| &self.containers[*key]);
        if let Some(at) = containers.filter_map(|c| c.pauses_until(now)).min() {
            self.upkeep.look_again(function, at);
        }
    }

    /// Every worker the function may have waits for another call, so this one would wait for ever.
    pub(super) fn no_worker_can_come(&mut self, now: u64, call: CallId) {
        let text = "all workers wait for other calls, and no more can be had";
        self.abandon(now, call, Failure::new(Status::Overloaded, text));
        self.cancel_tree(now, call, Status::Overloaded);
    }

    /// A worker is ready for calls.
    pub fn worker_ready(&mut self, now: u64, key: ContainerKey) -> ChannelKey {
        let channel = self.channels.insert(Channel { container: key, open: Vec::new() });
        let container = &mut self.containers[key];
        container.starting = container.starting.saturating_sub(1);
        container.channels.push(channel);
        if container.mode == Mode::Threads {
            container.idle.push(channel);
        }
        let (function, generation) = (container.function, container.generation);
        let f = self.function_mut(function);
        if generation == f.generation {
            f.failing = None;
        }
        self.serve_newest_if_ready(function);
        self.pump(now, function);
        channel
    }

    /// A worker that was asked for will not come. Its container is asked for another one only after a pause: what was
    /// missing, such as descriptors or threads, is likely to be missing still.
    pub fn worker_failed(&mut self, now: u64, key: ContainerKey) {
        let container = &mut self.containers[key];
        container.starting = container.starting.saturating_sub(1);
        container.full_until = now.saturating_add(upkeep::ASK_AGAIN_AFTER_NS);
        let (function, again) = (container.function, container.full_until);
        self.upkeep.ask_again(again, function);
        self.pump(now, function);
    }

    /// Asks containers that could not make even one worker for one.
    pub(super) fn ask_again(&mut self, function: FunctionId) {
        for key in self.function(function).containers.clone() {
            if self.containers[key].lacks_workers() {
                self.ask_for_worker(key);
            }
        }
    }

    /// A worker is gone: its calls end with this failure.
    pub fn worker_gone(&mut self, now: u64, channel: ChannelKey, failure: &Failure) {
        let Some(state) = self.channels.get_mut(channel) else { return };
        let (key, open) = (state.container, state.open.clone());
        self.keep_last_words(now, key, channel);
        let container = &mut self.containers[key];
        // A worker that was retired is none of its channels any more.
        if container.channels.contains(&channel) {
            container.dying_until = now.saturating_add(DYING_NS);
        }
        container.channels.retain(|c| *c != channel);
        container.idle.retain(|c| *c != channel);
        for id in open {
            self.end(now, id, Err(failure.clone()), Ended::WithWorker);
        }
        self.channels.remove(channel);
    }

    /// A container is gone, with all its workers.
    pub fn container_gone(&mut self, now: u64, key: ContainerKey, failure: &Failure) {
        if !self.containers.contains(key) {
            return;
        }
        self.blame(now, key);
        let container = &mut self.containers[key];
        container.set_aside = true;
        container.ending = true;
        let (function, channels) = (container.function, container.channels.clone());
        for channel in channels {
            self.worker_gone(now, channel, failure);
        }
        // Retired workers that had not left yet.
        self.channels.retain(|_, channel| channel.container != key);
        self.containers.remove(key);
        self.function_mut(function).containers.retain(|c| *c != key);
        self.serve_newest_if_ready(function);
        self.pump(now, function);
    }

    /// Declares that a function cannot be called now, and why: what is queued ends, what comes is refused.
    pub fn set_unavailable(&mut self, now: u64, function: FunctionId, reason: &str) {
        let f = self.function_mut(function);
        f.unavailable = Some(reason.to_owned());
        let queued: Vec<CallId> =
            f.outside.drain(..).chain(f.nested.drain(..)).map(|(_, id)| id).collect();
        for id in queued {
            if self.calls.get(id).is_some_and(|call| call.stage == Stage::Queued) {
                self.abandon(now, id, Failure::new(Status::Unavailable, reason));
                self.cancel_tree(now, id, Status::Unavailable);
            }
        }
    }

    /// Whether at least one worker of the function is ready.
    pub fn is_ready(&self, function: FunctionId) -> bool {
        let mut containers =
            self.function(function).containers.iter().filter_map(|key| self.containers.get(*key));
        containers.any(|c| c.serves() && !c.channels.is_empty())
    }
}
