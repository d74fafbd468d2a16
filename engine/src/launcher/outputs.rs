//! The pipes by which containers print, and the logs that they fill.
//!
//! The launcher has one thread, and a container can fill its pipe faster than the launcher can
//! empty it. So each pipe is read a piece at a time, by turns, and only for a while: then orders
//! and deaths come first again.

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

/// The most bytes that are read from one pipe in one turn: 8,000 short lines, which take some ten
/// milliseconds.
const READ_BYTES: usize = 16 * 1024;
/// How long pipes are read before the launcher checks for orders and deaths again. An order that
/// comes meanwhile waits for that long.
const READ_FOR: Duration = Duration::from_millis(10);

/// The output of one container.
struct ContainerOutput {
    pid: i32,
    function: String,
    pipe: PipeReader,
    lines: Lines,
    /// Once the container has ended: how much of what it printed is still unread. Nothing beyond
    /// that is read, since a process that outlives the container could print without end.
    left: Option<usize>,
}

/// The outputs of all containers.
pub(super) struct Outputs {
    directory: PathBuf,
    outputs: Vec<ContainerOutput>,
    logs: HashMap<String, Log>,
    /// The output whose turn is next.
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

    /// Reads the output of this container from now on. The pipe does not block.
    pub(super) fn add(&mut self, pid: i32, function: &str, key: LogKey, pipe: PipeReader) {
        let (function, lines) = (function.to_owned(), Lines::new(key));
        self.outputs.push(ContainerOutput { pid, function, pipe, lines, left: None });
    }

    /// The pipes to wait for, in an order that stays until [`Outputs::read`] is called.
    pub(super) fn pipes(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.outputs.iter().map(|output| (output.pipe.as_fd(), PollFlags::POLLIN))
    }

    /// Reads pipes that are ready, by turns and only for a while. `ready` has an entry for each of
    /// [`Outputs::pipes`].
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

    /// A container has ended: what it had printed by now is read, and then its pipe is closed.
    pub(super) fn ended(&mut self, pid: i32) {
        let Some(at) = self.outputs.iter().position(|output| output.pid == pid) else { return };
        let output = &mut self.outputs[at];
        output.left = Some(unread(&output.pipe).unwrap_or(0));
        // Mostly that is all of it.
        self.read_piece(at);
        self.outputs.retain(|output| output.left != Some(0));
    }

    /// Reads what containers that have ended had printed, and nothing else.
    pub(super) fn finish(&mut self) {
        for output in &mut self.outputs {
            output.left = output.left.or_else(|| Some(unread(&output.pipe).unwrap_or(0)));
        }
        while !self.outputs.is_empty() {
            (0..self.outputs.len()).for_each(|at| self.read_piece(at));
            self.outputs.retain(|output| output.left != Some(0));
        }
    }

    /// Keeps what the engine says about a function in the function's log.
    pub(super) fn note(&mut self, function: &str, pid: i32, lines: &[(Option<u64>, String)]) {
        let log = log(&mut self.logs, &self.directory, function);
        for (call, text) in lines {
            log.note(pid, call.map(CallId::new), text.as_bytes());
        }
        log.flush();
    }

    /// Reads a piece of an output. Its `left` is 0 when no more is to be read.
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

/// How many bytes are in a pipe.
fn unread(pipe: &PipeReader) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which `count` is.
    let asked = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if asked < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}
