//! Messages for the person who runs the engine, and what functions print: as they are, or in columns for who writes functions
//! and watches (`nightcore dev`).
//!
//! Standard error may be a pipe that nobody reads. Neither the engine nor the launcher may ever wait for it: what does
//! not fit is left out.

mod columns;
mod visible;

pub use columns::{Columns, columns, use_columns};
pub use visible::{indented, visible, visible_json, visible_text};

use crate::wall_clock;
use columns::OWN_NAME;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;
use visible::stderr_is_terminal;

/// A pipe that is writable takes this much at once without waiting.
const CHUNK_BYTES: usize = 4096;

/// Writes a line, with the engine's name before it. Further lines of the text are indented: parts
/// of it may come from outside.
pub fn say(text: &str) {
    let text = indented(text);
    let text = shown(text.as_bytes());
    match columns() {
        Some(columns) => show(&columns.line(&wall_clock::time_of_day(), OWN_NAME, None, &text)),
        None => show(&[OWN_NAME.as_bytes(), b": ", &text, b"\n"].concat()),
    }
}

/// Writes a line that a function printed, with the function's name before it, and the id of the
/// call if it is known. On a terminal it cannot look like the line of another function.
pub fn show_line(function: &str, call: Option<&[u8]>, text: &[u8]) {
    let text = &shown(text);
    if let Some(columns) = columns() {
        show(&columns.line(&wall_clock::time_of_day(), function, call, text));
        return;
    }
    let (space, call) = call.map_or((&b""[..], &b""[..]), |call| (b" ", call));
    show(&[function.as_bytes(), space, call, b" | ", text, b"\n"].concat());
}

/// A text as standard error gets it.
fn shown(text: &[u8]) -> Cow<'_, [u8]> {
    if stderr_is_terminal() { visible(text) } else { Cow::Borrowed(text) }
}

/// Writes these bytes, or as many of them as standard error takes without waiting.
fn show(bytes: &[u8]) {
    let error = io::stderr();
    for chunk in bytes.chunks(CHUNK_BYTES) {
        let mut fds = [PollFd::new(error.as_fd(), PollFlags::POLLOUT)];
        let writable = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..));
        if !writable || nix::unistd::write(&error, chunk).is_err() {
            return;
        }
    }
}
