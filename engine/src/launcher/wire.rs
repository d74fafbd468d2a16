//! What engine and launcher say to each other: one JSON value a datagram. Both are the same binary.

use super::end::End;
use crate::config::Limits;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

/// Largest datagram: a command with its environment.
const MAX_BYTES: usize = 160 * 1024;

/// How a container is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) launch: u64,
    pub(super) function: String,
    pub(super) program: PathBuf,
    pub(super) command: Vec<String>,
    pub(super) cwd: PathBuf,
    pub(super) env: Vec<(String, String)>,
    pub(super) limits: Limits,
}

/// Engine to launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    Start(Launch),
    /// Send a signal to all of a container's process group.
    Signal {
        launch: u64,
        signal: i32,
    },
}

/// Launcher to engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum News {
    Started {
        launch: u64,
        pid: i32,
    },
    CannotStart {
        launch: u64,
        error: String,
    },
    /// The container's first process has ended, and the rest of its group with it.
    Exited {
        launch: u64,
        how: End,
    },
}

pub(super) fn send_json(fd: &impl AsFd, value: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other("a command with its environment is too large"));
    }
    send(fd.as_fd().as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// `None` when the other side is gone.
pub(super) fn receive_json<T: DeserializeOwned>(fd: &impl AsFd) -> io::Result<Option<T>> {
    let mut bytes = vec![0; MAX_BYTES];
    let len = match recv(fd.as_fd().as_raw_fd(), &mut bytes, MsgFlags::empty()) {
        Ok(0) | Err(nix::Error::ECONNRESET) => return Ok(None),
        Ok(len) => len,
        Err(error) => return Err(error.into()),
    };
    Ok(Some(serde_json::from_slice(&bytes[..len])?))
}
