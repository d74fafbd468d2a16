//! Reports the engine's state to a service manager by the protocol of sd_notify(3), if the manager
//! asks for it.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the address of the service manager's socket.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Sends this state, such as `READY=1`. Several states are separated by line breaks.
pub fn notify(state: &str) {
    if let Some(socket) = std::env::var_os(SOCKET_VARIABLE) {
        // The manager may be gone; the engine continues to serve.
        let _ = send(&socket, state);
    }
}

fn send(socket: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagram = UnixDatagram::unbound()?;
    // The engine does not wait for a manager that does not read.
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(state.as_bytes(), &address).map(drop)
}
