//! Reads a function's log as the launcher keeps it: the current file, and the one before it.

use nightcore_runtime::protocol::CallId;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A line of a log: `TIME PID CALL TEXT`, where `-` stands for an unknown call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The time at which it was printed, in UTC.
    pub(super) time: &'a [u8],
    /// The process that printed it.
    pub(super) pid: i32,
    /// The call that it belongs to.
    pub(super) call: Option<CallId>,
    /// The text that was printed.
    pub(super) text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Parses a line, with or without its end.
    pub(super) fn parse(line: &'a [u8]) -> Option<Entry<'a>> {
        let mut parts = line.strip_suffix(b"\n").unwrap_or(line).splitn(4, |byte| *byte == b' ');
        let time = parts.next()?;
        let pid = str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let call = str::from_utf8(parts.next()?).ok()?.parse().ok();
        Some(Entry { time, pid, call, text: parts.next()? })
    }
}

/// A log that is being read.
#[derive(Default)]
pub(super) struct LogFile {
    file: Option<File>,
    /// The beginning of a line whose end has not been written yet.
    part: Vec<u8>,
}

fn same(a: &File, b: &File) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Returns the lines of the log at `path`, and the log, to read further lines. A function that has
/// printed nothing has no log.
pub(super) fn lines(path: &Path) -> io::Result<(Vec<Vec<u8>>, LogFile)> {
    // Opened in this order: if the current file is rotated in between, it is itself the one before.
    let current = File::open(path).ok();
    let before = File::open(path.with_extension("log.1")).ok();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut log = LogFile::default();
    let is_itself = match (&before, &current) {
        (Some(before), Some(current)) => same(before, current)?,
        _ => false,
    };
    for file in before.iter().filter(|_| !is_itself).chain(&current) {
        log.read(file, &mut lines)?;
    }
    log.file = current;
    Ok((lines, log))
}

/// Returns the last lines of the log at `path`.
pub(super) fn last_lines(path: &Path, most: usize) -> io::Result<Vec<Vec<u8>>> {
    let (mut lines, _) = lines(path)?;
    Ok(lines.split_off(lines.len().saturating_sub(most)))
}

impl LogFile {
    /// Appends the complete lines of `file`, from its current position on, to `lines`.
    fn read(&mut self, file: &File, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let mut reader = BufReader::new(file);
        while reader.read_until(b'\n', &mut self.part)? > 0 {
            if self.part.ends_with(b"\n") {
                lines.push(std::mem::take(&mut self.part));
            }
        }
        Ok(())
    }

    /// Returns the lines that were added since the last read, also in files that followed.
    pub(super) fn more(&mut self, path: &Path) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        loop {
            let newest = File::open(path).ok();
            // A rotated file does not grow any more: the rest of it is read before the next file.
            if let Some(file) = self.file.take() {
                let read = self.read(&file, &mut lines);
                self.file = Some(file);
                read?;
            }
            let is_read = |newest: &File| {
                self.file.as_ref().is_some_and(|f| same(f, newest).unwrap_or(false))
            };
            match newest {
                Some(newest) if !is_read(&newest) => self.file = Some(newest),
                _ => return Ok(lines),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_rotated_file_is_read_to_its_end_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Foo.log");
        fs::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(last_lines(&path, 1).unwrap(), [b"two\n"]);
        let (before, mut log) = lines(&path).unwrap();
        assert_eq!(before.concat(), b"one\ntwo\n");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        fs::rename(&path, folder.path().join("Foo.log.1")).unwrap();
        // Longer than the part of the other file that was read.
        fs::write(&path, "four and many more\n").unwrap();
        assert_eq!(lines(&path).unwrap().0.concat(), b"one\ntwo\nthree\nfour and many more\n");
        let mut more = Vec::new();
        more.extend(log.more(&path).unwrap());
        more.extend(log.more(&path).unwrap());
        assert_eq!(more, [&b"three\n"[..], b"four and many more\n"]);
    }

    #[test]
    fn a_line_has_four_parts() {
        let entry = Entry::parse(b"2026-01-02T03:04:05.678Z 42 0000000000000007 a b\n").unwrap();
        assert_eq!((entry.time, entry.pid), (&b"2026-01-02T03:04:05.678Z"[..], 42));
        assert_eq!((entry.call, entry.text), (Some(CallId::new(7)), &b"a b"[..]));
        let entry = Entry::parse(b"2026-01-02T03:04:05.678Z 42 - 0000000000000007 b\n").unwrap();
        assert_eq!((entry.call, entry.text), (None, &b"0000000000000007 b"[..]));
        assert_eq!(Entry::parse(b"2026-01-02T03:04:05.678Z 42 - \n").unwrap().text, b"");
        assert_eq!(Entry::parse(b"cut off"), None);
    }
}
