//! A function's log, as its launcher keeps it: one file, and the one before.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How often more is looked for.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

/// A log that is being read.
pub(super) struct LogFile(Option<File>);

fn same(a: &File, b: &File) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// The last lines of the log at `path`, or all; and the log, to read on from there. A function that has printed nothing has none.
pub(super) fn last_lines(path: &Path, most: Option<usize>) -> io::Result<(Vec<Vec<u8>>, LogFile)> {
    // In this order: when it is set aside in between, it is itself the one before.
    let current = File::open(path).ok();
    let before = File::open(path.with_extension("log.1")).ok();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let is_itself = match (&before, &current) {
        (Some(before), Some(current)) => same(before, current)?,
        _ => false,
    };
    for file in before.iter().filter(|_| !is_itself).chain(&current) {
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            lines.push(std::mem::take(&mut line));
        }
    }
    let skipped = most.map_or(0, |most| lines.len().saturating_sub(most));
    Ok((lines.split_off(skipped), LogFile(current)))
}

impl LogFile {
    /// Writes what comes, until the folder of the log at `path` is gone.
    pub(super) fn follow(mut self, path: &Path, out: &mut impl Write) -> io::Result<()> {
        loop {
            let is_there = path.parent().is_some_and(Path::exists);
            let newest = File::open(path).ok();
            // What was set aside gets nothing more: its rest is read before the next one.
            if let Some(file) = &mut self.0 {
                io::copy(file, out)?;
            }
            if let Some(newest) = newest
                && !self.0.as_ref().is_some_and(|file| same(file, &newest).unwrap_or(false))
            {
                self.0 = Some(newest);
                continue;
            }
            out.flush()?;
            if !is_there {
                return Ok(());
            }
            std::thread::sleep(FOLLOW_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_set_aside_is_read_to_its_end_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Foo.log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let (lines, log) = last_lines(&path, Some(1)).unwrap();
        assert_eq!(lines, [b"two\n"]);
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        fs::rename(&path, folder.path().join("Foo.log.1")).unwrap();
        // Longer than what was read of the other.
        fs::write(&path, "four and many more\n").unwrap();
        let (lines, _) = last_lines(&path, None).unwrap();
        assert_eq!(lines.concat(), b"one\ntwo\nthree\nfour and many more\n");
        // The folder goes when the last line is seen.
        struct Until(Vec<u8>, tempfile::TempDir);
        impl Write for Until {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.extend_from_slice(bytes);
                if self.0.ends_with(b"more\n") {
                    fs::remove_dir_all(self.1.path())?;
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Until(Vec::new(), folder);
        log.follow(&path, &mut out).unwrap();
        assert_eq!(out.0, b"three\nfour and many more\n");
    }
}
