//! Identifies the process at the other end of a control socket.

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The socket option `SO_PEERPIDFD` of Linux 6.5 and later.
const SO_PEERPIDFD: i32 = 77;

/// The process that connected to a socket.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) pid: i32,
    pub(super) uid: u32,
    /// The descriptor of the process. It is readable when the process has died.
    pub(super) pidfd: OwnedFd,
}

impl Peer {
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Peer> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        let pidfd = pidfd_of(socket).or_else(|_| pidfd_open(credentials.pid()))?;
        Ok(Peer { pid: credentials.pid(), uid: credentials.uid(), pidfd })
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
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
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
        assert!(pidfd_open(i32::MAX).is_err());
    }
}
