//! The engine's end of one container: its control socket, its arena and its workers.

use super::arena::{Arena, EngineBlock, RegionNotice};
use super::channel::{Channel, Place};
use super::control::ControlSocket;
use super::ends::Ends;
use super::handshake::Identity;
use super::reader::{Reader, SpareInbox};
use super::rings::Rings;
use crate::ids::ContainerKey;
use nightcore_runtime::protocol::control::{
    CallerCreated, ChannelKind, ContainerNumber, ControlBuffer, CreateWorker, FromEngine, Mode,
    NewRegion, Placement, Refusal, RegionDropped, RegionGranted, RegionRequest, Welcome,
    WorkerSlot,
};
use nightcore_runtime::protocol::{CALLER_SINCE_VERSION, Failure, RING_SINCE_VERSION, Status};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A connected container.
pub struct ContainerLink {
    pub(crate) key: ContainerKey,
    pub(crate) identity: Identity,
    pub(crate) pid: i32,
    mode: Mode,
    /// The version of the protocol that the container speaks.
    version: u16,
    /// How the messages of its channels are carried.
    kind: ChannelKind,
    control: Rc<ControlSocket>,
    pub(super) arena: Arena,
    /// Whether a payload went by the arena since the arena was last trimmed.
    pub(super) arena_used: bool,
    /// Its workers by slot, ready or not.
    channels: Vec<Option<Rc<Channel>>>,
    /// The channel of its process calls, once it has asked for one.
    caller: Option<Rc<Channel>>,
    was_ready: bool,
    /// How many more failures to create a worker it may report. Each report is shown to the user,
    /// and the container chooses its length, so the engine accepts only one for each worker that it
    /// asked for.
    may_fail: u64,
}

/// A container that has just greeted, and what the engine sends with the welcome.
pub struct NewContainer {
    /// The scheduler's key for it.
    pub(crate) key: ContainerKey,
    /// The identity of the container.
    pub(crate) identity: Identity,
    /// Its process id.
    pub(crate) pid: i32,
    /// Whether its workers are threads or an event loop.
    pub(crate) mode: Mode,
    /// The version of the protocol that it speaks.
    pub(crate) version: u16,
    /// How the messages of its channels are to be carried.
    pub(crate) kind: ChannelKind,
    /// Whether callers see the texts of its unexpected errors.
    pub(crate) exposes_errors: bool,
    /// Its control socket.
    pub(crate) control: Rc<ControlSocket>,
    /// Its arena.
    pub(crate) arena: Arena,
}

impl ContainerLink {
    /// Welcomes a container. `files` are those of its base regions, first the container's, then the
    /// engine's; the file of the board may follow.
    pub(super) fn welcome(
        new: NewContainer,
        files: Vec<OwnedFd>,
        max_body_bytes: u64,
    ) -> ContainerLink {
        let NewContainer {
            key,
            identity,
            pid,
            mode,
            version,
            kind,
            exposes_errors,
            control,
            arena,
        } = new;
        let kind = match kind {
            ChannelKind::Ring if version < RING_SINCE_VERSION => ChannelKind::Fifo,
            known => known,
        };
        let welcome = Welcome {
            version,
            container: ContainerNumber(key.index() as u64),
            max_body_bytes,
            function_id: (files.len() > 2).then_some(identity.function),
            exposes_errors,
            function: identity.name.clone(),
        };
        control.send(welcome.write(), files);
        ContainerLink {
            key,
            identity,
            pid,
            mode,
            version,
            kind,
            control,
            arena,
            arena_used: false,
            channels: Vec::new(),
            caller: None,
            was_ready: false,
            may_fail: 0,
        }
    }

    /// Whether this is the container at that socket. The key alone does not tell: a container that
    /// broke a rule is forgotten before its process has ended, and its key may belong to another
    /// one by then.
    pub(super) fn is_at(&self, control: &Rc<ControlSocket>) -> bool {
        Rc::ptr_eq(&self.control, control)
    }

    // Workers.

    /// Its workers, ready or not.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Rc<Channel>> {
        self.channels.iter().flatten()
    }

    /// Notes that a worker is ready. Returns true if it is the container's first one.
    pub(crate) fn note_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.was_ready, true)
    }

    /// Makes a channel, and asks the container for a worker at its other end.
    pub(super) fn create_worker(
        &mut self,
        ends: Ends,
        placement: Placement,
        spare: Rc<SpareInbox>,
    ) -> io::Result<Reader> {
        let slot = self.free_slot().ok_or_else(|| io::Error::other("no slot is free"))?;
        let Ends { to_worker, from_worker, rings } = ends;
        let (rings, file) = rings.unzip();
        let (mode, version) = (self.mode, self.version);
        let place = Place { container: self.key, slot: Some(slot.number()), mode, version };
        let base = self.arena.base.clone();
        let channel = Channel::new(place, to_worker.writer, rings.map(Rings::new), base);
        let reader = Reader::new(channel.clone(), from_worker.reader, spare)?;
        self.channels[slot.number() as usize] = Some(channel);
        // Older versions know no placement. They are sent the default.
        let has_placement = version >= RING_SINCE_VERSION;
        let placement = if has_placement { placement } else { Placement::Apart };
        let create = CreateWorker { slot, placement };
        let ends = [to_worker.reader, from_worker.writer];
        self.may_fail += 1;
        self.control.send(create.write(), ends.into_iter().chain(file).collect());
        Ok(reader)
    }

    /// The channel of its process calls.
    pub(crate) fn caller(&self) -> Option<&Rc<Channel>> {
        self.caller.as_ref()
    }

    /// Makes the channel of the container's process calls. It always uses named pipes, as such
    /// calls are few.
    fn open_caller(&mut self, ends: Ends, spare: Rc<SpareInbox>) -> io::Result<Reader> {
        let Ends { to_worker, from_worker, rings: _ } = ends;
        let (mode, version) = (self.mode, self.version);
        let place = Place { container: self.key, slot: None, mode, version };
        let channel = Channel::new(place, to_worker.writer, None, self.arena.base.clone());
        let reader = Reader::new(channel.clone(), from_worker.reader, spare)?;
        self.caller = Some(channel);
        let created = CallerCreated { created: Ok(()) };
        self.control.send(created.write(), vec![to_worker.reader, from_worker.writer]);
        Ok(reader)
    }

    /// Answers the container's request for a channel of process calls. Returns the end to read
    /// from, or `None` if the channel could not be made.
    ///
    /// # Errors
    ///
    /// If the container may not ask for one.
    pub(super) fn create_caller(
        &mut self,
        make: impl FnOnce() -> io::Result<Ends>,
        spare: Rc<SpareInbox>,
    ) -> Result<Option<Reader>, String> {
        if self.version < CALLER_SINCE_VERSION {
            return Err(format!("version {} of the protocol has no callers", self.version));
        }
        if self.caller.is_some() {
            return Err("it asked for a second caller".to_owned());
        }
        let error = match make().and_then(|ends| self.open_caller(ends, spare)) {
            Ok(reader) => return Ok(Some(reader)),
            Err(error) => error,
        };
        let text = format!("the engine cannot make a channel: {error}");
        let refusal = Refusal { status: Status::Unavailable, text };
        self.control.send(CallerCreated { created: Err(refusal) }.write(), Vec::new());
        Ok(None)
    }

    /// How the messages of its channels are carried, and the version of the protocol that it
    /// speaks.
    pub(super) fn kind(&self) -> (ChannelKind, u16) {
        (self.kind, self.version)
    }

    /// Whether its workers are threads or an event loop.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Finds a slot that no worker has.
    fn free_slot(&mut self) -> Option<WorkerSlot> {
        let free = self.channels.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.channels.len());
        let number = WorkerSlot::new(u32::try_from(slot).ok()?)?;
        if slot == self.channels.len() {
            self.channels.push(None);
        }
        Some(number)
    }

    /// Notes that the container could not create the worker of this slot. Returns the channel made
    /// for that worker, if it still waits for it.
    ///
    /// # Errors
    ///
    /// If the container reports more failures than it was asked for workers.
    pub(super) fn worker_failed(
        &mut self,
        slot: WorkerSlot,
    ) -> Result<Option<Rc<Channel>>, String> {
        let Some(left) = self.may_fail.checked_sub(1) else {
            return Err("more workers failed than were asked for".to_owned());
        };
        self.may_fail = left;
        Ok(self.channels.get(slot.number() as usize).cloned().flatten())
    }

    /// Forgets a closed channel, which frees its slot.
    pub(super) fn forget(&mut self, channel: &Channel) {
        let Some(slot) = channel.slot() else {
            self.caller = None;
            return;
        };
        if let Some(slot) = self.channels.get_mut(slot as usize) {
            *slot = None;
        }
    }

    // Messages to the container.

    /// Sends a message with descriptors to the container.
    pub(crate) fn send(&self, message: ControlBuffer, descriptors: Vec<OwnedFd>) {
        self.control.send(message, descriptors);
    }

    /// Tells the container to exit. No call is under way in it.
    pub(crate) fn shut_down(&self) {
        self.channels().for_each(Channel::retire);
        self.control.send(FromEngine::Shutdown.write(), Vec::new());
    }

    /// Returns the memory of free blocks to the system, on both sides.
    pub(crate) fn trim(&mut self) {
        if !std::mem::take(&mut self.arena_used) {
            return;
        }
        let mut told = Vec::new();
        self.arena.trim(&mut told);
        self.tell(told);
        if self.version >= RING_SINCE_VERSION {
            self.control.send(FromEngine::Trim.write(), Vec::new());
        }
    }

    /// Allocates a block for this container to read. If regions were created or dropped for it, the
    /// container is told first.
    pub(super) fn allocate(&mut self, bytes: u64) -> Result<EngineBlock, Failure> {
        let mut told = Vec::new();
        self.arena_used = true;
        let block = self.arena.allocate(bytes, &mut told);
        self.tell(told);
        block
    }

    fn tell(&self, told: Vec<RegionNotice>) {
        for told in told {
            match told {
                RegionNotice::Added(region, units, file) => {
                    let added = FromEngine::RegionAdded(NewRegion { region, units });
                    self.control.send(added.write(), vec![file]);
                }
                RegionNotice::Dropped(region) => {
                    self.control.send(RegionDropped { region }.write(), Vec::new());
                }
            }
        }
    }

    /// Answers the container's request for a region.
    pub(super) fn grant(&mut self, request: &RegionRequest) {
        let (grant, files) = match self.arena.grant(request.bytes) {
            Ok((region, units, file)) => (Ok(NewRegion { region, units }), vec![file]),
            Err(Failure { status, message, .. }) => {
                (Err(Refusal { status, text: message }), Vec::new())
            }
        };
        let granted = RegionGranted { request: request.request, grant };
        self.control.send(granted.write(), files);
    }
}
