//! The ends of a pipe whose bytes serve only to wake.

use crate::ipc::channel;
use crate::ipc::inbox::Filled;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The pipe that wakes another side: the engine, or the peer of a direct channel.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new(writer: OwnedFd) -> Bell {
        Bell(writer)
    }

    pub(super) fn ring(&self) {
        // If the pipe is full, the bytes in it wake the reader anyway. If the reader is gone, that
        // shows in other ways.
        let _ = channel::send(self.0.as_fd(), &[0]);
    }
}

/// Reads the bytes of the bell. They carry no information.
pub(super) fn hear(bell: &impl AsFd) -> io::Result<Filled> {
    let mut bytes = [0; 64];
    loop {
        match nix::unistd::read(bell, &mut bytes) {
            Ok(0) => return Ok(Filled::End),
            Ok(read) => return Ok(Filled::Bytes { drained: read < bytes.len() }),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
