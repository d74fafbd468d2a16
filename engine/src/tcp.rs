//! Options and states of the sockets of clients' connections.

use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt::TcpUserTimeout};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// The number of connections that the system holds until they are accepted. It silently drops
/// further ones, whose clients try again after a second. The usual 128 connections arrive at once
/// whenever a proxy or a pool of clients starts. The system's `somaxconn` bounds this number.
const BACKLOG: u32 = 4096;

/// Listens at an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted engine finds lingering connections of the previous one at the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Sets a timeout on every connection that this socket accepts: a connection ends if its client
/// accepts no bytes of an answer for that long, because the client is gone or does not read.
pub fn end_who_takes_nothing(listener: &impl AsFd, after: Duration) -> io::Result<()> {
    let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    Ok(setsockopt(listener, TcpUserTimeout, &millis)?)
}

/// The state of a connection's other end, as far as the system knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It may send more.
    Open,
    /// It has closed its sending direction. Whether it still reads is not known.
    HalfClosed,
    /// It has reset the connection, or closed both directions.
    Gone,
}

/// Queries the state of the peer without reading. Unread bytes do not hide that the peer has closed
/// or reset the connection.
pub fn peer_state(socket: BorrowedFd<'_>) -> PeerState {
    let mut asked = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the pointer is to one `pollfd` that lives until the call returns, and the count is 1.
    let found = unsafe { libc::poll(&raw mut asked, 1, 0) };
    match asked.revents {
        _ if found <= 0 => PeerState::Open,
        told if told & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 => PeerState::Gone,
        _ => PeerState::HalfClosed,
    }
}

/// Returns the number of sent bytes that the peer has not acknowledged.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int, and the pointer is to an int that outlives the call.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if asked == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Sends a few bytes without blocking. Returns the number of bytes that the socket accepted.
pub fn send_now(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    Ok(send(socket.as_raw_fd(), bytes, flags)?)
}

/// Whether a connection could not be accepted because the system lacks descriptors or memory.
pub fn is_shortage(error: &io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| shortages.contains(&code))
}
