//! The launcher process: it starts containers, reads what they print, reaps them. When the engine
//! is gone it ends them all and itself.

use super::cgroup::{Controller, Group, Groups};
use super::children::{become_subreaper, end_all};
use super::end::End;
use super::limits::{limit_data, limit_open_files, set_open_files};
use super::output::{Lines, Log};
use super::wire::{Launch, News, Order, receive_json, send_json};
use crate::config::Limits;
use crate::say::say;
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Bytes read from a container's output at once.
const READ_BYTES: usize = 64 * 1024;
/// How long the launcher tries to end what is left when its engine is gone.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Signals that end the engine, which then tells the launcher what to do.
const ENGINE_S_SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

struct Running {
    launch: u64,
    pid: i32,
    function: String,
    output: Option<PipeReader>,
    lines: Lines,
    group: Group,
}

struct Launcher {
    directory: PathBuf,
    /// The limit of open files that containers get.
    open_files: u64,
    engine: OwnedFd,
    running: Vec<Running>,
    logs: HashMap<String, Log>,
    /// Made when a container with limits is first started.
    groups: Option<Groups>,
    /// Functions of which it was told that a limit does not hold.
    told: HashSet<String>,
}

/// Runs the launcher on the socket with this descriptor, which the engine passed.
pub fn run(socket: i32, directory: &Path, open_files: u64) -> Result<()> {
    // The system names a process after the file it was started by, which is a descriptor's number
    // here.
    nix::sys::prctl::set_name(c"nightcore").context("cannot name the launcher")?;
    // SAFETY: the engine passed this descriptor for this purpose, and nothing else in this process
    // knows it.
    let engine = unsafe { OwnedFd::from_raw_fd(socket) };
    // Not for the containers: their end of it would keep the launcher's death from the engine.
    nix::fcntl::fcntl(&engine, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .context("the launcher is started by the engine only")?;
    become_subreaper().context("cannot become a subreaper")?;
    for ignored in ENGINE_S_SIGNALS {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { signal(ignored, SigHandler::SigIgn) }.context("cannot ignore a signal")?;
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().context("cannot block SIGCHLD")?;
    let deaths = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut launcher = Launcher {
        directory: directory.to_owned(),
        open_files,
        engine,
        running: Vec::new(),
        logs: HashMap::new(),
        groups: None,
        told: HashSet::new(),
    };
    launcher.serve(&deaths)?;
    end_all(None, END_WITHIN);
    launcher.remove_groups();
    Ok(())
}

impl Launcher {
    /// Until the engine is gone.
    fn serve(&mut self, deaths: &SignalFd) -> Result<()> {
        loop {
            let mut fds = vec![
                PollFd::new(self.engine.as_fd(), PollFlags::POLLIN),
                PollFd::new(deaths.as_fd(), PollFlags::POLLIN),
            ];
            let talking: Vec<usize> =
                (0..self.running.len()).filter(|i| self.running[*i].output.is_some()).collect();
            for index in &talking {
                if let Some(output) = &self.running[*index].output {
                    fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
                }
            }
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error).context("poll"),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            for (index, _) in talking.iter().zip(&ready[2..]).filter(|(_, ready)| **ready) {
                self.read_output(*index);
            }
            if ready[1] {
                while let Ok(Some(_)) = deaths.read_signal() {}
                self.reap();
            }
            if ready[0] {
                match receive_json::<Order>(&self.engine) {
                    Ok(Some(order)) => self.obey(order),
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error).context("cannot understand the engine"),
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start(launch) => {
                let number = launch.launch;
                match self.start(launch) {
                    Ok(pid) => self.report(&News::Started { launch: number, pid }),
                    Err(error) => {
                        self.report(&News::CannotStart {
                            launch: number,
                            error: error.to_string(),
                        });
                    }
                }
            }
            Order::Signal { launch, signal } => {
                let running = self.running.iter().find(|running| running.launch == launch);
                if let (Some(running), Ok(signal)) = (running, Signal::try_from(signal)) {
                    let _ = kill(Pid::from_raw(-running.pid), signal);
                }
            }
        }
    }

    fn report(&self, news: &News) {
        // If the engine is gone, the socket says so at the next turn.
        let _ = send_json(&self.engine, news);
    }

    fn start(&mut self, launch: Launch) -> io::Result<i32> {
        let (output, writer) = io::pipe()?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        let mut command = Command::new(&launch.program);
        if let Some(name) = launch.command.first() {
            command.arg0(name);
        }
        command
            .args(launch.command.iter().skip(1))
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&launch.cwd)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let limits = launch.limits.clone();
        let group = self.group(&launch)?;
        let entrances = group.entrances()?;
        let limits_data = limits.memory_bytes.filter(|_| !self.can_limit(Controller::Memory));
        let open_files = self.open_files;
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                for entrance in &entrances {
                    nix::unistd::write(entrance, b"0")?;
                }
                match limits.open_files {
                    Some(most) => limit_open_files(most.into())?,
                    None => set_open_files(open_files)?,
                }
                if let Some(bytes) = limits_data {
                    limit_data(bytes)?;
                }
                for ignored in ENGINE_S_SIGNALS {
                    signal(ignored, SigHandler::SigDfl)?;
                }
                // Should the launcher be killed, its containers go with it; what they forked the
                // engine ends.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                Ok(())
            });
        }
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.end_group(group);
                return Err(error);
            }
        };
        let pid = child.id() as i32;
        let Launch { launch, function, .. } = launch;
        let (output, lines) = (Some(output), Lines::default());
        self.running.push(Running { launch, pid, function, output, lines, group });
        Ok(pid)
    }

    fn can_limit(&self, controller: Controller) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.have(controller))
    }

    /// The groups that hold a container to its limits. Of what cannot be limited here it is told
    /// once.
    fn group(&mut self, launch: &Launch) -> io::Result<Group> {
        let Launch { limits, function, .. } = launch;
        if *limits == (Limits { open_files: limits.open_files, ..Limits::default() }) {
            return Ok(Group::default());
        }
        let groups = self.groups.get_or_insert_with(Groups::find);
        let wanted = [
            (
                limits.memory_bytes.is_some(),
                Controller::Memory,
                "memory is held to by what each process reserves",
            ),
            (limits.cpu_millis.is_some(), Controller::Cpu, "cpus does not hold"),
            (limits.tasks.is_some(), Controller::Tasks, "tasks does not hold"),
        ];
        let lacking = wanted
            .iter()
            .filter(|(is_wanted, controller, _)| *is_wanted && !groups.have(*controller));
        let lacking: Vec<&str> = lacking.map(|(_, _, text)| *text).collect();
        if !lacking.is_empty() && self.told.insert(function.clone()) {
            let lacking = lacking.join(", ");
            say(&format!("{function}: no control groups can be made here: {lacking}"));
        }
        groups.make(&launch.launch.to_string(), limits)
    }

    fn end_group(&mut self, group: Group) {
        if let Some(groups) = &mut self.groups {
            groups.end(group);
        }
    }

    /// What a container's processes were in is removed, at the end of all of them.
    fn remove_groups(&mut self) {
        for running in std::mem::take(&mut self.running) {
            self.end_group(running.group);
        }
        self.groups = None;
    }

    fn read_output(&mut self, index: usize) {
        let mut bytes = [0; READ_BYTES];
        let running = &mut self.running[index];
        let Some(output) = &running.output else { return };
        let read = match nix::unistd::read(output, &mut bytes) {
            Ok(read) => read,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return,
            Err(_) => 0,
        };
        let log = self
            .logs
            .entry(running.function.clone())
            .or_insert_with(|| Log::new(&self.directory, &running.function));
        let pid = running.pid;
        running.lines.feed(&bytes[..read], |line| log.line(pid, line));
        if read == 0 {
            running.lines.finish(|line| log.line(pid, line));
            running.output = None;
        }
    }

    /// Reaps all that has died: containers, and orphans of theirs that this process inherited.
    fn reap(&mut self) {
        loop {
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, End::Exited(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, End::Killed(signal.to_string())),
                Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => {
                    if let Some(groups) = &mut self.groups {
                        groups.remove_ended();
                    }
                    return;
                }
                Ok(_) | Err(_) => continue,
            };
            if let Some(index) = self.running.iter().position(|running| running.pid == pid.as_raw())
            {
                // A container is its process group: it ends with its first process.
                let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
                self.drain(index);
                let running = self.running.swap_remove(index);
                let how = if running.group.ran_out_of_memory() { End::OutOfMemory } else { how };
                self.end_group(running.group);
                self.report(&News::Exited { launch: running.launch, how });
            }
        }
    }

    /// Reads what a container had printed when it ended.
    fn drain(&mut self, index: usize) {
        while let Some(output) = &self.running[index].output {
            let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            if !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..)) {
                break;
            }
            self.read_output(index);
        }
        let running = &mut self.running[index];
        if let Some(log) = self.logs.get_mut(&running.function) {
            let pid = running.pid;
            running.lines.finish(|line| log.line(pid, line));
        }
    }
}
