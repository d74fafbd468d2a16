//! The ends of a pipe whose bytes only wake.

use crate::ipc::channel;
use crate::ipc::inbox::Filled;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The pipe by which another side is woken: the engine, or the peer of a direct channel.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new(writer: OwnedFd) -> Bell {
        Bell(writer)
    }

    pub(super) fn ring(&self) {
        // A full pipe wakes the reader anyway, and if it is gone there are other signs of that.
        let _ = channel::send(self.0.as_fd(), &[0]);
    }
}

/// Takes the bytes of the bell. They only wake.
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
