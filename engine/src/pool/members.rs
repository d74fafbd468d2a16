//! All containers and workers, and which of them are of which function.

use super::containers::Container;
use super::generations::Generations;
use super::invokes::Invokes;
use crate::calls::{FunctionLoad, Loads, OpenCalls};
use crate::ids::{ChannelKey, ContainerKey, FunctionId};
use slab::Slab;
use std::ops::{Index, IndexMut};

/// A worker that is ready, or was retired and has not left yet; or a container's caller.
#[derive(Debug)]
struct Worker {
    container: ContainerKey,
    open: OpenCalls,
    invokes: Invokes,
}

/// The containers of a function.
#[derive(Debug, Default)]
pub struct Members {
    /// Those that are connected, in the order they came.
    containers: Vec<ContainerKey>,
    generations: Generations,
    /// Since when there have been more workers than needed, ns.
    surplus_since: Option<u64>,
}

impl Members {
    /// Those that are connected, in the order they came.
    #[inline]
    pub fn containers(&self) -> &[ContainerKey] {
        &self.containers
    }

    /// Their generations.
    #[inline]
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// The same, to change them.
    #[inline]
    pub fn generations_mut(&mut self) -> &mut Generations {
        &mut self.generations
    }

    /// There are more workers than needed. Returns since when there have been, ns.
    pub fn note_surplus(&mut self, now: u64) -> u64 {
        *self.surplus_since.get_or_insert(now)
    }

    /// There are no more workers than needed.
    pub fn end_surplus(&mut self) {
        self.surplus_since = None;
    }
}

/// All containers and workers.
#[derive(Debug, Default)]
pub struct Pool {
    containers: Slab<Container>,
    workers: Slab<Worker>,
    members: Vec<Members>,
}

impl Pool {
    /// A function was added; it has no containers yet.
    pub fn add_function(&mut self) {
        self.members.push(Members::default());
    }

    /// The containers of a function.
    #[inline]
    pub fn members(&self, function: FunctionId) -> &Members {
        &self.members[function.index()]
    }

    /// The same, to change them.
    #[inline]
    pub fn members_mut(&mut self, function: FunctionId) -> &mut Members {
        &mut self.members[function.index()]
    }

    /// The containers of a function, with their keys.
    #[inline]
    pub fn containers(
        &self,
        function: FunctionId,
    ) -> impl Iterator<Item = (ContainerKey, &Container)> + Clone {
        self.members(function).containers.iter().map(|key| (*key, &self[*key]))
    }

    /// A container has connected.
    pub fn connect(&mut self, container: Container) -> ContainerKey {
        let function = container.function();
        let key = ContainerKey::at_index(self.containers.insert(container));
        self.members_mut(function).containers.push(key);
        key
    }

    /// Whether there is such a container.
    pub fn is_connected(&self, key: ContainerKey) -> bool {
        self.containers.contains(key.index())
    }

    /// A container is gone, with what is left of its workers.
    pub fn disconnect(&mut self, key: ContainerKey) {
        self.workers.retain(|_, worker| worker.container != key);
        let Some(container) = self.containers.try_remove(key.index()) else { return };
        self.members_mut(container.function()).containers.retain(|other| *other != key);
    }

    /// A worker of this container is ready.
    pub fn add_worker(&mut self, container: ContainerKey) -> ChannelKey {
        let worker = Worker { container, open: OpenCalls::default(), invokes: Invokes::default() };
        let channel = ChannelKey::at_index(self.workers.insert(worker));
        self[container].workers.came(channel);
        channel
    }

    /// The caller of this container is ready. It runs no calls.
    pub fn add_caller(&mut self, container: ContainerKey) -> ChannelKey {
        let caller = Worker { container, open: OpenCalls::default(), invokes: Invokes::default() };
        let channel = ChannelKey::at_index(self.workers.insert(caller));
        self[container].caller = Some(channel);
        channel
    }

    /// A worker has left, or a caller.
    pub fn remove_worker(&mut self, channel: ChannelKey) {
        let Some(worker) = self.workers.try_remove(channel.index()) else { return };
        if let Some(container) = self.containers.get_mut(worker.container.index()) {
            container.caller.take_if(|caller| *caller == channel);
        }
    }

    /// The container of a worker.
    #[inline]
    pub fn container_of(&self, channel: ChannelKey) -> Option<ContainerKey> {
        self.workers.get(channel.index()).map(|worker| worker.container)
    }

    /// The calls that were sent to a worker and have not ended.
    #[inline]
    pub fn open(&self, channel: ChannelKey) -> &OpenCalls {
        &self.workers[channel.index()].open
    }

    /// The internal calls that a worker has under way; `None` if it has left.
    #[inline]
    pub fn invokes(&self, channel: ChannelKey) -> Option<&Invokes> {
        self.workers.get(channel.index()).map(|worker| &worker.invokes)
    }

    /// The same, to change them.
    #[inline]
    pub fn invokes_mut(&mut self, channel: ChannelKey) -> Option<&mut Invokes> {
        self.workers.get_mut(channel.index()).map(|worker| &mut worker.invokes)
    }

    /// The internal calls that each worker has under way.
    pub fn all_invokes(&self) -> impl Iterator<Item = (ChannelKey, &Invokes)> {
        self.workers.iter().map(|(at, worker)| (ChannelKey::at_index(at), &worker.invokes))
    }

    /// The calls that were sent to the workers of a container and have not ended.
    pub fn open_in(&self, key: ContainerKey) -> impl Iterator<Item = &OpenCalls> {
        self[key].workers.ready().iter().map(|channel| self.open(*channel))
    }

    /// The counters that a call of this function's load is part of, on this worker, for a
    /// transition of the call.
    #[inline]
    pub fn loads<'a>(
        &'a mut self,
        container: ContainerKey,
        channel: ChannelKey,
        function: &'a mut FunctionLoad,
    ) -> Loads<'a> {
        let container = self.containers[container.index()].load_mut();
        Loads { function, container, worker: &mut self.workers[channel.index()].open }
    }

    /// All containers, with their keys.
    pub fn all_containers(&self) -> impl Iterator<Item = (ContainerKey, &Container)> {
        self.containers.iter().map(|(at, container)| (ContainerKey::at_index(at), container))
    }

    /// The calls that were sent to each worker and have not ended.
    pub fn all_open(&self) -> impl Iterator<Item = (ChannelKey, &OpenCalls)> {
        self.workers.iter().map(|(at, worker)| (ChannelKey::at_index(at), &worker.open))
    }

    /// How many containers and workers there are.
    pub fn count(&self) -> (usize, usize) {
        (self.containers.len(), self.workers.len())
    }
}

/// # Panics
/// If there is no such container.
impl Index<ContainerKey> for Pool {
    type Output = Container;

    #[inline]
    fn index(&self, key: ContainerKey) -> &Container {
        &self.containers[key.index()]
    }
}

impl IndexMut<ContainerKey> for Pool {
    #[inline]
    fn index_mut(&mut self, key: ContainerKey) -> &mut Container {
        &mut self.containers[key.index()]
    }
}
