//! Admits containers, and handles their control messages and their end.

use super::drive::read;
use super::news::ContainerEvent;
use super::state::Core;
use crate::address_space::is_unlimited;
use crate::engine_log::log;
use crate::ids::ContainerKey;
use crate::scheduler::{Event, ProcessFate};
use crate::transport::{
    Admitted, ControlOutcome, ControlSocket, Disconnect, Greeting, HandshakeRefusal, NewContainer,
};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::control::{ChannelKind, FromContainer, Refused, Versions};
use nightcore_runtime::protocol::{DIRECT_SINCE_VERSION, Failure, Status};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::task::spawn_local;

impl Core {
    /// Handles a greeting: the process becomes a container, or is refused and told why.
    pub(super) fn greeted(&mut self, greeting: &Greeting) -> Option<ContainerKey> {
        match self.admit(greeting) {
            Ok(key) => Some(key),
            Err(refusal) => {
                self.refuse(&greeting.control, refusal);
                None
            }
        }
    }

    fn admit(&mut self, greeting: &Greeting) -> Result<ContainerKey, HandshakeRefusal> {
        let admitted = self.tokens.admit(&greeting.hello, &greeting.peer)?;
        let Admitted { identity, mode, version } = admitted;
        let (arena, base) = self.connections.make_arena().map_err(|error| HandshakeRefusal {
            text: format!("the engine cannot make shared memory: {error}"),
            hopeless: None,
        })?;
        let now = now_ns();
        let (function, launch) = (identity.function, identity.launch());
        let generation = identity.launched.map(|launched| launched.generation);
        let key = self.scheduler.connect(now, function, generation, mode, &mut self.actions);
        let spec = self.scheduler.spec(function);
        let (kind, exposes_errors) = (spec.channel, spec.exposes_errors);
        let board = self.board.as_ref().filter(|_| version >= DIRECT_SINCE_VERSION);
        let board = board.and_then(|(_, fd)| fd.try_clone().ok());
        // Each direct channel takes address space for two of the largest bodies.
        let has_room = is_unlimited(greeting.peer.pid);
        if board.is_some() && kind == ChannelKind::Ring && launch.is_some() && has_room {
            self.scheduler.allow_direct(key);
        }
        let (pid, control) = (greeting.peer.pid, greeting.control.clone());
        let new = NewContainer {
            key,
            identity,
            pid,
            mode,
            version,
            kind,
            exposes_errors,
            control,
            arena,
        };
        self.connections.welcome(new, base, board);
        if let Some(launch) = launch {
            self.tell(ContainerEvent::Connected { launch });
        }
        self.run_actions(now);
        Ok(key)
    }

    fn refuse(&self, control: &Rc<ControlSocket>, refusal: HandshakeRefusal) {
        let refused = Refused { versions: Versions::OURS, text: refusal.text.clone() };
        control.send(refused.write(), Vec::new());
        if let Some(identity) = refusal.hopeless
            && let Some(launch) = identity.launch()
        {
            self.tell(ContainerEvent::Hopeless { launch, reason: refusal.text });
        }
    }

    /// Handles a control message of a container.
    ///
    /// # Errors
    ///
    /// The rule that the container broke.
    pub(super) fn control_message(
        &mut self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
        message: FromContainer,
    ) -> Result<(), String> {
        match self.connections.said(key, control, message)? {
            ControlOutcome::Nothing => {}
            ControlOutcome::CallerCreated(reader) => {
                if let Some(this) = self.this.upgrade() {
                    spawn_local(read(this, reader));
                }
            }
            ControlOutcome::WorkerFailed { function, channel, reason } => {
                log(&format!("{function}: cannot create a worker: {reason}"));
                if let Some(channel) = channel {
                    self.close_channel(&channel, &Failure::new(Status::Unavailable, reason));
                }
            }
        }
        Ok(())
    }

    /// Handles the end of a container: its process has died or has disconnected.
    pub(super) fn container_lost(
        &mut self,
        key: ContainerKey,
        control: &Rc<ControlSocket>,
        loss: Disconnect,
    ) {
        let Some(container) = self.connections.container_at(key, control) else { return };
        let (name, pid) = (container.identity.name.clone(), container.pid);
        let process = match loss {
            Disconnect::Died => self.processes.fate_of_dead(container.identity.launch()),
            Disconnect::Left | Disconnect::Broken(_) => ProcessFate::Lives,
        };
        let text = match loss {
            Disconnect::Died => format!("the process of {name} that ran it (pid {pid}) died"),
            Disconnect::Left => {
                format!("the process of {name} that ran it (pid {pid}) left the engine")
            }
            Disconnect::Broken(text) => {
                log(&format!("{name}: pid {pid} broke the protocol and is ended: {text}"));
                format!("the process of {name} that ran it (pid {pid}) broke the protocol: {text}")
            }
        };
        let failure = Failure { function: name, ..Failure::new(Status::ContainerDied, text) };
        self.lose(key, &failure, process);
    }

    /// Notes that a launcher was started, and its pidfd.
    pub fn launcher_started(&mut self, pidfd: OwnedFd) {
        self.processes.launcher_started(pidfd);
    }

    /// Notes that the process of this launch has ended.
    pub fn launch_ended(&mut self, launch: u64) {
        self.tokens.revoke(launch);
        if let Some(container) = self.processes.ended(launch) {
            let now = now_ns();
            self.note(now, Event::ProcessEnded { container });
            self.run_actions(now);
        } else if self.connections.containers().any(|c| c.identity.launch() == Some(launch)) {
            self.processes.ended_first(launch);
        }
    }

    /// Notes that the launcher has died, and with it every process that it had started.
    pub fn launcher_died(&mut self) {
        let launches = self.connections.containers().filter_map(|c| c.identity.launch());
        self.processes.launcher_died(launches);
        self.processes.dying().into_iter().for_each(|launch| self.launch_ended(launch));
    }
}
