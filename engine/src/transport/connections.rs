//! All connected containers and their channels, by the scheduler's keys.

use super::arena::Arena;
use super::channel::{Channel, ChannelState};
use super::container::{ContainerLink, NewContainer};
use super::control::ControlSocket;
use super::copy::BlockCopy;
use super::ends::Ends;
use super::outgoing::Outgoing;
use super::payload::Payload;
use super::reader::{Reader, SpareInbox};
use crate::ids::{ChannelKey, ContainerKey};
use nightcore_runtime::ipc::region::payload_bytes;
use nightcore_runtime::protocol::control::{ChannelKind, FromContainer, Placement};
use nightcore_runtime::protocol::limits::MAX_INLINE_BYTES;
use nightcore_runtime::protocol::{Broken, Failure, WirePayload};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

/// The status of a connected container.
#[derive(Clone, Debug)]
pub struct ContainerStatus {
    /// The name of its function.
    pub function: String,
    /// The number of its launch; `None` if it was attached by hand.
    pub launch: Option<u64>,
    /// Its process id.
    pub pid: i32,
    /// How many workers it has.
    pub workers: usize,
    /// How many blocks of the arena the engine has handed out to it.
    pub blocks: u64,
    /// Bytes of the blocks that it has not given back.
    pub arena_used_bytes: u64,
    /// Bytes of the mapped regions: first those whose blocks the engine hands out, then those whose
    /// blocks the container hands out.
    pub arena_mapped_bytes: [u64; 2],
}

/// The engine's ends of all connections.
pub struct Connections {
    /// The directory in which a new pipe has a name for a moment.
    directory: PathBuf,
    max_body_bytes: u64,
    /// The channels of ready workers, by key.
    channels: Vec<Option<Rc<Channel>>>,
    containers: HashMap<ContainerKey, ContainerLink>,
    channels_made: u64,
    spare_inbox: Rc<SpareInbox>,
    /// How many payloads went by the arena, in either direction.
    arena_payloads: u64,
}

/// The outcome of sending a message whose payload does not fit into it.
pub enum Sending {
    /// It was sent.
    Sent,
    /// The payload must be copied first: see [`BlockCopy::run`].
    Copying(Box<BlockCopy>),
    /// The container's memory has no room for the payload.
    NoRoom(Failure),
    /// The container is no longer connected.
    Gone,
}

/// The consequence of a container's control message.
pub enum ControlOutcome {
    /// Nothing: the message was answered, or the container is no longer connected.
    Nothing,
    /// A caller was created for the container. This is the end to read from.
    CallerCreated(Reader),
    /// The container could not create a worker.
    WorkerFailed {
        /// The container's function.
        function: String,
        /// The channel made for that worker, if it still waits for the worker.
        channel: Option<Rc<Channel>>,
        /// The reason, in the container's words.
        reason: String,
    },
}

impl Connections {
    pub(crate) fn new(directory: PathBuf, max_body_bytes: u64) -> Connections {
        Connections {
            directory,
            max_body_bytes,
            channels: Vec::new(),
            containers: HashMap::new(),
            channels_made: 0,
            spare_inbox: Rc::default(),
            arena_payloads: 0,
        }
    }

    /// How many payloads went by the arena since the engine started.
    pub(crate) fn arena_payloads(&self) -> u64 {
        self.arena_payloads
    }

    /// The limit of a body, in bytes.
    pub(crate) fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    /// Describes the connected containers.
    pub(crate) fn status(&mut self) -> Vec<ContainerStatus> {
        let status = |container: &mut ContainerLink| ContainerStatus {
            function: container.identity.name.clone(),
            launch: container.identity.launch(),
            pid: container.pid,
            workers: container.channels().count(),
            blocks: container.arena.allocated(),
            arena_used_bytes: container.arena.used_bytes(),
            arena_mapped_bytes: container.arena.mapped_bytes(),
        };
        self.containers.values_mut().map(status).collect()
    }

    // Containers.

    /// Creates the arena of a container that is about to be welcomed, and the files of its base
    /// regions.
    ///
    /// # Errors
    ///
    /// If shared memory cannot be created.
    pub(crate) fn make_arena(&self) -> io::Result<(Arena, [OwnedFd; 2])> {
        Arena::new(self.max_body_bytes)
    }

    /// Welcomes a container: sends it the files of its base regions and of the board.
    pub(crate) fn welcome(
        &mut self,
        new: NewContainer,
        base: [OwnedFd; 2],
        board: Option<OwnedFd>,
    ) {
        let key = new.key;
        let files = base.into_iter().chain(board).collect();
        self.containers.insert(key, ContainerLink::welcome(new, files, self.max_body_bytes));
    }

    /// The container with this key.
    pub(crate) fn container(&self, key: ContainerKey) -> Option<&ContainerLink> {
        self.containers.get(&key)
    }

    /// The container with this key, mutably.
    pub(crate) fn container_mut(&mut self, key: ContainerKey) -> Option<&mut ContainerLink> {
        self.containers.get_mut(&key)
    }

    /// The container with this key, if it is the one at this socket.
    pub(crate) fn container_at(
        &self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
    ) -> Option<&ContainerLink> {
        self.container(key).filter(|container| container.is_at(control))
    }

    /// The connected containers.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &ContainerLink> {
        self.containers.values()
    }

    /// The name of a container's function; empty if the container is no longer connected.
    pub(crate) fn function_name(&self, key: ContainerKey) -> String {
        self.container(key).map(|container| container.identity.name.clone()).unwrap_or_default()
    }

    /// Forgets a container.
    pub(crate) fn remove(&mut self, key: ContainerKey) -> Option<ContainerLink> {
        self.containers.remove(&key)
    }

    /// Handles a control message of the container at this socket.
    ///
    /// # Errors
    ///
    /// The rule that the container breaks.
    pub(crate) fn said(
        &mut self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
        message: FromContainer,
    ) -> Result<ControlOutcome, String> {
        let container = self.containers.get_mut(&key).filter(|container| container.is_at(control));
        let Some(container) = container else { return Ok(ControlOutcome::Nothing) };
        match message {
            FromContainer::RegionRequest(request) => container.grant(&request),
            FromContainer::RegionDropped(dropped) => {
                container.arena.dropped_by_container(dropped.region);
            }
            FromContainer::WorkerFailed(failed) => {
                let channel = container.worker_failed(failed.slot)?;
                return Ok(ControlOutcome::WorkerFailed {
                    function: container.identity.name.clone(),
                    channel: channel.filter(|channel| channel.state() == ChannelState::Starting),
                    reason: failed.text,
                });
            }
            FromContainer::CallerRequest => {
                self.channels_made += 1;
                let (directory, number) = (&self.directory, self.channels_made);
                let kind = (ChannelKind::Fifo, container.kind().1);
                let make = || Ends::create(directory, number, kind);
                let reader = container.create_caller(make, self.spare_inbox.clone())?;
                return Ok(reader.map_or(ControlOutcome::Nothing, ControlOutcome::CallerCreated));
            }
            FromContainer::Hello(_) => return Err("it greeted a second time".to_owned()),
        }
        Ok(ControlOutcome::Nothing)
    }

    // Channels.

    /// Asks a container for a worker. Returns the reading end of the new channel, or `None` if
    /// there is no such container.
    pub(crate) fn create_worker(
        &mut self,
        key: ContainerKey,
        placement: Placement,
    ) -> Option<io::Result<Reader>> {
        let container = self.containers.get_mut(&key)?;
        self.channels_made += 1;
        let ends = Ends::create(&self.directory, self.channels_made, container.kind());
        let spare = self.spare_inbox.clone();
        Some(ends.and_then(|ends| container.create_worker(ends, placement, spare)))
    }

    /// The channel of a ready worker.
    #[inline]
    pub(crate) fn channel(&self, key: ChannelKey) -> Option<Rc<Channel>> {
        self.channels.get(key.index()).cloned().flatten()
    }

    /// Notes that a worker is ready, and its key.
    pub(crate) fn set_ready(&mut self, channel: &Rc<Channel>, key: ChannelKey) {
        channel.set_ready(key);
        if self.channels.len() <= key.index() {
            self.channels.resize(key.index() + 1, None);
        }
        self.channels[key.index()] = Some(channel.clone());
    }

    /// Closes a channel and forgets it. Returns the state that it was in.
    pub(crate) fn close(&mut self, channel: &Rc<Channel>) -> ChannelState {
        let state = channel.close();
        if let ChannelState::Ready(key) = state {
            self.channels[key.index()] = None;
        }
        state
    }

    /// Closes one channel of a container that stays connected.
    pub(crate) fn close_alone(&mut self, channel: &Rc<Channel>) -> ChannelState {
        if let Some(container) = self.containers.get_mut(&channel.container()) {
            container.forget(channel);
        }
        self.close(channel)
    }

    // Payloads.

    /// Receives the payload of a message.
    ///
    /// # Errors
    ///
    /// If the place that the message names cannot hold a payload, or the body exceeds the limit.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        channel: &Channel,
        payload: WirePayload<'_>,
    ) -> Result<Payload, Broken> {
        if payload.body_len() > self.max_body_bytes {
            return Err(payload.broken_lengths());
        }
        Payload::receive(payload, |region| {
            self.arena_payloads += 1;
            let container = self.containers.get_mut(&channel.container())?;
            container.arena_used = true;
            container.arena.container_region(region)
        })
    }

    /// Sends a message whose payload does not fit into it: the payload goes by the container's
    /// arena.
    pub(crate) fn send_by_arena(
        &mut self,
        channel: &Rc<Channel>,
        message: Outgoing<'_>,
        payload: Payload,
    ) -> Sending {
        let container = self.containers.get_mut(&channel.container());
        let Some(container) = container else { return Sending::Gone };
        let bytes = payload_bytes(payload.metadata_len(), payload.body_len());
        let block = match container.allocate(bytes) {
            Ok(block) => block,
            Err(failure) => {
                let function = container.identity.name.clone();
                return Sending::NoRoom(Failure { function, ..failure });
            }
        };
        self.arena_payloads += 1;
        let copy = BlockCopy::new(channel, message, payload, block);
        if copy.is_short() {
            copy.run_short();
            copy.send();
            return Sending::Sent;
        }
        copy.begin();
        Sending::Copying(Box::new(copy))
    }
}

/// Sends a message with its payload inside if both fit. Returns false if they do not.
#[inline]
pub(crate) fn send_inline(channel: &Rc<Channel>, message: Outgoing<'_>, payload: &Payload) -> bool {
    if payload.len() > (MAX_INLINE_BYTES - message.name_len()) as u64 {
        return false;
    }
    payload.inline(|payload| channel.send_outgoing(message, WirePayload::Inline(payload)));
    true
}
