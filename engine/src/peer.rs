//! Identifies the process at the other end of a Unix socket.

use crate::process_tree::ProcessIdentity;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The socket option `SO_PEERPIDFD` of Linux 6.5 and later.
const SO_PEERPIDFD: i32 = 77;

/// The process that connected to a socket.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The process id; 0 if this engine cannot see the process, which is in another PID namespace.
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    /// The descriptor of the process. It is readable when the process has died.
    pub(crate) pidfd: OwnedFd,
}

impl Peer {
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<Peer> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        let pidfd = match pidfd_of(socket) {
            // The kernel does not know the option. After any other error, for example because the
            // process has ended, the pid may be that of another process.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                pidfd_open(credentials.pid())?
            }
            pidfd => pidfd?,
        };
        Ok(Peer { pid: credentials.pid(), uid: credentials.uid(), pidfd })
    }

    /// Returns the process, its parent, the parent's parent and so on.
    ///
    /// # Errors
    ///
    /// If the process has died, has too many ancestors, is in another PID namespace, or `/proc`
    /// cannot be read.
    pub(crate) fn lineage(&self) -> io::Result<Vec<ProcessIdentity>> {
        self.while_alive(ProcessIdentity::lineage)
    }

    /// Whether the process is this one or a descendant of it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::lineage`].
    pub(crate) fn descends_from(&self, ancestor: ProcessIdentity) -> io::Result<bool> {
        self.while_alive(|process| process.descends_from(ancestor))
    }

    /// Finds something out about the process.
    fn while_alive<T>(&self, find: impl FnOnce(ProcessIdentity) -> io::Result<T>) -> io::Result<T> {
        let found = find(ProcessIdentity::of(self.pid)?)?;
        // Another process can have the pid only if this one has died.
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO)? {
            0 => Ok(found),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "the process has died")),
        }
    }
}

fn pidfd_of(socket: &impl AsFd) -> io::Result<OwnedFd> {
    let mut fd: i32 = -1;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: `fd` has `len` bytes. The kernel writes a descriptor to it or fails.
    let result = unsafe {
        let value = std::ptr::from_mut(&mut fd).cast();
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            value,
            &mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a descriptor for a process. It is readable when the process has died.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or fails.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::{Command, Stdio};

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (a, _b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        let peer = Peer::of(&a).unwrap();
        assert_eq!(
            (peer.pid, peer.uid),
            (std::process::id() as i32, nix::unistd::getuid().as_raw())
        );
        assert_eq!(peer.lineage().unwrap()[0], ProcessIdentity::of(peer.pid).unwrap());
        assert!(pidfd_open(i32::MAX).is_err());
    }

    /// The path of the socket to which the process of another test connects.
    const SOCKET: &str = "NIGHTCORE_TEST_SOCKET";

    #[test]
    #[ignore = "another test runs it in a process of its own"]
    fn connects_and_waits() {
        let _connected = UnixStream::connect(std::env::var(SOCKET).unwrap()).unwrap();
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn a_peer_that_has_died_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "peer::tests::connects_and_waits"])
            .env(SOCKET, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (socket, _) = listener.accept().unwrap();
        let peer = Peer::of(&socket).unwrap();
        assert_eq!(peer.lineage().unwrap()[0].pid, child.id() as i32);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert!(peer.lineage().is_err());
    }
}
