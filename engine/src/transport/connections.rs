//! All connected containers and their channels, by the keys that the scheduler gave them.

use super::arena::Arena;
use super::channel::{Channel, State};
use super::container::{Container, NewContainer};
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

/// What is known about a connected container.
#[derive(Clone, Debug)]
pub struct ContainerStatus {
    /// Its function.
    pub function: String,
    /// The launch; `None` for one attached by hand.
    pub launch: Option<u64>,
    /// Its process.
    pub pid: i32,
    /// Its workers.
    pub workers: usize,
    /// Blocks of the arena the engine has handed out to it.
    pub blocks: u64,
    /// Bytes of those that it has not given back.
    pub arena_used_bytes: u64,
    /// Bytes of the regions whose blocks the engine hands out, and of those whose blocks it hands
    /// out itself.
    pub arena_mapped_bytes: [u64; 2],
}

/// The engine's ends of everything that is connected.
pub struct Connections {
    /// Where pipes have their names for a moment.
    directory: PathBuf,
    max_body_bytes: u64,
    /// The channels of workers that are ready.
    channels: Vec<Option<Rc<Channel>>>,
    containers: HashMap<ContainerKey, Container>,
    channels_made: u64,
    spare_inbox: Rc<SpareInbox>,
    /// Payloads that went by the arena, in either direction.
    arena_payloads: u64,
}

/// What became of a message with a payload that is too large for it.
pub enum Sending {
    /// It was sent.
    Sent,
    /// Its payload is to be copied first: see [`BlockCopy::run`].
    Copying(Box<BlockCopy>),
    /// The container's memory has no room for the payload.
    NoRoom(Failure),
    /// There is no such container any more.
    Gone,
}

/// What follows from a control message of a container.
pub enum Said {
    /// Nothing: it was answered, or its container is not known any more.
    Nothing,
    /// The container has a caller: its end to read from.
    CallerCreated(Reader),
    /// A worker could not be created.
    WorkerFailed {
        /// The container's function.
        function: String,
        /// The channel of that worker, if it still waits for it.
        channel: Option<Rc<Channel>>,
        /// Why, in the container's words.
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

    /// Payloads that went by the arena since the engine started.
    pub(crate) fn arena_payloads(&self) -> u64 {
        self.arena_payloads
    }

    /// The largest body.
    pub(crate) fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    /// What is known about the connected containers.
    pub(crate) fn status(&mut self) -> Vec<ContainerStatus> {
        let status = |container: &mut Container| ContainerStatus {
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

    /// The arena of a container that is about to be welcomed, and the files of its base regions.
    ///
    /// # Errors
    ///
    /// When shared memory cannot be made.
    pub(crate) fn make_arena(&self) -> io::Result<(Arena, [OwnedFd; 2])> {
        Arena::new(self.max_body_bytes)
    }

    /// Welcomes a container, and sends it the files of its base regions, and of the board.
    pub(crate) fn welcome(
        &mut self,
        new: NewContainer,
        base: [OwnedFd; 2],
        board: Option<OwnedFd>,
    ) {
        let key = new.key;
        let files = base.into_iter().chain(board).collect();
        self.containers.insert(key, Container::welcome(new, files, self.max_body_bytes));
    }

    /// The container of this key.
    pub(crate) fn container(&self, key: ContainerKey) -> Option<&Container> {
        self.containers.get(&key)
    }

    /// The container of this key, to be changed.
    pub(crate) fn container_mut(&mut self, key: ContainerKey) -> Option<&mut Container> {
        self.containers.get_mut(&key)
    }

    /// The container of this key, if it is the one at this socket.
    pub(crate) fn container_at(
        &self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
    ) -> Option<&Container> {
        self.container(key).filter(|container| container.is_at(control))
    }

    /// The connected containers.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    /// The function of a container; empty if it is not known any more.
    pub(crate) fn function_name(&self, key: ContainerKey) -> String {
        self.container(key).map(|container| container.identity.name.clone()).unwrap_or_default()
    }

    /// Forgets a container.
    pub(crate) fn remove(&mut self, key: ContainerKey) -> Option<Container> {
        self.containers.remove(&key)
    }

    /// Handles a control message of the container at this socket.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub(crate) fn said(
        &mut self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
        message: FromContainer,
    ) -> Result<Said, String> {
        let container = self.containers.get_mut(&key).filter(|container| container.is_at(control));
        let Some(container) = container else { return Ok(Said::Nothing) };
        match message {
            FromContainer::RegionRequest(request) => container.grant(&request),
            FromContainer::RegionDropped(dropped) => {
                container.arena.dropped_by_container(dropped.region);
            }
            FromContainer::WorkerFailed(failed) => {
                let channel = container.worker_failed(failed.slot)?;
                return Ok(Said::WorkerFailed {
                    function: container.identity.name.clone(),
                    channel: channel.filter(|channel| channel.state() == State::Starting),
                    reason: failed.text,
                });
            }
            FromContainer::CallerRequest => {
                self.channels_made += 1;
                let (directory, number) = (&self.directory, self.channels_made);
                let kind = (ChannelKind::Fifo, container.kind().1);
                let make = || Ends::create(directory, number, kind);
                let reader = container.create_caller(make, self.spare_inbox.clone())?;
                return Ok(reader.map_or(Said::Nothing, Said::CallerCreated));
            }
            FromContainer::Hello(_) => return Err("it greeted a second time".to_owned()),
        }
        Ok(Said::Nothing)
    }

    // Channels.

    /// Asks a container for a worker, and gives the reading end of its channel; `None` if there is
    /// no such container.
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

    /// The channel of a worker that is ready.
    #[inline]
    pub(crate) fn channel(&self, key: ChannelKey) -> Option<Rc<Channel>> {
        self.channels.get(key.index()).cloned().flatten()
    }

    /// A worker is ready, and has this key from now on.
    pub(crate) fn set_ready(&mut self, channel: &Rc<Channel>, key: ChannelKey) {
        channel.set_ready(key);
        if self.channels.len() <= key.index() {
            self.channels.resize(key.index() + 1, None);
        }
        self.channels[key.index()] = Some(channel.clone());
    }

    /// Closes a channel, says how far it had come, and forgets it.
    pub(crate) fn close(&mut self, channel: &Rc<Channel>) -> State {
        let state = channel.close();
        if let State::Ready(key) = state {
            self.channels[key.index()] = None;
        }
        state
    }

    /// Closes a channel of a container that stays.
    pub(crate) fn close_alone(&mut self, channel: &Rc<Channel>) -> State {
        if let Some(container) = self.containers.get_mut(&channel.container()) {
            container.forget(channel);
        }
        self.close(channel)
    }

    // Payloads.

    /// The payload of a message.
    ///
    /// # Errors
    ///
    /// If it is said to lie where no payload can be, or the body is larger than a body may be.
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

    /// Sends a message whose payload does not fit it, by the container's arena.
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

/// Sends a message with its payload inside, if both fit; false if they do not.
#[inline]
pub(crate) fn send_inline(channel: &Rc<Channel>, message: Outgoing<'_>, payload: &Payload) -> bool {
    if payload.len() > (MAX_INLINE_BYTES - message.name_len()) as u64 {
        return false;
    }
    payload.inline(|payload| channel.send_outgoing(message, WirePayload::Inline(payload)));
    true
}
