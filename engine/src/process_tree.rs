//! Finds out from which processes a process descends, by `/proc`.

use serde::{Deserialize, Serialize};
use std::io;

/// The most ancestors of a peer that are looked at. A wrapper such as `npm start` adds two or
/// three, a user's terminal about ten. A process could have thousands to keep the engine busy.
const MAX_ANCESTORS: usize = 64;
/// How often the ancestors of a process are looked at if one of them ends meanwhile.
const MAX_WALKS: usize = 3;

/// A process. Its pid can become that of another process when it has ended, so the time of its
/// start belongs to its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    /// The time of its start, in clock ticks since the machine was started, as in proc_pid_stat(5).
    started_at: u64,
}

/// The fields of `/proc/PID/stat` that are used here.
struct Stat {
    parent: i32,
    /// The number of threads. It is 0 if the process was reaped while the kernel wrote the file,
    /// and then the parent is 0 as well, whatever it was.
    threads: u32,
    started_at: u64,
}

/// Returns the error of a process that is not there any more.
fn ended(pid: i32) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("process {pid} has ended"))
}

impl Stat {
    fn of(pid: i32) -> io::Result<Stat> {
        // The file of the main thread has the same values. That of the process takes time for each
        // thread, 1 ms for 10,000.
        let path = format!("/proc/{pid}/task/{pid}/stat");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        let stat = Stat::parse(&text);
        let stat = stat.ok_or_else(|| io::Error::other(format!("{path} is {text:?}")))?;
        if stat.threads == 0 { Err(ended(pid)) } else { Ok(stat) }
    }

    fn parse(text: &str) -> Option<Stat> {
        // The name, which is in parentheses, may contain any characters. The state follows it.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let threads = fields.nth(15)?.parse().ok()?;
        Some(Stat { parent, threads, started_at: fields.nth(1)?.parse().ok()? })
    }
}

impl ProcessIdentity {
    /// Returns the process that has this pid now.
    ///
    /// # Errors
    ///
    /// If there is none, or `/proc` cannot be read.
    pub fn of(pid: i32) -> io::Result<ProcessIdentity> {
        Ok(ProcessIdentity { pid, started_at: Stat::of(pid)?.started_at })
    }

    /// Returns the pid of the parent; 0 if the parent is outside of this PID namespace, or there is
    /// none.
    pub(crate) fn parent_pid(self) -> io::Result<i32> {
        let stat = Stat::of(self.pid)?;
        if stat.started_at == self.started_at {
            return Ok(stat.parent);
        }
        Err(ended(self.pid))
    }

    /// Returns the parent; `None` if it is outside of this PID namespace, or there is none. An init
    /// process that is hidden, as by the option `hidepid` of `/proc`, counts as none: it has no
    /// parent. If this process is the init process itself, it is never hidden.
    fn parent(self) -> io::Result<Option<ProcessIdentity>> {
        loop {
            let pid = self.parent_pid()?;
            if pid == 0 {
                return Ok(None);
            }
            let parent = ProcessIdentity::of(pid);
            // If the parent had ended before it was looked at, the process would have another one.
            // A process is only handed on to an ancestor, so this loop ends.
            if self.parent_pid()? == pid {
                return match parent {
                    Err(_) if pid == 1 && std::process::id() != 1 => Ok(None),
                    parent => parent.map(Some),
                };
            }
        }
    }

    /// Returns the process, its parent, the parent's parent and so on.
    ///
    /// # Errors
    ///
    /// If the process has ended, has too many ancestors, or `/proc` cannot be read.
    pub(crate) fn lineage(self) -> io::Result<Vec<ProcessIdentity>> {
        let mut tries = 0;
        loop {
            let mut lineage = Vec::new();
            let walked = self.find_ancestor(MAX_ANCESTORS, |process| {
                lineage.push(process);
                false
            });
            tries += 1;
            match walked {
                Ok(_) => return Ok(lineage),
                Err(error) if tries == MAX_WALKS => return Err(error),
                // An ancestor may have ended meanwhile, and the process has another parent then.
                Err(_) => {}
            }
        }
    }

    /// Whether the process is this one or a descendant of it. Ancestors of that one are not looked
    /// at: they may be hidden from this process.
    ///
    /// # Errors
    ///
    /// Those of [`Self::lineage`].
    pub(crate) fn descends_from(self, ancestor: ProcessIdentity) -> io::Result<bool> {
        self.find_ancestor(MAX_ANCESTORS, |process| process == ancestor)
    }

    /// Looks at the process, its parent, the parent's parent and so on, up to `most` ancestors.
    /// Returns whether one was found.
    ///
    /// # Errors
    ///
    /// If the process has ended, has more ancestors, or `/proc` cannot be read.
    pub(crate) fn find_ancestor(
        self,
        most: usize,
        mut is_it: impl FnMut(ProcessIdentity) -> bool,
    ) -> io::Result<bool> {
        let mut process = self;
        for _ in 0..=most {
            if is_it(process) {
                return Ok(true);
            }
            match process.parent()? {
                Some(parent) => process = parent,
                None => return Ok(false),
            }
        }
        let text = format!("process {} has more than {most} ancestors", self.pid);
        Err(io::Error::other(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    fn own() -> ProcessIdentity {
        ProcessIdentity::of(std::process::id() as i32).unwrap()
    }

    /// Starts a shell that runs a program, prints the program's pid, and waits for it. The program
    /// ends with its standard input.
    fn shell() -> (Child, ProcessIdentity) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<&0; cat <&3 & echo $!; wait"]);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let program = ProcessIdentity::of(line.trim().parse().unwrap()).unwrap();
        (shell, program)
    }

    #[test]
    fn a_process_descends_from_itself_and_its_ancestors_only() {
        let (mut shell, program) = shell();
        let between = ProcessIdentity::of(shell.id() as i32).unwrap();
        for ancestor in [program, between, own()] {
            assert!(program.lineage().unwrap().contains(&ancestor));
            assert!(program.descends_from(ancestor).unwrap());
        }
        assert!(!own().descends_from(between).unwrap());
        assert!(!own().lineage().unwrap().contains(&between));
        let earlier = ProcessIdentity { started_at: between.started_at - 1, ..between };
        assert!(!program.lineage().unwrap().contains(&earlier), "another process had that pid");
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(program.lineage().is_err(), "it has ended");
    }

    #[test]
    fn an_orphan_does_not_descend_from_the_process_that_started_it() {
        let (mut shell, program) = shell();
        let between = ProcessIdentity::of(shell.id() as i32).unwrap();
        let input = shell.stdin.take();
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(!program.lineage().unwrap().contains(&between));
        drop(input);
    }

    #[test]
    fn a_process_that_is_being_reaped_is_never_without_a_parent() {
        for _ in 0..200 {
            let mut child = Command::new("true").spawn().unwrap();
            let pid = child.id() as i32;
            let identity = ProcessIdentity::of(pid).unwrap();
            let reaper = std::thread::spawn(move || child.wait().unwrap());
            while let Ok(parent) = identity.parent_pid() {
                assert_eq!(parent, std::process::id() as i32);
            }
            reaper.join().unwrap();
        }
        // The file of such a process, as the kernel writes it.
        let text = "7 (true) X 0 -1 -1 0 -1 4194380 21 0 0 0 0 0 0 0 20 0 0 0 683752 0 0";
        assert_eq!(Stat::parse(text).unwrap().threads, 0);
    }

    #[test]
    fn a_pid_that_no_process_has_is_nobody() {
        assert!(ProcessIdentity::of(0).is_err());
        assert!(ProcessIdentity::of(i32::MAX).is_err());
    }
}
