//! Processes as the system shows them.

use crate::wait::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its program and arguments.
    pub arguments: Vec<String>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.arguments.join(" "))
    }
}

/// Sends a signal to a process, which may have ended.
pub fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1, "{pid} is no process of a test");
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Stops a process, and waits until each of its threads has stopped, which happens some time after
/// the signal.
#[track_caller]
pub fn freeze(pid: i32) {
    signal(pid, Signal::SIGSTOP);
    let is_stopped = |thread: &i32| {
        let stat =
            fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" T"))
    };
    wait_until(&format!("{pid} to be stopped"), || thread_ids(pid).iter().all(is_stopped));
}

/// Continues a stopped process.
pub fn thaw(pid: i32) {
    signal(pid, Signal::SIGCONT);
}

/// Returns the living processes that were started with this variable in their environment.
pub fn with_variable(name: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{name}={value}");
    let has_it = |pid: &i32| {
        // The environment of another user's process cannot be read.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    all().into_iter().filter(has_it).filter_map(find).collect()
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the process with this id; `None` if it has ended, whether or not it was reaped.
pub fn find(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain any bytes.
    let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(rest.next()?, "Z" | "X") {
        return None;
    }
    let parent = rest.next()?.parse().ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments =
        arguments.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Some(Process { pid, parent, arguments: arguments.filter(|word| !word.is_empty()).collect() })
}

/// Returns whether the process lives.
pub fn is_alive(pid: i32) -> bool {
    find(pid).is_some()
}

/// Returns whether its main thread sleeps, for whatever reason.
pub fn is_asleep(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S"))
}

/// Returns whether each of its threads sleeps.
pub fn all_sleep(pid: i32) -> bool {
    let sleeps = |thread: &i32| {
        let stat =
            fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" S"))
    };
    thread_ids(pid).iter().all(sleeps)
}

/// The numbers of the system calls that wait for events.
const EPOLL_WAITS: &[libc::c_long] = &[
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

/// Returns whether its main thread waits for events without a timeout.
pub fn waits_without_timeout(pid: i32) -> bool {
    let path = format!("/proc/{pid}/syscall");
    let call = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    // The number of the system call and its arguments, of which the timeout is the fourth.
    let words: Vec<&str> = call.split_whitespace().collect();
    let waits = words[0].parse().is_ok_and(|number| EPOLL_WAITS.contains(&number));
    let timeout = words.get(4).and_then(|word| u64::from_str_radix(&word[2..], 16).ok());
    waits && timeout.map(|ms| ms as i32) == Some(-1)
}

/// Returns the processor time that a process has used, with all its threads; zero if it has ended.
pub fn cpu_time(pid: i32) -> Duration {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid));
    clock.and_then(ClockId::now).map_or(Duration::ZERO, Duration::from)
}

/// Returns how often the threads of a process have gone to sleep, to park or to wait for something
/// else.
pub fn parks(pid: i32) -> usize {
    let of = |thread: i32| {
        let path = format!("/proc/{pid}/task/{thread}/status");
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<usize>().ok()).unwrap_or(0)
    };
    thread_ids(pid).into_iter().map(of).sum()
}

/// Returns the targets of a process's descriptors, as the system names them.
pub fn descriptors(pid: i32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let target = |path: PathBuf| Some(fs::read_link(path).ok()?.to_string_lossy().into_owned());
    entries.flatten().filter_map(|entry| target(entry.path())).collect()
}

/// Returns the number of a process's descriptors. This is fast even if there are very many.
pub fn descriptor_count(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A thread of a process.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its id.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// The file that it reads from, if it is blocked in a `read`, as the system names it.
    pub reads_from: Option<String>,
}

/// Returns the threads of a process; the first is its main thread.
pub fn threads(pid: i32) -> Vec<Thread> {
    let mut ids = thread_ids(pid);
    ids.sort_unstable_by_key(|id| (*id != pid, *id));
    let thread = |id| {
        let name = fs::read_to_string(format!("/proc/{pid}/task/{id}/comm")).unwrap_or_default();
        Thread { id, name: name.trim().to_owned(), reads_from: reads_from(pid, id) }
    };
    ids.into_iter().map(thread).collect()
}

fn thread_ids(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn reads_from(pid: i32, thread: i32) -> Option<String> {
    // The format is "NUMBER ARGUMENT...", or "running" if the thread is in no system call.
    let call = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).ok()?;
    let mut words = call.split_ascii_whitespace();
    if words.next()?.parse::<i64>().ok()? != libc::SYS_read {
        return None;
    }
    let fd = i64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    Some(fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.to_string_lossy().into_owned())
}
