//! Writes messages for the person who runs the engine, and the lines that functions print.
//! `nightcore dev` shows them in columns, for the person who develops functions.
//!
//! Standard error may be a pipe or a terminal that nobody reads. Neither the engine nor the
//! launcher ever waits for it: lines that do not fit are dropped.

mod columns;
mod visible;

pub use columns::{Columns, columns, use_columns};
pub use visible::{indented, visible, visible_json, visible_text};

use crate::wall_clock;
use columns::OWN_NAME;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::OnceLock;
use visible::stderr_is_terminal;

/// A pipe that is writable accepts this many bytes without blocking.
const CHUNK_BYTES: usize = 4096;
/// The path at which this process can open its standard error.
const STDERR: &str = "/proc/self/fd/2";

/// Writes a line that begins with the engine's name. Further lines of the text are indented,
/// because parts of it may come from outside and must not look like lines of the engine.
pub fn log(text: &str) {
    let text = indented(text);
    let text = shown(text.as_bytes());
    match columns() {
        Some(columns) => show(&columns.line(&wall_clock::time_of_day(), OWN_NAME, None, &text)),
        None => show(&[OWN_NAME.as_bytes(), b": ", &text, b"\n"].concat()),
    }
}

/// Writes a line that a function printed. It begins with the function's name and the id of the
/// call, if it is known. On a terminal it cannot look like the line of another function.
pub fn show_line(function: &str, call: Option<&[u8]>, text: &[u8]) {
    let text = &shown(text);
    if let Some(columns) = columns() {
        show(&columns.line(&wall_clock::time_of_day(), function, call, text));
        return;
    }
    let (space, call) = call.map_or((&b""[..], &b""[..]), |call| (b" ", call));
    show(&[function.as_bytes(), space, call, b" | ", text, b"\n"].concat());
}

/// Returns a text in the form in which it is written to standard error.
fn shown(text: &[u8]) -> Cow<'_, [u8]> {
    if stderr_is_terminal() { visible(text) } else { Cow::Borrowed(text) }
}

/// Writes these bytes, or as many of them as standard error accepts without blocking.
fn show(mut bytes: &[u8]) {
    let given = io::stderr();
    let error = nonblocking_stderr().map_or(given.as_fd(), File::as_fd);
    while !bytes.is_empty() {
        let mut fds = [PollFd::new(error, PollFlags::POLLOUT)];
        let writable = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..));
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES)];
        match writable.then(|| nix::unistd::write(error, chunk)) {
            Some(Ok(written @ 1..)) => bytes = &bytes[written..],
            _ => return,
        }
    }
}

/// Opens the terminal or pipe that is standard error once more, so that a write to it never blocks.
/// Other processes share the open file that this process was given, so its flags must not be
/// changed. The new one is nonblocking because a writable terminal or pipe may accept less than a
/// chunk: nobody may read the terminal, or the launcher may have just filled the pipe.
fn nonblocking_stderr() -> Option<&'static File> {
    static OPENED: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        // A file that is opened again would be overwritten from its beginning, and a socket cannot
        // be opened.
        let kind = fs::metadata(STDERR).ok()?.file_type();
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        (kind.is_fifo() || kind.is_char_device()).then(|| options.open(STDERR).ok())?
    };
    OPENED.get_or_init(open).as_ref()
}
