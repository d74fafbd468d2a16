//! Where messages and the dispatcher meet. All of it lives on the one I/O thread.

use super::alarm::Alarm;
use super::channel::{self, Channel, Ending, Ends};
use super::container::{Container, ContainerEvent, ControlSocket, Loss, is_expected};
use super::handshake::{Admitted, Refusal, Tokens};
use super::look::LookedAt;
use super::payload::Payload;
use super::send::IfNoRoom;
use crate::dispatch::quarantine::REFUSE_FOR_NS;
use crate::dispatch::{
    Action, CallId, ChannelKey, ContainerKey, Dispatch, FunctionId, Invoke, Outcome, Ran,
};
use crate::say::say;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::inbox::Inbox;
use nightcore_runtime::ipc::socket::Received;
use nightcore_runtime::protocol::control::{ChannelKind, Control, ControlKind, RING_SINCE_VERSION};
use nightcore_runtime::protocol::limits::RING_LINES;
use nightcore_runtime::protocol::message::FLAG_WAITS;
use nightcore_runtime::protocol::{Broken, Failure, Header, Kind, Message, Status};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

/// How the gateway takes an answer.
pub type Reply = oneshot::Sender<Outcome<Payload>>;
/// The hub, as tasks of the I/O thread share it. Never held across an await.
pub type HubHandle = Rc<RefCell<Hub>>;

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
    /// Bytes of the regions whose blocks the engine hands out, and of those whose blocks it hands out itself.
    pub arena_mapped_bytes: [u64; 2],
}

/// Dispatcher, channels and containers of an engine.
pub struct Hub {
    /// The dispatcher.
    pub dispatch: Dispatch<Payload, Reply>,
    /// The tokens that admit containers.
    pub tokens: Tokens,
    directory: PathBuf,
    max_body_bytes: u64,
    channels: Vec<Option<Rc<Channel>>>,
    pub(super) containers: HashMap<ContainerKey, Container>,
    events: mpsc::UnboundedSender<ContainerEvent>,
    pub(super) this: Weak<RefCell<Hub>>,
    channels_made: u64,
    spare_inbox: Option<Inbox>,
    pub(super) looked_at: LookedAt,
    /// Payloads that went by the arena, in either direction.
    pub(super) arena_payloads: u64,
    alarm: Rc<Alarm>,
}

impl Hub {
    /// A hub without functions. Its pipes are made in `directory`.
    pub fn create(
        directory: PathBuf,
        max_body_bytes: u64,
        events: mpsc::UnboundedSender<ContainerEvent>,
        alarm: Rc<Alarm>,
    ) -> HubHandle {
        Rc::new_cyclic(|this| {
            RefCell::new(Hub {
                dispatch: Dispatch::default(),
                tokens: Tokens::default(),
                directory,
                max_body_bytes,
                channels: Vec::new(),
                containers: HashMap::new(),
                events,
                this: this.clone(),
                channels_made: 0,
                spare_inbox: None,
                looked_at: LookedAt::default(),
                arena_payloads: 0,
                alarm: alarm.clone(),
            })
        })
    }

    // The gateway's side.

    /// Starts a call from a client.
    pub fn external(
        &mut self,
        function: FunctionId,
        timeout: Option<Duration>,
        payload: Payload,
        reply: Reply,
    ) -> Result<CallId, Failure> {
        let bytes = payload.len();
        let now = now_ns();
        self.looked_at.other_work += 1;
        let call = self.dispatch.external(now, function, timeout, payload, bytes, reply);
        self.run_actions(now);
        call
    }

    /// The client of this call has left.
    pub fn cancel(&mut self, call: CallId) {
        let now = now_ns();
        self.dispatch.cancel(now, call);
        self.run_actions(now);
    }

    /// Changes functions, and does what follows from it.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Dispatch<Payload, Reply>, u64) -> T) -> T {
        let now = now_ns();
        let result = change(&mut self.dispatch, now);
        self.run_actions(now);
        result
    }

    /// Payloads that went by the arena since the engine started.
    pub fn arena_payloads(&self) -> u64 {
        self.arena_payloads
    }

    /// The connected containers.
    pub fn containers(&mut self) -> Vec<ContainerStatus> {
        let status = |container: &mut Container| ContainerStatus {
            function: container.identity.name.clone(),
            launch: container.identity.launch,
            pid: container.pid,
            workers: container.channels.iter().flatten().count(),
            blocks: container.arena.allocated(),
            arena_used_bytes: container.arena.used_bytes(),
            arena_mapped_bytes: container.arena.mapped_bytes(),
        };
        self.containers.values_mut().map(status).collect()
    }

    /// Tells every container to end: no call is under way any more.
    pub fn shut_down_containers(&mut self) {
        self.containers.values().for_each(Container::shut_down);
    }

    // Messages from workers.

    pub(super) fn spare_inbox(&mut self) -> Inbox {
        self.spare_inbox.take().unwrap_or_default()
    }

    pub(super) fn keep_inbox(&mut self, inbox: Inbox) {
        self.spare_inbox = Some(inbox);
    }

    /// Handles all whole messages that were read from a channel.
    pub(super) fn take_messages(
        &mut self,
        channel: &Rc<Channel>,
        inbox: &mut Inbox,
    ) -> Result<(), Broken> {
        let now = now_ns();
        self.looked_at.other_work += 1;
        let mut result = Ok(());
        while result.is_ok() {
            result = match inbox.take() {
                Ok(Some(message)) => self.message(now, channel, &message),
                Ok(None) => break,
                Err(broken) => Err(broken),
            };
        }
        self.run_actions(now);
        result
    }

    pub(super) fn message(
        &mut self,
        now: u64,
        channel: &Rc<Channel>,
        message: &Message<'_>,
    ) -> Result<(), Broken> {
        let header = &message.header;
        channel.check_unread()?;
        let Some(key) = channel.key.get() else {
            if message.kind == Kind::Ready {
                self.worker_ready(now, channel);
                return Ok(());
            }
            return Err(Broken::Kind(header.kind));
        };
        match message.kind {
            Kind::Invoke => {
                let payload = self.receive(channel, message)?;
                let name =
                    str::from_utf8(message.name).map_err(|_| Broken::Name(message.name.len()))?;
                let bytes = payload.len();
                if payload.body_len() > self.max_body_bytes {
                    return Err(Broken::Lengths {
                        metadata: header.metadata_len,
                        body: header.body_len,
                    });
                }
                let invoke = Invoke {
                    parent: header.parent,
                    tag: header.call,
                    function: header.function,
                    name,
                    waits: header.has(FLAG_WAITS),
                    deadline: header.deadline,
                    payload,
                    bytes,
                };
                self.dispatch.invoke(now, key, invoke)
            }
            Kind::Complete => {
                let payload = self.receive(channel, message)?;
                if payload.body_len() > self.max_body_bytes {
                    return Err(Broken::Lengths {
                        metadata: header.metadata_len,
                        body: header.body_len,
                    });
                }
                self.dispatch.complete(now, key, header.call, ran(header), Ok(payload))
            }
            Kind::Failed => {
                let status = Status::failure_from_wire(header.status)
                    .ok_or(Broken::Status(header.status))?;
                let (metadata, body) =
                    message.inline.split_at_checked(header.metadata_len as usize).ok_or(
                        Broken::Lengths { metadata: header.metadata_len, body: header.body_len },
                    )?;
                let function = self.container_name(channel.container);
                let failure = Failure::decode(status, &function, metadata, body);
                self.dispatch.complete(now, key, header.call, ran(header), Err(failure))
            }
            Kind::Wait => self.dispatch.wait(now, key, header.call, header.parent),
            Kind::Cancel => {
                self.dispatch.cancel_invoke(now, key, header.call);
                Ok(())
            }
            Kind::Ready | Kind::Retire | Kind::Dispatch => Err(Broken::Kind(header.kind)),
        }
    }

    fn receive(&mut self, channel: &Channel, message: &Message<'_>) -> Result<Payload, Broken> {
        Payload::receive(message, |region| {
            self.arena_payloads += 1;
            let container = self.containers.get_mut(&channel.container)?;
            container.arena_used = true;
            container.arena.container_region(region)
        })
    }

    fn container_name(&self, key: ContainerKey) -> String {
        self.containers.get(&key).map(|c| c.identity.name.clone()).unwrap_or_default()
    }

    fn worker_ready(&mut self, now: u64, channel: &Rc<Channel>) {
        let key = self.dispatch.worker_ready(now, channel.container);
        channel.key.set(Some(key));
        if self.channels.len() <= key {
            self.channels.resize(key + 1, None);
        }
        self.channels[key] = Some(channel.clone());
        if let Some(container) = self.containers.get_mut(&channel.container)
            && !std::mem::replace(&mut container.was_ready, true)
            && let Some(launch) = container.identity.launch
        {
            self.tell(ContainerEvent::Ready { launch });
        }
    }

    /// A channel is over.
    pub(super) fn channel_ended(&mut self, channel: &Rc<Channel>, ending: Ending) {
        let name = self.container_name(channel.container);
        let text = match &ending {
            Ending::Closed => format!("the worker of {name} that ran it has ended"),
            Ending::Broken(broken) => {
                format!("the worker of {name} that ran it broke the protocol: {broken}")
            }
        };
        let failure =
            Failure { function: name.clone(), ..Failure::new(Status::ContainerDied, text) };
        self.take_last_words(channel);
        self.close_channel(channel, &failure);
        if let Ending::Broken(broken) = ending {
            say(&format!("{name}: a worker broke the protocol, its process is ended: {broken}"));
            self.lose(channel.container, &failure);
        }
    }

    /// What a worker had put into its ring before it ended counts. In a pipe it was read before the end was.
    fn take_last_words(&mut self, channel: &Rc<Channel>) {
        let now = now_ns();
        // No more than a ring holds: the process may live and write on. A rule broken there is of no interest any more, and
        // neither is what follows it.
        let mut left = RING_LINES as usize;
        while let Ok(taken @ 1..) = self.take_from_ring(now, channel) {
            left = left.saturating_sub(taken);
            if left == 0 {
                break;
            }
        }
    }

    fn close_channel(&mut self, channel: &Rc<Channel>, failure: &Failure) {
        let now = now_ns();
        channel.closed.set(true);
        self.looked_at.forget(channel);
        if let Some(container) = self.containers.get_mut(&channel.container)
            && let Some(slot) = container.channels.get_mut(channel.slot as usize)
        {
            *slot = None;
        }
        match channel.key.take() {
            Some(key) => {
                self.channels[key] = None;
                self.dispatch.not_begun(channel.not_sent());
                self.dispatch.worker_gone(now, key, failure);
            }
            None if self.containers.contains_key(&channel.container) => {
                self.dispatch.worker_failed(now, channel.container);
            }
            None => {}
        }
        self.run_actions(now);
    }

    // Containers come and go.

    /// A process has greeted: it becomes a container, or is refused.
    pub(super) fn admit(
        &mut self,
        hello: &Control,
        names: &[&str],
        pid: i32,
        control: Rc<ControlSocket>,
    ) -> Result<ContainerKey, Refusal> {
        let Admitted { identity, mode, version } = self.tokens.admit(hello, names)?;
        let made = super::arena::Arena::new(self.max_body_bytes);
        let (arena, [container_base, engine_base]) = made.map_err(|error| Refusal {
            text: format!("the engine cannot make shared memory: {error}"),
            hopeless: None,
        })?;
        let now = now_ns();
        let generation = identity.launch.map(|_| identity.generation);
        let key = self.dispatch.container_connected(identity.function, generation, mode);
        let welcome = Control {
            version,
            id: key as u64,
            size: self.max_body_bytes,
            ..Control::new(ControlKind::Welcome)
        };
        control.send(welcome, &identity.name, vec![container_base, engine_base]);
        if let Some(launch) = identity.launch {
            self.tell(ContainerEvent::Connected { launch });
        }
        let kind = match self.dispatch.spec(identity.function).channel {
            ChannelKind::Ring if version < RING_SINCE_VERSION => ChannelKind::Fifo,
            configured => configured,
        };
        let channels = Vec::new();
        let (was_ready, arena_used, may_fail) = (false, false, 0);
        let container = Container {
            identity,
            pid,
            mode,
            version,
            kind,
            arena_used,
            control,
            arena,
            channels,
            was_ready,
            may_fail,
        };
        self.containers.insert(key, container);
        self.run_actions(now);
        Ok(key)
    }

    /// A message on a container's control socket; an error says which rule it broke.
    pub(super) fn control_message(
        &mut self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
        received: &Received,
    ) -> Result<(), String> {
        if !is_expected(received) {
            return Err(format!("unexpected control message {:?}", received.kind));
        }
        let container = self.containers.get_mut(&key).filter(|container| container.is_at(control));
        let Some(container) = container else { return Ok(()) };
        match received.kind {
            ControlKind::RegionRequest => container.grant(&received.control),
            ControlKind::RegionDropped => {
                container.arena.dropped_by_container(received.control.region)
            }
            _ => {
                let Some(left) = container.may_fail.checked_sub(1) else {
                    return Err("more workers failed than were asked for".to_owned());
                };
                container.may_fail = left;
                let name = &container.identity.name;
                say(&format!("{name}: cannot create a worker: {}", received.text));
                let slot = received.control.id as usize;
                let channel = container.channels.get(slot).cloned().flatten();
                if let Some(channel) = channel.filter(|channel| channel.key.get().is_none()) {
                    let failure = Failure::new(Status::Unavailable, received.text.clone());
                    self.close_channel(&channel, &failure);
                }
            }
        }
        Ok(())
    }

    /// A container's process died or left.
    pub(super) fn container_lost(
        &mut self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
        loss: Loss,
    ) {
        let container = self.containers.get(&key).filter(|container| container.is_at(control));
        let Some(container) = container else { return };
        let (name, pid) = (container.identity.name.clone(), container.pid);
        let text = match loss {
            Loss::Died => format!("the process of {name} that ran it (pid {pid}) died"),
            Loss::Left => format!("the process of {name} that ran it (pid {pid}) left the engine"),
            Loss::Broken(text) => {
                say(&format!("{name}: pid {pid} broke the protocol and is ended: {text}"));
                format!("the process of {name} that ran it (pid {pid}) broke the protocol: {text}")
            }
        };
        self.lose(key, &Failure { function: name, ..Failure::new(Status::ContainerDied, text) });
    }

    /// Forgets a container: its calls end with this failure, what is left of it is to be ended.
    fn lose(&mut self, key: ContainerKey, failure: &Failure) {
        let now = now_ns();
        let channels = self.containers.get(&key).map(|container| container.channels.clone());
        for channel in channels.iter().flatten().flatten() {
            self.take_last_words(channel);
        }
        let Some(container) = self.containers.remove(&key) else { return };
        for channel in container.channels.iter().flatten() {
            channel.closed.set(true);
            self.looked_at.forget(channel);
            self.dispatch.not_begun(channel.not_sent());
            if let Some(key) = channel.key.take() {
                self.channels[key] = None;
            }
        }
        self.dispatch.container_gone(now, key, failure);
        if let Some(launch) = container.identity.launch {
            self.tell(ContainerEvent::Gone { launch });
        }
        self.run_actions(now);
    }

    pub(super) fn tell(&self, event: ContainerEvent) {
        // The launcher's side ends only with the engine.
        let _ = self.events.send(event);
    }

    // What the dispatcher wants done.

    pub(super) fn run_actions(&mut self, now: u64) {
        while let Some(action) = self.dispatch.next_action() {
            self.run_action(now, action);
        }
        if let Some(next) = self.dispatch.next_wake(now) {
            self.alarm.set(next);
        }
    }

    fn run_action(&mut self, now: u64, action: Action<Payload, Reply>) {
        match action {
            Action::Dispatch { channel, call, root, caller, deadline, payload } => {
                let Some(channel) = self.channel(channel) else { return };
                let function = caller.unwrap_or(0);
                let name = match caller {
                    Some(id) if channel.is_new_caller(id) => self.dispatch.spec(id).name.clone(),
                    _ => String::new(),
                };
                let header = Header {
                    parent: root,
                    function,
                    deadline,
                    sent_at: now,
                    ..Header::new(Kind::Dispatch, call)
                };
                self.send_payload(
                    now,
                    &channel,
                    header,
                    name.as_bytes(),
                    payload,
                    IfNoRoom::EndCall(call),
                );
            }
            Action::Deliver { channel, tag, function, outcome } => {
                let Some(channel) = self.channel(channel) else { return };
                match outcome {
                    Ok(payload) => {
                        let header = Header {
                            function: function.unwrap_or(0),
                            sent_at: now,
                            ..Header::new(Kind::Complete, tag)
                        };
                        let if_no_room = IfNoRoom::FailAnswer { tag, function };
                        self.send_payload(now, &channel, header, b"", payload, if_no_room);
                    }
                    Err(failure) => {
                        channel.send_failure(tag, function, &failure);
                        self.expect(&channel);
                    }
                }
            }
            // The client may have left in the meantime.
            Action::Respond { reply, outcome } => drop(reply.send(outcome)),
            Action::Cancel { channel, call } => {
                if let Some(channel) = self.channel(channel) {
                    channel.cancel(call);
                }
            }
            Action::CreateWorker { container } => self.create_worker(now, container),
            Action::Retire { channel } => {
                if let Some(channel) = self.channel(channel) {
                    channel.retire();
                }
            }
            Action::Trim { container } => {
                if let Some(container) = self.containers.get_mut(&container) {
                    container.trim();
                }
            }
            Action::Replace { container } => {
                if let Some(launch) = self.launch(container) {
                    self.tell(ContainerEvent::Replace { launch });
                }
            }
            Action::Leave { container } => {
                if let Some(container) = self.containers.get(&container)
                    && let Some(launch) = container.identity.launch
                {
                    container.shut_down();
                    self.tell(ContainerEvent::Leaves { launch });
                }
            }
            Action::Quarantined { function, input, deaths } => {
                let (name, s) = (&self.dispatch.spec(function).name, REFUSE_FOR_NS / 1_000_000_000);
                say(&format!(
                    "{name}: the input {input:016x} was under way at {deaths} deaths of its processes: it is refused for {s} s"
                ));
            }
            Action::Serves { function, generation } => {
                self.tell(ContainerEvent::Serves { function, generation });
            }
            Action::End { container } => {
                if let Some(launch) = self.launch(container) {
                    self.tell(ContainerEvent::End { launch });
                }
            }
        }
    }

    fn channel(&self, key: ChannelKey) -> Option<Rc<Channel>> {
        self.channels.get(key).cloned().flatten()
    }

    fn launch(&self, key: ContainerKey) -> Option<u64> {
        self.containers.get(&key)?.identity.launch
    }

    fn create_worker(&mut self, now: u64, key: ContainerKey) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        self.channels_made += 1;
        let ends = Ends::create(&self.directory, self.channels_made, container.kind);
        let slot = container.free_slot().ok_or_else(|| io::Error::other("no slot is free"));
        match ends.and_then(|ends| Ok((ends, slot?))) {
            Ok((Ends { to_worker, from_worker, rings }, slot)) => {
                let (rings, file) = rings.unzip();
                let base = container.arena.base.clone();
                let channel =
                    Channel::new(key, slot, container.mode, to_worker.writer, rings, base);
                container.channels[slot as usize] = Some(channel.clone());
                let placement = self.dispatch.spec(container.identity.function).placement;
                let create = Control {
                    id: u64::from(slot),
                    mode: if container.version < RING_SINCE_VERSION { 0 } else { placement as u16 },
                    ..Control::new(ControlKind::CreateWorker)
                };
                let ends = [to_worker.reader, from_worker.writer];
                container.may_fail += 1;
                container.control.send(create, "", ends.into_iter().chain(file).collect());
                if let Some(this) = self.this.upgrade() {
                    spawn_local(channel::read(this, channel, from_worker.reader));
                }
            }
            Err(error) => {
                say(&format!("{}: cannot create a worker: {error}", container.identity.name));
                self.dispatch.worker_failed(now, key);
            }
        }
    }

    // Time.

    /// Does what the time has come for.
    pub(super) fn advance(&mut self) {
        let now = now_ns();
        self.dispatch.advance(now);
        self.run_actions(now);
    }
}

/// When the handler ran, as its answer says.
fn ran(answer: &Header) -> Ran {
    Ran { began_at: answer.parent, ended_at: answer.deadline }
}
