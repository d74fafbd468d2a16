//! The engine's control socket: processes connect to it and become containers.

use super::container::{ContainerEvent, ControlSocket, watch};
use super::hub::HubHandle;
use super::peer::Peer;
use nightcore_runtime::ipc::channel::set_nonblocking;
use nightcore_runtime::ipc::socket::{self, Received};
use nightcore_runtime::protocol::control::{Control, ControlKind};
use nightcore_runtime::protocol::{OLDEST_VERSION, Status, VERSION};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen,
    socket as new_socket,
};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

/// Time a process has to greet. A process that is being debugged greets at once, too.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Most connections that have not greeted yet: they hold a descriptor each and are nobody.
const MAX_STRANGERS: usize = 256;
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound control socket.
pub struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    /// Binds the control socket.
    pub fn bind(path: &Path) -> io::Result<Listener> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&fd, Backlog::MAXCONN)?;
        // SAFETY: the AsyncFd owns the descriptor, which stays open and the same.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Listener(fd.map_err(|error| error.into_parts().1)?))
    }

    /// Accepts containers for ever.
    pub async fn run(self, hub: HubHandle) {
        let strangers = Rc::new(Cell::new(0));
        loop {
            let Ok(mut ready) = self.0.readable().await else { return };
            match accept4(self.0.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK) {
                Ok(fd) => {
                    // SAFETY: a new descriptor that nothing else knows.
                    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                    if strangers.get() < MAX_STRANGERS {
                        let stranger = Stranger::new(&strangers);
                        spawn_local(welcome(hub.clone(), fd, stranger));
                    }
                }
                Err(nix::Error::EAGAIN) => ready.clear_ready(),
                Err(nix::Error::EINTR | nix::Error::ECONNABORTED) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Counts a connection that has not greeted.
struct Stranger(Rc<Cell<usize>>);

impl Stranger {
    fn new(count: &Rc<Cell<usize>>) -> Stranger {
        count.set(count.get() + 1);
        Stranger(count.clone())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn welcome(hub: HubHandle, fd: OwnedFd, stranger: Stranger) {
    let Ok(peer) = Peer::of(&fd) else { return };
    if peer.uid != nix::unistd::geteuid().as_raw() {
        return;
    }
    let Ok(Ok(hello)) = tokio::time::timeout(GREETING_TIMEOUT, greeting(&fd)).await else { return };
    drop(stranger);
    let control = ControlSocket::new(fd);
    let mut lines = hello.text.lines();
    let _library = lines.next();
    let names: Vec<&str> = lines.collect();
    let connected = hub.borrow_mut().admit(&hello.control, &names, peer.pid, control.clone());
    match connected {
        Ok(key) => watch(hub, key, control, peer.pidfd).await,
        Err(refusal) => {
            let refused = Control {
                version: VERSION,
                oldest_version: OLDEST_VERSION,
                status: Status::Refused.number(),
                ..Control::new(ControlKind::Refused)
            };
            control.send(refused, &refusal.text, Vec::new());
            if let Some(identity) = refusal.hopeless
                && let Some(launch) = identity.launch
            {
                hub.borrow_mut().tell(ContainerEvent::Hopeless { launch, reason: refusal.text });
            }
        }
    }
}

async fn greeting(fd: &OwnedFd) -> io::Result<Received> {
    set_nonblocking(fd)?;
    // SAFETY: the borrowed descriptor outlives the AsyncFd, which is dropped at the end of this function.
    let watched = unsafe { AsyncFd::register_with_interest(fd.as_fd(), Interest::READABLE) };
    let watched = watched.map_err(|error| error.into_parts().1)?;
    loop {
        let mut ready = watched.readable().await?;
        match socket::receive(fd.as_fd()) {
            Ok(Some(received)) if received.kind == ControlKind::Hello => return Ok(received),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => return Err(error),
        }
    }
}
