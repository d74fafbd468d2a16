//! Reads the pipes of the containers' output, and fills the logs.
//!
//! The launcher has one thread, and a container can fill its pipe faster than the launcher can
//! empty it. So the pipes are read in turns, one piece at a time and for a bounded time. After
//! that, orders and deaths are handled first.

use super::output::{Lines, Log};
use nightcore_runtime::protocol::CallId;
use nightcore_runtime::protocol::call_id::LogKey;
use nix::poll::PollFlags;
use nix::unistd::read;
use std::collections::HashMap;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most bytes that are read from one pipe in one turn: 8,000 short lines, whose handling takes
/// some ten milliseconds.
const READ_BYTES: usize = 16 * 1024;
/// The time for which pipes are read before the launcher checks for orders and deaths again. An
/// order may wait for this long.
const READ_FOR: Duration = Duration::from_millis(10);

/// The output of one container.
struct ContainerOutput {
    pid: i32,
    function: String,
    pipe: PipeReader,
    lines: Lines,
    /// The number of unread bytes of output, once the container has ended. Later output is not
    /// read, since a process that outlives the container could print without end.
    left: Option<usize>,
}

/// The outputs of all containers.
pub(super) struct Outputs {
    directory: PathBuf,
    outputs: Vec<ContainerOutput>,
    logs: HashMap<String, Log>,
    /// The index of the output whose turn is next.
    next: usize,
}

impl Outputs {
    pub(super) fn new(directory: &Path) -> Outputs {
        Outputs {
            directory: directory.to_owned(),
            outputs: Vec::new(),
            logs: HashMap::new(),
            next: 0,
        }
    }

    /// Adds the output of a container, which is read from now on. The pipe must be nonblocking.
    pub(super) fn add(&mut self, pid: i32, function: &str, key: LogKey, pipe: PipeReader) {
        let (function, lines) = (function.to_owned(), Lines::new(key));
        self.outputs.push(ContainerOutput { pid, function, pipe, lines, left: None });
    }

    /// Returns the pipes to poll, in an order that is kept until [`Outputs::read`] is called.
    pub(super) fn pipes(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.outputs.iter().map(|output| (output.pipe.as_fd(), PollFlags::POLLIN))
    }

    /// Reads pipes that are ready, in turns and for a bounded time. `ready` has an entry for each
    /// pipe of [`Outputs::pipes`].
    pub(super) fn read(&mut self, ready: &[bool]) {
        let until = Instant::now() + READ_FOR;
        let (count, first) = (self.outputs.len(), self.next);
        for at in (0..count).map(|step| (first + step) % count) {
            if ready.get(at) != Some(&true) {
                continue;
            }
            self.read_piece(at);
            self.next = at + 1;
            if Instant::now() >= until {
                break;
            }
        }
        self.outputs.retain(|output| output.left != Some(0));
        self.next = self.next.min(self.outputs.len());
    }

    /// Reads the output that a container has printed until its end, and then closes its pipe.
    pub(super) fn ended(&mut self, pid: i32) {
        let Some(at) = self.outputs.iter().position(|output| output.pid == pid) else { return };
        let output = &mut self.outputs[at];
        output.left = Some(unread(&output.pipe).unwrap_or(0));
        // In most cases one piece is all of it.
        self.read_piece(at);
        self.outputs.retain(|output| output.left != Some(0));
    }

    /// Reads the output that all containers have printed until now, and no later output.
    pub(super) fn finish(&mut self) {
        for output in &mut self.outputs {
            output.left = output.left.or_else(|| Some(unread(&output.pipe).unwrap_or(0)));
        }
        while !self.outputs.is_empty() {
            (0..self.outputs.len()).for_each(|at| self.read_piece(at));
            self.outputs.retain(|output| output.left != Some(0));
        }
    }

    /// Adds the engine's lines about a function to the function's log.
    pub(super) fn note(&mut self, function: &str, pid: i32, lines: &[(Option<u64>, String)]) {
        let log = log(&mut self.logs, &self.directory, function);
        for (call, text) in lines {
            log.note(pid, call.map(CallId::new), text.as_bytes());
        }
        log.flush();
    }

    /// Reads a piece of an output. Sets `left` to 0 if there is no more to read.
    fn read_piece(&mut self, at: usize) {
        let output = &mut self.outputs[at];
        let mut bytes = [0; READ_BYTES];
        let most = output.left.unwrap_or(READ_BYTES).min(READ_BYTES);
        let got = match read(&output.pipe, &mut bytes[..most]) {
            Ok(got) => got,
            Err(nix::Error::EINTR) => return,
            Err(nix::Error::EAGAIN) if output.left.is_none() => return,
            Err(_) => 0,
        };
        let log = log(&mut self.logs, &self.directory, &output.function);
        let pid = output.pid;
        output.lines.feed(&bytes[..got], |line| log.line(pid, line));
        output.left = match output.left {
            _ if got == 0 => Some(0),
            left => left.map(|left| left.saturating_sub(got)),
        };
        if output.left == Some(0) {
            output.lines.finish(|line| log.line(pid, line));
        }
        log.flush();
    }
}

fn log<'a>(logs: &'a mut HashMap<String, Log>, directory: &Path, function: &str) -> &'a mut Log {
    logs.entry(function.to_owned()).or_insert_with(|| Log::new(directory, function))
}

/// Returns the number of bytes in a pipe.
fn unread(pipe: &PipeReader) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which `count` is.
    let asked = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if asked < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}
