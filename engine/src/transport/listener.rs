//! The engine's control socket: processes connect to it and greet.

use super::control::ControlSocket;
use super::peer::Peer;
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

/// Time a process has to greet. A process that is being debugged greets at once, too.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound control socket.
pub struct Listener {
    fd: Watched,
    /// How many connections have not greeted, and the most of them: they hold a descriptor each and
    /// are nobody.
    strangers: Rc<Cell<usize>>,
    most: usize,
}

/// A connection that has not greeted.
pub struct Stranger {
    fd: OwnedFd,
    counted: CountedStranger,
}

/// A greeting, and who has sent it.
pub struct Greeting {
    /// The greeting itself.
    pub(crate) hello: Hello,
    /// The process.
    pub(crate) pid: i32,
    /// Readable when the process has died.
    pub(crate) pidfd: OwnedFd,
    /// The connection.
    pub(crate) control: Rc<ControlSocket>,
}

impl Listener {
    /// Binds the control socket, for at most so many connections that have not greeted.
    ///
    /// # Errors
    ///
    /// When something lies at that path already, or it is too long for a socket's.
    pub fn bind(path: &Path, most: usize) -> io::Result<Listener> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&fd, Backlog::MAXCONN)?;
        Ok(Listener { fd: Watched::new(fd, Interest::READABLE)?, strangers: Rc::default(), most })
    }

    /// The next connection; `None` when the runtime ends. Beyond the bound of those that have not
    /// greeted, connections are closed.
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
    /// Waits for its greeting; `None` if it sends none, or is a process of another user.
    pub(crate) async fn greeting(self) -> Option<Greeting> {
        let Stranger { fd, counted } = self;
        let peer = Peer::of(&fd).ok()?;
        if peer.uid != nix::unistd::geteuid().as_raw() {
            return None;
        }
        set_nonblocking(&fd).ok()?;
        let control = ControlSocket::new(fd).ok()?;
        let hello = tokio::time::timeout(GREETING_TIMEOUT, hello(&control)).await.ok()??;
        drop(counted);
        let Peer { pid, pidfd, .. } = peer;
        Some(Greeting { hello, pid, pidfd, control })
    }
}

/// The first message of a connection; `None` if it is no greeting.
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

/// Counts a connection that has not greeted, for as long as it lives.
struct CountedStranger(Rc<Cell<usize>>);

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
