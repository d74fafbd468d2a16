//! Tells a service manager how the engine does, by the protocol of sd_notify(3), if the manager
//! asks for it.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where a service manager listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Tells it this state, such as `READY=1`; more of them on lines of their own.
pub fn notify(state: &str) {
    if let Some(socket) = std::env::var_os(SOCKET_VARIABLE) {
        // It may have gone; the engine serves on.
        let _ = send(&socket, state);
    }
}

fn send(socket: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagram = UnixDatagram::unbound()?;
    // Nobody waits for a manager that does not read.
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(state.as_bytes(), &address).map(drop)
}
