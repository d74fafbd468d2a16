//! The standard output of a command. Its reader may leave, and its disk may be full.
//!
//! `print!` and `eprintln!` panic when a write fails, so clippy forbids them in this crate. A
//! command prints with [`print`], or writes to [`Output`] and passes the result to [`written`].
//! Errors go to standard error through [`nightcore_runtime::stderr::write_stderr`].

use super::exit::{EXIT_OUTPUT, Exit};
use crate::engine_log::visible;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

/// Prints a text to standard output. On a terminal, control characters in the text are made
/// harmless.
///
/// It is not an error if the reader has left, as `head` does: the command goes on without printing,
/// and its exit code reports the result of the rest of its work.
///
/// # Errors
/// If standard output cannot be written to, for example because a disk is full.
pub(super) fn print(text: impl AsRef<[u8]>) -> Result<(), Exit> {
    let text = text.as_ref();
    let shown = if Output.is_terminal() { visible(text) } else { text.into() };
    written(Output.write_all(&shown))
}

/// Turns the result of a write to [`Output`] into the result of a command.
///
/// # Errors
/// If writing failed, unless the reader has left.
pub(super) fn written(result: io::Result<()>) -> Result<(), Exit> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| {
            Exit::new(EXIT_OUTPUT, format!("cannot write to standard output: {error}"))
        }),
    }
}

/// Standard output without a buffer: each error comes from the write that it belongs to.
pub(super) struct Output;

impl Output {
    /// Whether standard output is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether standard output is a pipe or socket whose other end is closed.
    pub(super) fn is_closed(&self) -> bool {
        let out = io::stdout();
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::ZERO);
        polled.is_ok() && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = io::stdout();
        loop {
            match nix::unistd::write(&out, bytes) {
                // The program at the other end may have made a shared pipe or terminal nonblocking.
                Err(nix::Error::EAGAIN) => {
                    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
                    match poll(&mut fds, PollTimeout::NONE) {
                        Ok(_) | Err(nix::Error::EINTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(nix::Error::EINTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
