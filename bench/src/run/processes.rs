//! Finds the descendants of a process in `/proc`, and ends them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// The time limit for killed processes to end. They usually end at once. The limit bounds the wait
/// for a process that the kernel does not release.
const END_WITHIN: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(5);

/// The parsed parts of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The id of the process.
    pub pid: i32,
    /// The name of the process's program, at most 15 bytes.
    pub name: String,
    /// The letter of the process's state: R, S, D, Z, …
    pub state: char,
    /// The id of the parent process.
    pub parent: i32,
    /// The CPU time of the children that ended and were waited for, in clock ticks.
    pub ended_children_ticks: u64,
}

/// Parses one line of `/proc/PID/stat`. The name may contain spaces and parentheses, so the last
/// closing parenthesis ends the name.
fn parse_stat(line: &str) -> Option<Stat> {
    let (pid, rest) = line.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    // Fields are numbered as in proc(5), where the state is field 3.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let children_user: u64 = field(16)?.parse().ok()?;
    let children_system: u64 = field(17)?.parse().ok()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        ended_children_ticks: children_user + children_system,
    })
}

/// Returns all processes, except those that end while this function reads `/proc`.
pub fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// Returns the process `root`, if it exists, and all its descendants.
pub fn tree(root: i32) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    let mut found = Vec::new();
    for stat in all() {
        if stat.pid == root {
            found.push(stat);
        } else {
            children.entry(stat.parent).or_default().push(stat);
        }
    }
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for stat in children.remove(&parent).unwrap_or_default() {
            next.push(stat.pid);
            found.push(stat);
        }
    }
    found
}

/// Returns the id of this process.
fn own_pid() -> i32 {
    Pid::this().as_raw()
}

/// The children that other code waits for. These children and their descendants are not orphans.
static KEPT: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn kept() -> MutexGuard<'static, BTreeSet<i32>> {
    // The set is consistent even if another thread panicked while it held the lock.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks a child as one that other code waits for, as long as this value lives.
#[derive(Debug)]
pub struct Kept(i32);

impl Kept {
    /// Marks the child with this id.
    pub fn new(pid: u32) -> Kept {
        let pid = pid.cast_signed();
        kept().insert(pid);
        Kept(pid)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        kept().remove(&self.0);
    }
}

/// Returns the descendants of this process that an engine left behind. Zombies, kept children and
/// the descendants of kept children are left out.
pub fn orphans() -> Vec<Stat> {
    let own = own_pid();
    let kept = kept().clone();
    let children = all().into_iter().filter(|stat| stat.parent == own && !kept.contains(&stat.pid));
    let (dead, alive): (Vec<Stat>, Vec<Stat>) = children.partition(|stat| stat.state == 'Z');
    for stat in dead {
        // An error is ignored, because the process may have been reaped already.
        let _ = waitpid(Pid::from_raw(stat.pid), Some(WaitPidFlag::WNOHANG));
    }
    alive.iter().flat_map(|stat| tree(stat.pid)).filter(|stat| stat.state != 'Z').collect()
}

/// Makes this process the subreaper of its descendants, so that [`end_orphans`] finds every process
/// that an engine left behind.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the kernel send `signal` to a child when its parent ends, even if SIGKILL ends the parent.
/// The child calls this function between fork and exec.
pub fn die_with_parent(parent: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // The parent may have ended before the child called prctl.
    if nix::unistd::getppid().as_raw().cast_unsigned() != parent {
        return Err(Errno::ESRCH.into());
    }
    Ok(())
}

/// Kills all orphans, until none is left.
pub fn end_orphans() {
    let end = Instant::now() + END_WITHIN;
    loop {
        let left = orphans();
        if left.is_empty() || Instant::now() >= end {
            return;
        }
        for stat in left {
            // An error is ignored, because the process may have ended already.
            let _ = kill(Pid::from_raw(stat.pid), Signal::SIGKILL);
        }
        std::thread::sleep(POLL_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_parsed() {
        let line = "12 (a (b) c) S 7 12 12 0 -1 4194560 100 0 0 0 5 6 30 4 20 0 1 0 100 1000 10";
        let expected = Stat {
            pid: 12,
            name: "a (b) c".into(),
            state: 'S',
            parent: 7,
            ended_children_ticks: 34,
        };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat("12 (a"), None);
    }

    #[test]
    fn a_kept_child_is_not_an_orphan() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let is_orphan = || orphans().iter().any(|stat| stat.pid == pid);
        let kept = Kept::new(child.id());
        assert!(!is_orphan());
        drop(kept);
        assert!(is_orphan());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_tree_of_a_process_contains_the_process() {
        assert!(tree(own_pid()).iter().any(|stat| stat.pid == own_pid()));
    }
}
