//! The children of this process, and the end of them all.

use super::end::End;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::io;
use std::time::{Duration, Instant};

/// Pause between two looks at children that are being ended.
const PAUSE: Duration = Duration::from_millis(2);

/// The processes whose parent this process is, or became as a subreaper.
pub(super) fn children() -> Vec<i32> {
    let own = std::process::id() as i32;
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(own)).collect()
}

/// Whether this is the launcher, its engine, or a descendant of the launcher.
pub(super) fn is_ours(mut pid: i32) -> bool {
    let (own, engine) = (nix::unistd::getpid().as_raw(), nix::unistd::getppid().as_raw());
    loop {
        if pid == own || pid == engine {
            return true;
        }
        match parent_of(pid) {
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Kills and reaps every descendant: as a subreaper this process becomes the parent of what a
/// killed child leaves behind, so it goes on until no child is left, or the time is over.
pub(super) fn end_all(but: Option<i32>, within: Duration) {
    let until = Instant::now() + within;
    loop {
        let children: Vec<i32> = children().into_iter().filter(|pid| Some(*pid) != but).collect();
        if children.is_empty() || Instant::now() >= until {
            return;
        }
        for pid in children {
            // The whole group first: what it forked goes with it.
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Reaps a child that has died: its pid, and how it ended. `None` if no child is dead.
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

/// How a process has ended, by its wait status.
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
