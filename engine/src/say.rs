//! Messages for the person who runs the engine.
//!
//! Standard error may be a pipe that nobody reads. Neither the engine nor the launcher may ever wait for it: what does
//! not fit is left out.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;

/// A pipe that is writable takes this much at once without waiting.
const CHUNK_BYTES: usize = 4096;

/// Writes a line, with the engine's name before it.
pub fn say(text: &str) {
    show(format!("nightcore: {text}\n").as_bytes());
}

/// Writes these bytes, or as many of them as standard error takes without waiting.
pub fn show(bytes: &[u8]) {
    let error = io::stderr();
    for chunk in bytes.chunks(CHUNK_BYTES) {
        let mut fds = [PollFd::new(error.as_fd(), PollFlags::POLLOUT)];
        let writable = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..));
        if !writable || nix::unistd::write(&error, chunk).is_err() {
            return;
        }
    }
}
