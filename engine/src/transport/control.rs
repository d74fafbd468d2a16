//! The engine's end of a container's control socket, and the process at the other end of it.

use super::outbox::{Outbox, empty_when_writable};
use crate::watched::{Ready, Watched};
use nightcore_runtime::ipc::socket;
use nightcore_runtime::protocol::control::{ControlBuffer, FromContainer};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::task::spawn_local;

/// Most control messages that may wait for a container that does not read its socket. Further
/// messages are dropped.
const MAX_UNSENT: usize = 4096;
/// A dying process closes its socket before its pidfd becomes readable. The engine waits this long
/// for the death before it concludes that the process has closed the socket and lives on.
const DIES_WITHIN: Duration = Duration::from_millis(50);

/// One message with its descriptors.
type WithDescriptors = (ControlBuffer, Vec<OwnedFd>);

/// The engine's end of a control socket.
pub struct ControlSocket {
    fd: Watched,
    outbox: RefCell<Outbox<WithDescriptors>>,
}

impl ControlSocket {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Rc<ControlSocket>> {
        let fd = Watched::new(fd, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Rc::new(ControlSocket { fd, outbox: RefCell::new(Outbox::new(MAX_UNSENT)) }))
    }

    /// Sends a message at once if there is room, or else keeps it in the outbox, behind those that
    /// wait.
    pub(crate) fn send(self: &Rc<Self>, message: ControlBuffer, descriptors: Vec<OwnedFd>) {
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.is_empty() {
            outbox.keep_within_bound((message, descriptors));
            return;
        }
        match self.send_now(&message, &descriptors) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                outbox.keep((message, descriptors));
                spawn_local(self.clone().empty_outbox());
            }
            // The message was sent, or the container is gone. Its pidfd tells of the latter.
            _ => {}
        }
    }

    fn send_now(&self, message: &ControlBuffer, descriptors: &[OwnedFd]) -> io::Result<()> {
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        socket::send_control(self.fd.as_fd(), message, &borrowed)
    }

    async fn empty_outbox(self: Rc<Self>) {
        empty_when_writable(&self.outbox, &self.fd, |(message, descriptors)| {
            self.send_now(message, descriptors)
        })
        .await;
        // Either all messages were sent, or nobody reads the socket any more. In the latter case
        // this closes the descriptors in the outbox.
        self.outbox.borrow_mut().clear();
    }

    /// Waits until a message may have come.
    pub(super) async fn readable(&self) -> io::Result<Ready<'_>> {
        self.fd.readable().await
    }

    /// Receives a message; `None` if the other side has closed the socket.
    pub(super) fn receive(&self) -> io::Result<Option<FromContainer>> {
        let received = socket::receive_control::<FromContainer>(self.fd.as_fd())?;
        // A container has no reason to send descriptors. If any came, they are closed here.
        Ok(received.map(|received| received.message))
    }
}

/// Watches a container's process: what it writes to its control socket, and whether it dies.
pub struct Process {
    control: Rc<ControlSocket>,
    pidfd: Watched,
}

/// An event of a container's process.
pub enum FromProcess {
    /// It sent a message.
    Message(FromContainer),
    /// It is no longer a container.
    Lost(Disconnect),
}

/// Why a process is no longer a container.
#[derive(Debug)]
pub enum Disconnect {
    /// It died.
    Died,
    /// It closed its control socket.
    Left,
    /// It broke a rule of the control socket.
    Broken(String),
}

impl Process {
    /// Watches a process by its control socket and its pidfd.
    pub(crate) fn watch(control: Rc<ControlSocket>, pidfd: OwnedFd) -> Result<Process, Disconnect> {
        match Watched::new(pidfd, Interest::READABLE) {
            Ok(pidfd) => Ok(Process { control, pidfd }),
            Err(_) => Err(Disconnect::Broken("cannot watch its process".into())),
        }
    }

    /// Waits for the next event of the process. If it has died, its death is reported before
    /// messages that it wrote.
    pub(crate) async fn next(&self) -> FromProcess {
        let lost = FromProcess::Lost;
        loop {
            let mut ready = tokio::select! {
                biased;
                _ = self.pidfd.readable() => return lost(Disconnect::Died),
                ready = self.control.readable() => match ready {
                    Ok(ready) => ready,
                    Err(_) => return lost(Disconnect::Left),
                },
            };
            match self.control.receive() {
                Ok(Some(message)) => return FromProcess::Message(message),
                Ok(None) => {
                    let died = tokio::time::timeout(DIES_WITHIN, self.pidfd.readable()).await;
                    return lost(if died.is_ok() { Disconnect::Died } else { Disconnect::Left });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return lost(Disconnect::Broken(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_runtime::ipc::channel::set_nonblocking;
    use nightcore_runtime::protocol::RegionId;
    use nightcore_runtime::protocol::control::{
        FromEngine, NewRegion, RegionGranted, RequestNumber,
    };
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use tokio::runtime::Builder;
    use tokio::task::{LocalSet, yield_now};

    #[test]
    fn messages_for_a_full_socket_are_sent_in_order_while_it_is_read() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (own, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        set_nonblocking(&own).unwrap();
        set_nonblocking(&its).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let control = ControlSocket::new(own).unwrap();
            let reading = control.clone();
            spawn_local(async move { reading.readable().await.map(drop) });
            yield_now().await;
            let sent = 2000;
            for id in 0..sent {
                let request = RequestNumber(id);
                let grant = Ok(NewRegion { region: RegionId::ENGINE_BASE, units: 1 });
                control.send(RegionGranted { request, grant }.write(), Vec::new());
            }
            assert!(!control.outbox.borrow().is_empty(), "the socket has taken all");
            let (mut received, mut turns) = (0, 0);
            while received < sent && turns < 100 * sent {
                turns += 1;
                match socket::receive_control::<FromEngine>(its.as_fd()) {
                    Ok(message) => {
                        let FromEngine::RegionGranted(granted) = message.unwrap().message else {
                            panic!("another message came");
                        };
                        assert_eq!(granted.request, RequestNumber(received));
                        received += 1;
                    }
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                yield_now().await;
            }
            assert_eq!(received, sent);
            assert!(control.outbox.borrow().is_empty());
        });
    }
}
