//! Writes the output of containers to the functions' logs, line by line, and shows it.

use crate::engine_log::show_line;
use crate::wall_clock;
use nightcore_runtime::protocol::CallId;
use nightcore_runtime::protocol::call_id::{LogKey, line_of_call};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest piece of a line. A longer line is cut into pieces, and each piece but the last has a
/// mark.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// Marks a piece that continues in the next line.
const CONTINUES: &[u8] = b"\xe2\x80\xa6";
/// The size from which on a log file is renamed to `.1`. The renamed one is kept until the next one
/// replaces it.
const MAX_LOG_BYTES: u64 = 4 * 1024 * 1024;

/// The size at which gathered lines are written, so that one system call writes some hundred lines.
const WRITE_BYTES: usize = 64 * 1024;
/// The pause between two checks whether a log is still at its path. Lines that are printed within
/// this time after a user has removed the file are lost with it.
const RECHECK_AFTER: Duration = Duration::from_millis(500);

/// Replaces the id in a line that belongs to no call or to an unknown one.
const NO_CALL: &[u8] = b"-";

/// Returns the path of a function's log.
pub fn log_path(directory: &Path, function: &str) -> PathBuf {
    directory.join("logs").join(format!("{function}.log"))
}

/// Whether there are logs in an engine's directory.
pub fn has_logs(directory: &Path) -> bool {
    directory.join("logs").is_dir()
}

/// Returns the functions that have logs, sorted by name.
pub fn logged(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory.join("logs")).into_iter().flatten().flatten();
    let names = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".log")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A line of a container's output, or a piece of one that is too long.
pub(super) struct Line<'a> {
    /// The call to which the line belongs, if it is known.
    call: Option<CallId>,
    text: &'a [u8],
    /// Whether another piece follows.
    continues: bool,
}

/// Creates a key for a container that is about to be started.
pub(super) fn new_log_key() -> io::Result<LogKey> {
    let mut bytes = [0; 8];
    // SAFETY: the pointer and the length describe `bytes`.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // The system returns so few bytes at once, or fails.
    match usize::try_from(got) {
        Ok(len) if len == bytes.len() => Ok(LogKey::of_number(u64::from_ne_bytes(bytes))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Cuts the output of a container into lines.
pub(super) struct Lines {
    /// The key with which the container's runtime marks the call of a line.
    key: LogKey,
    part: Vec<u8>,
    /// The call of the line that is continued.
    call: Option<CallId>,
    goes_on: bool,
}

impl Lines {
    pub(super) fn new(key: LogKey) -> Lines {
        Lines { key, part: Vec::new(), call: None, goes_on: false }
    }

    /// Passes each whole line, or piece of a long line, to `each`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&Line<'_>)) {
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES - self.part.len();
            let end = bytes.iter().take(room).position(|b| *b == b'\n');
            match end {
                Some(at) => {
                    self.part.extend_from_slice(&bytes[..at]);
                    self.give(false, &mut each);
                    bytes = &bytes[at + 1..];
                }
                None => {
                    let taken = bytes.len().min(room);
                    self.part.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if self.part.len() == MAX_LINE_BYTES {
                        self.give(true, &mut each);
                    }
                }
            }
        }
    }

    /// Passes the rest of the output to `each`.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&Line<'_>)) {
        if !self.part.is_empty() {
            self.give(false, &mut each);
        }
    }

    /// Passes the gathered piece to `each`.
    fn give(&mut self, continues: bool, each: &mut impl FnMut(&Line<'_>)) {
        let part = if continues {
            &self.part
        } else {
            self.part.strip_suffix(b"\r").unwrap_or(&self.part)
        };
        let (call, text) =
            if self.goes_on { (self.call, part) } else { line_of_call(part, self.key) };
        each(&Line { call, text, continues });
        (self.call, self.goes_on) = (call, continues);
        self.part.clear();
    }
}

/// A function's log file.
///
/// Each write is tried again after a failure, because its cause may be gone, such as a folder that
/// somebody has removed or a full disk.
pub(super) struct Log {
    function: String,
    path: PathBuf,
    file: Option<Opened>,
    /// Lines that are not written yet.
    unwritten: Vec<u8>,
}

/// A log file that is open.
struct Opened {
    file: File,
    /// The device and inode of the file.
    identity: (u64, u64),
    bytes: u64,
    /// The time at which the file was last seen at its path.
    seen: Instant,
}

impl Log {
    pub(super) fn new(directory: &Path, function: &str) -> Log {
        Log {
            function: function.to_owned(),
            path: log_path(directory, function),
            file: None,
            unwritten: Vec::new(),
        }
    }

    /// Adds a line to the log and shows it. [`Log::flush`] writes it.
    pub(super) fn line(&mut self, pid: i32, line: &Line<'_>) {
        let digits = line.call.map(CallId::digits);
        let text = [line.text, if line.continues { CONTINUES } else { b"" }].concat();
        show_line(&self.function, digits.as_ref().map(|digits| &digits[..]), &text);
        self.note(pid, line.call, &text);
    }

    /// Adds a line to the log without showing it. [`Log::flush`] writes it.
    pub(super) fn note(&mut self, pid: i32, call: Option<CallId>, text: &[u8]) {
        let digits = call.map(CallId::digits);
        let call = digits.as_ref().map_or(NO_CALL, |digits| &digits[..]);
        let (time, pid) = (wall_clock::utc(), pid.to_string());
        self.unwritten.extend([time.as_bytes(), pid.as_bytes(), call, text].join(&b' '));
        self.unwritten.push(b'\n');
        if self.unwritten.len() >= WRITE_BYTES {
            self.flush();
        }
    }

    /// Writes the lines that were added. If the log cannot be written, the lines are lost, because
    /// the functions must not stop for that.
    pub(super) fn flush(&mut self) {
        let lines = std::mem::take(&mut self.unwritten);
        if !lines.is_empty() {
            let _ = self.write(&lines);
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.as_mut().is_some_and(|opened| !opened.is_at(&self.path)) {
            self.file = None;
        }
        if self.file.as_ref().is_some_and(|opened| opened.bytes > MAX_LOG_BYTES) {
            self.set_aside()?;
        }
        let opened = match &mut self.file {
            Some(opened) => opened,
            none => none.insert(Opened::open(&self.path)?),
        };
        opened.append(lines)
    }

    /// Renames a full log. If that fails, the log is emptied: its size must stay bounded.
    fn set_aside(&mut self) -> io::Result<()> {
        let Some(opened) = self.file.take() else { return Ok(()) };
        if std::fs::rename(&self.path, self.path.with_extension("log.1")).is_ok() {
            return Ok(());
        }
        opened.file.set_len(0)
    }
}

impl Opened {
    fn open(path: &Path) -> io::Result<Opened> {
        let open = || OpenOptions::new().create(true).append(true).open(path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Only the folder itself is made here, because only the engine makes its own
                // directory.
                let folder = path.parent().unwrap_or(path);
                DirBuilder::new().mode(0o700).create(folder)?;
                open()?
            }
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Opened { file, identity, bytes: metadata.len(), seen: Instant::now() })
    }

    /// Whether the file is still at this path. It is checked at most twice a second, because lines
    /// may be many.
    fn is_at(&mut self, path: &Path) -> bool {
        if self.seen.elapsed() < RECHECK_AFTER {
            return true;
        }
        self.seen = Instant::now();
        let found = std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        found.is_ok_and(|identity| identity == self.identity)
    }

    /// Appends whole lines, or nothing.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        match written {
            Ok(()) => self.bytes += lines.len() as u64,
            // An incomplete line would be joined with the next one.
            Err(_) => {
                let bytes = self.file.metadata()?.len();
                self.file.set_len(bytes.min(self.bytes))?;
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(usize, bool)> {
        let (mut lines, mut out) = (Lines::new(LogKey::of_number(5)), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, |line| out.push((line.text.len(), line.continues)));
        }
        lines.finish(|line| out.push((line.text.len(), line.continues)));
        out
    }

    #[test]
    fn lines_of_any_length_come_whole_or_in_marked_pieces() {
        assert_eq!(
            lines(&[b"a", b"b\nc\r\n", b"\nd"]),
            [(2, false), (1, false), (0, false), (1, false)]
        );
        let long = vec![b'x'; MAX_LINE_BYTES * 2 + 5];
        assert_eq!(lines(&[&long]), [(MAX_LINE_BYTES, true), (MAX_LINE_BYTES, true), (5, false)]);
        let exact = [vec![b'x'; MAX_LINE_BYTES - 1], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&exact]), [(MAX_LINE_BYTES - 1, false)]);
    }

    #[test]
    fn pieces_of_a_line_are_of_one_call() {
        let long =
            [&b"\x1e00000000000000050000000000000007 "[..], &[b'x'; MAX_LINE_BYTES], b"\r\nnext\n"]
                .concat();
        let (mut lines, mut out) = (Lines::new(LogKey::of_number(5)), Vec::new());
        lines.feed(&long, |line| out.push((line.call, line.text.len(), line.continues)));
        let id = Some(CallId::new(7));
        assert_eq!(out, [(id, MAX_LINE_BYTES - 34, true), (id, 34, false), (None, 4, false)]);
    }

    #[test]
    fn a_log_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        let mut log = Log::new(directory.path(), "Foo");
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..20 {
            log.write(&line).unwrap();
        }
        let bytes: u64 = std::fs::read_dir(directory.path().join("logs"))
            .unwrap()
            .map(|e| e.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= 2 * (MAX_LOG_BYTES + 1024 * 1024), "{bytes}");
    }

    #[test]
    fn a_log_whose_file_is_gone_when_it_is_to_be_set_aside_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::new(directory.path(), "Foo");
        log.write(&vec![b'x'; MAX_LOG_BYTES as usize + 1]).unwrap();
        std::fs::remove_dir_all(directory.path().join("logs")).unwrap();
        for _ in 0..2 {
            let _ = log.write(b"line\n");
        }
        assert_eq!(std::fs::read(log_path(directory.path(), "Foo")).unwrap(), b"line\nline\n");
    }

    #[test]
    fn the_time_is_readable() {
        let now = wall_clock::utc();
        assert_eq!((now.len(), &now[4..5], &now[10..11], &now[23..]), (24, "-", "T", "Z"));
    }
}
