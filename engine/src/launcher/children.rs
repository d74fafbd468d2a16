//! Finds, reaps and ends the children of this process.

use super::end::End;
use crate::process_tree::ProcessIdentity;
use nightcore_runtime::protocol::control::TOKEN_VARIABLE;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

/// The pause between two checks of children that are being ended.
const PAUSE: Duration = Duration::from_millis(2);

/// Returns the children of this process from the kernel's own list, if the kernel keeps one.
fn listed_children() -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let list = std::fs::read_to_string(thread.path().join("children")).ok()?;
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(children)
}

/// Returns the processes whose parent this process is, or has become as a subreaper.
pub(super) fn children() -> Vec<i32> {
    listed_children().unwrap_or_else(found_children)
}

/// Returns the same processes, which it finds among all processes.
fn found_children() -> Vec<i32> {
    let own = std::process::id() as i32;
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent = |pid| ProcessIdentity::of(pid).and_then(ProcessIdentity::parent_pid);
    pids.filter(|pid| parent(*pid).is_ok_and(|parent| parent == own)).collect()
}

/// Whether this is the process of the launcher, of its engine, or of a descendant of either.
pub(super) fn is_ours(pid: i32) -> bool {
    let ours = [nix::unistd::getpid(), nix::unistd::getppid()].map(Pid::as_raw);
    // The engine may be hidden from the launcher, which cannot trace it.
    ours.contains(&pid)
        || ProcessIdentity::of(pid).is_ok_and(|process| {
            let found = process.find_ancestor(usize::MAX, |process| ours.contains(&process.pid));
            found.unwrap_or(false)
        })
}

/// Kills and reaps every descendant but these children. As a subreaper this process becomes the
/// parent of a killed child's own children, so it repeats this until no other child is left, or the
/// time is over.
pub(super) fn end_all_but(spared: &[i32], within: Duration) {
    let until = Instant::now() + within;
    loop {
        let children: Vec<i32> =
            children().into_iter().filter(|pid| !spared.contains(pid)).collect();
        if children.is_empty() || Instant::now() >= until {
            return;
        }
        for pid in children {
            // The whole group is killed first, with the processes that the child forked.
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills orphans of containers: children that are not in `containers`, and whose environment has a
/// token of a container that no longer runs. The children of a killed orphan become children of
/// this process in turn.
pub(super) fn end_orphans(containers: &[i32], tokens: &HashSet<&[u8]>) {
    let orphans = children().into_iter().filter(|pid| !containers.contains(pid));
    for pid in orphans {
        if token_of(pid).is_some_and(|token| !tokens.contains(&token[..])) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Returns the token of the container that a process descends from, if the process has not replaced
/// its environment.
fn token_of(pid: i32) -> Option<Vec<u8>> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|variable| {
        let value = variable.strip_prefix(TOKEN_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        Some(value.to_vec())
    })
}

/// Reaps every dead child except this one.
pub(super) fn reap_all_but(kept: i32) {
    for pid in children().into_iter().filter(|pid| *pid != kept) {
        let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
}

/// Reaps a dead child. Returns its pid and how it ended; `None` if no child is dead.
pub(super) fn reap_any() -> Option<(i32, End)> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes one int, which `status` is. The wrapper of `nix` is not used: it
        // loses the pid of a process that a real-time signal has ended.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            pid @ 1.. => return Some((pid, how(status))),
            _ => return None,
        }
    }
}

/// Converts a wait status.
fn how(status: libc::c_int) -> End {
    if libc::WIFEXITED(status) {
        return End::Exited(libc::WEXITSTATUS(status));
    }
    let number = libc::WTERMSIG(status);
    let signal = match Signal::try_from(number) {
        Ok(signal) => signal.to_string(),
        Err(_) => format!("SIGRTMIN+{}", number - libc::SIGRTMIN()),
    };
    End::Killed { signal, has_core: libc::WCOREDUMP(status) }
}

/// Makes this process the parent of orphaned descendants.
pub(super) fn become_subreaper() -> std::io::Result<()> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes an integer and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_the_children_that_are_found() {
        let mut child = std::process::Command::new("cat");
        let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id() as i32;
        assert!(found_children().contains(&pid));
        // A kernel may be built without the list.
        assert!(listed_children().is_none_or(|children| children.contains(&pid)));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn ours_are_this_process_its_parent_and_its_descendants() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pids =
            [nix::unistd::getpid().as_raw(), nix::unistd::getppid().as_raw(), child.id() as i32];
        assert_eq!(pids.map(is_ours), [true; 3]);
        assert!(!is_ours(0));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
