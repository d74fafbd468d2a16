//! All containers and workers, and the functions that they belong to.

use super::containers::Container;
use super::generations::Generations;
use super::invokes::Invokes;
use crate::calls::{FunctionLoad, Loads, OpenCalls};
use crate::ids::{ChannelKey, ContainerKey, FunctionId};
use slab::Slab;
use std::ops::{Index, IndexMut};

/// A worker that is ready, or was retired and has not left yet. The caller of a container is stored
/// as a worker, too.
#[derive(Debug)]
struct Worker {
    container: ContainerKey,
    open: OpenCalls,
    invokes: Invokes,
}

/// The containers of a function.
#[derive(Debug, Default)]
pub struct Members {
    /// The connected containers, in the order in which they connected.
    containers: Vec<ContainerKey>,
    generations: Generations,
    /// The time since which there have been more workers than needed, in ns.
    surplus_since: Option<u64>,
}

impl Members {
    /// The connected containers, in the order in which they connected.
    #[inline]
    pub fn containers(&self) -> &[ContainerKey] {
        &self.containers
    }

    /// The generations of the containers.
    #[inline]
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// The generations, mutably.
    #[inline]
    pub fn generations_mut(&mut self) -> &mut Generations {
        &mut self.generations
    }

    /// Notes that there are more workers than needed. Returns the time when that began, in ns.
    pub fn note_surplus(&mut self, now: u64) -> u64 {
        *self.surplus_since.get_or_insert(now)
    }

    /// Notes that there are not more workers than needed.
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
    /// Adds a function, which has no containers yet.
    pub fn add_function(&mut self) {
        self.members.push(Members::default());
    }

    /// The containers of a function.
    #[inline]
    pub fn members(&self, function: FunctionId) -> &Members {
        &self.members[function.index()]
    }

    /// The containers of a function, mutably.
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

    /// Adds a container that has connected.
    pub fn connect(&mut self, container: Container) -> ContainerKey {
        let function = container.function();
        let key = ContainerKey::at_index(self.containers.insert(container));
        self.members_mut(function).containers.push(key);
        key
    }

    /// Returns whether the pool has this container.
    pub fn is_connected(&self, key: ContainerKey) -> bool {
        self.containers.contains(key.index())
    }

    /// Removes a container that has left, and its remaining workers.
    pub fn disconnect(&mut self, key: ContainerKey) {
        self.workers.retain(|_, worker| worker.container != key);
        let Some(container) = self.containers.try_remove(key.index()) else { return };
        self.members_mut(container.function()).containers.retain(|other| *other != key);
    }

    /// Adds a ready worker to this container.
    pub fn add_worker(&mut self, container: ContainerKey) -> ChannelKey {
        let worker = Worker { container, open: OpenCalls::default(), invokes: Invokes::default() };
        let channel = ChannelKey::at_index(self.workers.insert(worker));
        self[container].workers.came(channel);
        channel
    }

    /// Adds the caller of this container, which is ready. A caller runs no calls.
    pub fn add_caller(&mut self, container: ContainerKey) -> ChannelKey {
        let caller = Worker { container, open: OpenCalls::default(), invokes: Invokes::default() };
        let channel = ChannelKey::at_index(self.workers.insert(caller));
        self[container].caller = Some(channel);
        channel
    }

    /// Removes a worker or a caller that has left.
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

    /// The calls that were sent to a worker and have not ended yet.
    #[inline]
    pub fn open(&self, channel: ChannelKey) -> &OpenCalls {
        &self.workers[channel.index()].open
    }

    /// The internal calls that a worker has under way; `None` if it has left.
    #[inline]
    pub fn invokes(&self, channel: ChannelKey) -> Option<&Invokes> {
        self.workers.get(channel.index()).map(|worker| &worker.invokes)
    }

    /// The internal calls that a worker has under way, mutably.
    #[inline]
    pub fn invokes_mut(&mut self, channel: ChannelKey) -> Option<&mut Invokes> {
        self.workers.get_mut(channel.index()).map(|worker| &mut worker.invokes)
    }

    /// The internal calls that each worker has under way.
    pub fn all_invokes(&self) -> impl Iterator<Item = (ChannelKey, &Invokes)> {
        self.workers.iter().map(|(at, worker)| (ChannelKey::at_index(at), &worker.invokes))
    }

    /// The calls that were sent to the workers of a container and have not ended yet.
    pub fn open_in(&self, key: ContainerKey) -> impl Iterator<Item = &OpenCalls> {
        self[key].workers.ready().iter().map(|channel| self.open(*channel))
    }

    /// Returns the counters that a transition of a call on this worker changes. `function` has the
    /// counters of the call's function.
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

    /// The calls that were sent to each worker and have not ended yet.
    pub fn all_open(&self) -> impl Iterator<Item = (ChannelKey, &OpenCalls)> {
        self.workers.iter().map(|(at, worker)| (ChannelKey::at_index(at), &worker.open))
    }

    /// Returns the numbers of containers and of workers.
    pub fn count(&self) -> (usize, usize) {
        (self.containers.len(), self.workers.len())
    }
}

/// # Panics
///
/// If the pool has no container with this key.
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
