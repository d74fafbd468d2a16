//! The messages between engine and launcher: one JSON value in each datagram. Both run the same
//! binary.
//!
//! Paths and variables may contain any bytes, as on the system.

use super::end::End;
use crate::config::{InheritedVariables, Limits};
use crate::process_tree::ProcessIdentity;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The largest datagram: a command with its environment. It must fit into a socket's buffer, whose
/// default size in the kernel is 208 KiB.
const MAX_BYTES: usize = 160 * 1024;

/// The description of a container to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) launch: u64,
    pub(super) function: String,
    pub(super) program: OsString,
    pub(super) command: Vec<String>,
    pub(super) cwd: OsString,
    pub(super) env: Vec<(String, OsString)>,
    /// The variables of the launcher that it gets as well.
    pub(super) inherits: InheritedVariables,
    pub(super) limits: Limits,
}

/// A message from the engine to the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    Start(Launch),
    /// Send a signal to the whole process group of a container.
    Signal {
        launch: u64,
        signal: i32,
    },
    /// Add lines to a function's log, each with the call to which it belongs.
    Note {
        function: String,
        pid: i32,
        lines: Vec<(Option<u64>, String)>,
    },
}

/// A message from the launcher to the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum News {
    Started {
        launch: u64,
        process: ProcessIdentity,
    },
    CannotStart {
        launch: u64,
        error: String,
    },
    /// The container's first process has ended, and the rest of its group was killed.
    Exited {
        launch: u64,
        how: End,
    },
}

/// An encoded message.
pub(super) struct Encoded(Vec<u8>);

/// Encodes a message.
///
/// # Errors
///
/// If it is too large for one datagram.
pub(super) fn encode(value: &impl Serialize) -> io::Result<Encoded> {
    let bytes = serde_json::to_vec(value)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other(format!(
            "its command and env take {} bytes in the order to the launcher, which has at most \
             {MAX_BYTES}; put large values into a file",
            bytes.len()
        )));
    }
    Ok(Encoded(bytes))
}

/// Sends a message.
pub(super) fn send_encoded(fd: &impl AsFd, message: &Encoded) -> io::Result<()> {
    send(fd.as_fd().as_raw_fd(), &message.0, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Receives a message; `None` if the other side is gone.
pub(super) fn receive_json<T: DeserializeOwned>(fd: &impl AsFd) -> io::Result<Option<T>> {
    let mut bytes = vec![0; MAX_BYTES];
    let len = match recv(fd.as_fd().as_raw_fd(), &mut bytes, MsgFlags::empty()) {
        Ok(0) | Err(nix::Error::ECONNRESET) => return Ok(None),
        Ok(len) => len,
        Err(error) => return Err(error.into()),
    };
    Ok(Some(serde_json::from_slice(&bytes[..len])?))
}
