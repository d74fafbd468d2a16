//! The engine's control socket, to which processes connect and send a greeting.

use super::control::ControlSocket;
use crate::peer::Peer;
use crate::watched::Watched;
use nightcore_runtime::ipc::channel::set_nonblocking;
use nightcore_runtime::protocol::control::{FromContainer, Hello};
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

/// How long a process may take to greet. A process in a debugger greets at once, too.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after an accept that failed, for example because no descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound control socket.
pub struct Listener {
    fd: Watched,
    /// How many connections are not known yet, and the bound on them: they have not greeted, or
    /// their greeting is not decided. Each holds a descriptor, and the engine does not know yet
    /// whose it is.
    strangers: Rc<Cell<usize>>,
    most: usize,
}

/// A connection that has not greeted yet.
pub struct Stranger {
    fd: OwnedFd,
    counted: CountedStranger,
}

/// A greeting, and the process that sent it.
pub struct Greeting {
    /// The greeting itself.
    pub(crate) hello: Hello,
    /// The process.
    pub(crate) peer: Peer,
    /// The connection.
    pub(crate) control: Rc<ControlSocket>,
    /// Counts the connection as one of a stranger until it has been admitted or refused.
    pub(crate) counted: CountedStranger,
}

impl Listener {
    /// Binds the control socket. At most `most` connections may be without a greeting at a time.
    ///
    /// # Errors
    ///
    /// If a file with that path exists, or the path is too long for a socket.
    pub fn bind(path: &Path, most: usize) -> io::Result<Listener> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&fd, Backlog::MAXCONN)?;
        Ok(Listener { fd: Watched::new(fd, Interest::READABLE)?, strangers: Rc::default(), most })
    }

    /// Accepts the next connection; `None` when the runtime ends. While too many connections have
    /// not greeted, new ones are closed at once.
    pub(crate) async fn accept(&self) -> Option<Stranger> {
        loop {
            let mut ready = self.fd.readable().await.ok()?;
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            match accept4(self.fd.as_fd().as_raw_fd(), flags) {
                Ok(fd) => {
                    // SAFETY: accept4 succeeded, so this is a new descriptor that nothing else
                    // knows.
                    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                    if self.strangers.get() < self.most {
                        return Some(Stranger {
                            fd,
                            counted: CountedStranger::new(&self.strangers),
                        });
                    }
                }
                Err(nix::Error::EAGAIN) => ready.clear_ready(),
                Err(nix::Error::EINTR | nix::Error::ECONNABORTED) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

impl Stranger {
    /// Waits for the greeting; `None` if none comes in time, or the process belongs to another
    /// user.
    pub(crate) async fn greeting(self) -> Option<Greeting> {
        let Stranger { fd, counted } = self;
        let peer = Peer::of(&fd).ok()?;
        if peer.uid != nix::unistd::geteuid().as_raw() {
            return None;
        }
        set_nonblocking(&fd).ok()?;
        let control = ControlSocket::new(fd).ok()?;
        let hello = tokio::time::timeout(GREETING_TIMEOUT, hello(&control)).await.ok()??;
        Some(Greeting { hello, peer, control, counted })
    }
}

/// Receives the first message of a connection; `None` if it is not a greeting.
async fn hello(control: &ControlSocket) -> Option<Hello> {
    loop {
        let mut ready = control.readable().await.ok()?;
        match control.receive() {
            Ok(Some(FromContainer::Hello(hello))) => return Some(hello),
            Ok(_) => return None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(_) => return None,
        }
    }
}

/// Counts a connection that is not known yet, while this lives.
pub(crate) struct CountedStranger(Rc<Cell<usize>>);

impl CountedStranger {
    fn new(count: &Rc<Cell<usize>>) -> CountedStranger {
        count.set(count.get() + 1);
        CountedStranger(count.clone())
    }
}

impl Drop for CountedStranger {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
