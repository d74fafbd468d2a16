//! What is asked of the system for connections of clients.

use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Has every connection that this socket accepts ended when its client takes nothing of what it is sent for so long, whether
/// it is gone or does not want it.
pub fn end_who_takes_nothing(listener: &impl AsFd, after: Duration) -> io::Result<()> {
    let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    Ok(setsockopt(listener, TcpUserTimeout, &millis)?)
}
