//! What is asked of the system for connections of clients.

use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system holds until they are accepted; the next one is silently dropped, and its client asks again after
/// a second. The usual 128 come at once whenever a proxy or a pool of clients is started. The system's `somaxconn` bounds it.
const BACKLOG: u32 = 4096;

/// Listens at an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // An engine that is started again finds connections of the one before, which linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Has every connection that this socket accepts ended when its client takes nothing of what it is sent for so long, whether
/// it is gone or does not want it.
pub fn end_who_takes_nothing(listener: &impl AsFd, after: Duration) -> io::Result<()> {
    let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    Ok(setsockopt(listener, TcpUserTimeout, &millis)?)
}
