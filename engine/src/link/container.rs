//! The engine's end of one container: its control socket, its arena, its workers.

use super::arena::{Arena, Block, Told};
use super::channel::Channel;
use super::handshake::Identity;
use super::hub::HubHandle;
use crate::dispatch::{ContainerKey, FunctionId, Generation};
use nightcore_runtime::ipc::socket::{self, Received};
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::protocol::control::{
    ChannelKind, Control, ControlKind, Mode, RING_SINCE_VERSION,
};
use nightcore_runtime::protocol::limits::MAX_WORKERS_PER_CONTAINER;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

/// Most control messages that may wait for a container that does not read its socket; then it is not a container
/// any more.
const MAX_UNSENT_CONTROL: usize = 4096;

/// What the launcher must know of a container.
#[derive(Debug)]
pub enum ContainerEvent {
    /// It has connected.
    Connected {
        /// The launch.
        launch: u64,
    },
    /// Its first worker is ready.
    Ready {
        /// The launch.
        launch: u64,
    },
    /// It was refused, and would be again.
    Hopeless {
        /// The launch.
        launch: u64,
        /// Why.
        reason: String,
    },
    /// Its process has died, or it broke a rule: what is left of it is to be ended.
    Gone {
        /// The launch.
        launch: u64,
    },
    /// It holds a stuck call: start another one beside it.
    Replace {
        /// The launch.
        launch: u64,
    },
    /// All that runs in it is stuck: end it.
    End {
        /// The launch.
        launch: u64,
    },
    /// It was asked to leave.
    Leaves {
        /// The launch.
        launch: u64,
    },
    /// This generation of a function's containers serves: older ones are not started again.
    Serves {
        /// The function.
        function: FunctionId,
        /// The generation.
        generation: Generation,
    },
}

/// One message with its descriptors.
type Outgoing = (Control, String, Vec<OwnedFd>);

/// The engine's end of a control socket.
pub(super) struct ControlSocket {
    fd: OwnedFd,
    unsent: RefCell<VecDeque<Outgoing>>,
}

struct Writer(Rc<ControlSocket>);

impl AsRawFd for Writer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

impl ControlSocket {
    pub(super) fn new(fd: OwnedFd) -> Rc<ControlSocket> {
        Rc::new(ControlSocket { fd, unsent: RefCell::default() })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn send(self: &Rc<Self>, control: Control, text: &str, descriptors: Vec<OwnedFd>) {
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() {
            match send_one(&self.fd, control, text, &descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    unsent.push_back((control, text.to_owned(), descriptors));
                    spawn_local(flush(self.clone()));
                }
                // Sent; or the container is gone, which its pidfd tells.
                _ => {}
            }
        } else if unsent.len() < MAX_UNSENT_CONTROL {
            unsent.push_back((control, text.to_owned(), descriptors));
        }
    }
}

fn send_one(fd: &OwnedFd, control: Control, text: &str, descriptors: &[OwnedFd]) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    socket::send(fd.as_fd(), control, text, &borrowed)
}

async fn flush(control: Rc<ControlSocket>) {
    // SAFETY: `Writer` keeps the socket open for as long as it is registered, and always names the same one.
    let registered =
        unsafe { AsyncFd::register_with_interest(Writer(control.clone()), Interest::WRITABLE) };
    let Ok(fd) = registered else { return };
    loop {
        let Ok(mut ready) = fd.writable().await else { return };
        let mut unsent = control.unsent.borrow_mut();
        while let Some((message, text, descriptors)) = unsent.front() {
            match send_one(&control.fd, *message, text, descriptors) {
                Ok(()) => drop(unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => unsent.clear(),
            }
        }
        if unsent.is_empty() {
            return;
        }
        ready.clear_ready();
    }
}

/// A connected container.
pub(super) struct Container {
    pub(super) identity: Identity,
    pub(super) pid: i32,
    pub(super) mode: Mode,
    /// The version of the protocol that it speaks.
    pub(super) version: u16,
    /// What carries the messages of its channels.
    pub(super) kind: ChannelKind,
    /// Whether payloads went by the arena since its memory was last given back.
    pub(super) arena_used: bool,
    pub(super) control: Rc<ControlSocket>,
    pub(super) arena: Arena,
    /// Its workers, ready or not, by slot.
    pub(super) channels: Vec<Option<Rc<Channel>>>,
    pub(super) was_ready: bool,
    /// How many more workers it may say it could not create: each is told to a person, at a length that is its own choice.
    pub(super) may_fail: u64,
}

impl Container {
    /// Whether it is the one at this socket. A key alone may be another one's by now: a container that broke a rule is
    /// forgotten before its process has ended.
    pub(super) fn is_at(&self, control: &Rc<ControlSocket>) -> bool {
        Rc::ptr_eq(&self.control, control)
    }

    /// A slot that no worker has.
    pub(super) fn free_slot(&mut self) -> Option<u32> {
        let free = self.channels.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.channels.len());
        if slot >= MAX_WORKERS_PER_CONTAINER {
            return None;
        }
        if slot == self.channels.len() {
            self.channels.push(None);
        }
        Some(slot as u32)
    }

    /// Takes a block for this container to read, and tells it about regions first.
    pub(super) fn allocate(&mut self, bytes: u64) -> Result<Block, Failure> {
        let mut told = Vec::new();
        self.arena_used = true;
        let block = self.arena.allocate(bytes, &mut told);
        self.tell(told);
        block
    }

    /// Tells it to end: nothing is under way in it.
    pub(super) fn shut_down(&self) {
        for channel in self.channels.iter().flatten() {
            channel.retire();
        }
        self.control.send(Control::new(ControlKind::Shutdown), "", Vec::new());
    }

    /// Gives the memory of what is free back to the system, on both sides.
    pub(super) fn trim(&mut self) {
        if !std::mem::take(&mut self.arena_used) {
            return;
        }
        let mut told = Vec::new();
        self.arena.trim(&mut told);
        self.tell(told);
        if self.version >= RING_SINCE_VERSION {
            self.control.send(Control::new(ControlKind::Trim), "", Vec::new());
        }
    }

    fn tell(&self, told: Vec<Told>) {
        for told in told {
            match told {
                Told::Added(region, units, file) => {
                    let control = Control {
                        region,
                        size: u64::from(units),
                        ..Control::new(ControlKind::RegionAdded)
                    };
                    self.control.send(control, "", vec![file]);
                }
                Told::Dropped(region) => {
                    let control = Control { region, ..Control::new(ControlKind::RegionDropped) };
                    self.control.send(control, "", Vec::new());
                }
            }
        }
    }

    /// Answers a request for a region.
    pub(super) fn grant(&mut self, request: &Control) {
        let granted = Control { id: request.id, ..Control::new(ControlKind::RegionGranted) };
        match self.arena.grant(request.size) {
            Ok((region, units, file)) => {
                let granted = Control { region, size: u64::from(units), ..granted };
                self.control.send(granted, "", vec![file]);
            }
            Err(failure) => {
                let refused = Control { status: failure.status.number(), ..granted };
                self.control.send(refused, &failure.message, Vec::new());
            }
        }
    }
}

/// Why a container is no longer one.
pub(super) enum Loss {
    /// Its process died.
    Died,
    /// It closed its control socket.
    Left,
    /// It broke a rule of the control socket.
    Broken(String),
}

/// Reads a container's control socket, and watches its process, until either ends.
pub(super) async fn watch(
    hub: HubHandle,
    key: ContainerKey,
    control: Rc<ControlSocket>,
    pidfd: OwnedFd,
) {
    let loss = wait_for_loss(&hub, key, &control, pidfd).await;
    // What the process wrote before it died is ready in its pipes: let it be read first.
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
    hub.borrow_mut().container_lost(key, &control, loss);
}

async fn wait_for_loss(
    hub: &HubHandle,
    key: ContainerKey,
    control: &Rc<ControlSocket>,
    pidfd: OwnedFd,
) -> Loss {
    // SAFETY: the AsyncFd owns the pidfd, which stays open and the same.
    let Ok(pidfd) = (unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }) else {
        return Loss::Broken("cannot watch its process".into());
    };
    // SAFETY: as at `flush`: `Writer` keeps the socket open and always names the same one.
    let registered =
        unsafe { AsyncFd::register_with_interest(Writer(control.clone()), Interest::READABLE) };
    let Ok(socket) = registered else {
        return Loss::Broken("cannot watch its control socket".into());
    };
    loop {
        tokio::select! {
            biased;
            _ = pidfd.readable() => return Loss::Died,
            ready = socket.readable() => {
                let Ok(mut ready) = ready else { return Loss::Left };
                match socket::receive(control.as_fd()) {
                    Ok(Some(received)) => {
                        if let Err(text) = hub.borrow_mut().control_message(key, control, &received) {
                            return Loss::Broken(text);
                        }
                    }
                    Ok(None) => {
                        // A process that is dying closes its socket first: give its death a moment to be seen.
                        let grace = std::time::Duration::from_millis(50);
                        return match tokio::time::timeout(grace, pidfd.readable()).await {
                            Ok(_) => Loss::Died,
                            Err(_) => Loss::Left,
                        };
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    Err(error) => return Loss::Broken(error.to_string()),
                }
            }
        }
    }
}

/// What a container may say after the handshake.
pub(super) fn is_expected(received: &Received) -> bool {
    matches!(
        received.kind,
        ControlKind::RegionRequest | ControlKind::RegionDropped | ControlKind::WorkerFailed
    )
}
