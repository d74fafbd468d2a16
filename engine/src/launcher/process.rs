//! The launcher process: starts and reaps containers, and reads their output. When the engine is
//! gone, it ends all containers and itself.

use super::cgroup::{Controller, Group, Groups};
use super::children::{become_subreaper, end_all_but, end_orphans, reap_any};
use super::end::End;
use super::inherit::{close_descriptors_on_exec, ignore_signals, reset_signals};
use super::limits::{limit_data, limit_open_files, set_open_files};
use super::output::new_log_key;
use super::outputs::Outputs;
use super::wire::{Launch, News, Order, encode, receive_json, send_encoded};
use crate::config::Limits;
use crate::directory::share_logs;
use crate::engine_log::log;
use crate::process_tree::ProcessIdentity;
use anyhow::{Context, Result};
use nightcore_runtime::protocol::control::{LOG_KEY_VARIABLE, TOKEN_VARIABLE};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most processes that are reaped before the launcher checks for orders again: a container can
/// leave behind processes that start others and end, without limit.
const MAX_REAPED: usize = 64;
/// The pause between two searches for orphans while children keep dying. A search takes some
/// microseconds for each child.
const END_ORPHANS_EVERY: Duration = Duration::from_millis(100);
/// The time in which the launcher tries to end all processes when its engine is gone.
const END_WITHIN: Duration = Duration::from_secs(5);

struct RunningContainer {
    launch: u64,
    pid: i32,
    group: Group,
    /// The container's token, which its descendants have in their environments.
    token: Vec<u8>,
}

struct Launcher {
    /// The limit of open files that containers get.
    open_files: u64,
    engine: OwnedFd,
    running: Vec<RunningContainer>,
    outputs: Outputs,
    /// Whether there may be dead children that are not reaped yet.
    has_dead: bool,
    /// The control groups, which are set up when a container with limits is first started.
    groups: Option<Groups>,
    /// The time of the last search for orphans.
    orphans_ended_at: Instant,
    /// The functions for which it was logged that a limit cannot be applied.
    told: HashSet<String>,
}

/// Runs the launcher on the socket with this descriptor, which the engine passed.
pub fn run(socket: i32, directory: &Path, open_files: u64) -> Result<()> {
    // The system names a process after the file it was started from, which is the number of a
    // descriptor here.
    nix::sys::prctl::set_name(c"nightcore").context("cannot name the launcher")?;
    // SAFETY: the engine passed this descriptor for this purpose, and nothing else in this process
    // knows it.
    let engine = unsafe { OwnedFd::from_raw_fd(socket) };
    // This socket above all must not be inherited: a container's copy of it would keep the engine
    // from noticing the launcher's death.
    close_descriptors_on_exec().context("the launcher is started by the engine only")?;
    // The lock is held until the end of this process, because an engine that follows waits for it.
    // The programs of containers do not inherit it.
    let _logs = share_logs(directory).ok();
    become_subreaper().context("cannot become a subreaper")?;
    ignore_signals().context("cannot ignore a signal")?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().context("cannot block SIGCHLD")?;
    let deaths = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut launcher = Launcher {
        open_files,
        engine,
        running: Vec::new(),
        outputs: Outputs::new(directory),
        has_dead: false,
        groups: None,
        orphans_ended_at: Instant::now(),
        told: HashSet::new(),
    };
    launcher.serve(&deaths)?;
    end_all_but(&[], END_WITHIN);
    launcher.outputs.finish();
    launcher.remove_groups();
    Ok(())
}

impl Launcher {
    /// Serves until the engine is gone. Each turn reads the output of containers for a bounded
    /// time, then handles deaths, then one order, so that containers cannot delay an order for
    /// long.
    fn serve(&mut self, deaths: &SignalFd) -> Result<()> {
        loop {
            let mut fds = vec![
                PollFd::new(self.engine.as_fd(), PollFlags::POLLIN),
                PollFd::new(deaths.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(self.outputs.pipes().map(|(pipe, flags)| PollFd::new(pipe, flags)));
            let timeout = if self.has_dead { PollTimeout::ZERO } else { PollTimeout::NONE };
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error).context("poll"),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            self.outputs.read(&ready[2..]);
            if ready[1] {
                while let Ok(Some(_)) = deaths.read_signal() {}
                self.has_dead = true;
            }
            if self.has_dead {
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
                    Ok(process) => self.report(&News::Started { launch: number, process }),
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
            Order::Note { function, pid, lines } => self.outputs.note(&function, pid, &lines),
        }
    }

    fn report(&self, news: &News) {
        // If the engine is gone, the socket reports it in the next turn.
        let _ = encode(news).and_then(|news| send_encoded(&self.engine, &news));
    }

    fn start(&mut self, launch: Launch) -> io::Result<ProcessIdentity> {
        let group = self.group(&launch)?;
        match self.start_in(&launch, &group) {
            Ok(process) => {
                let pid = process.pid;
                let token = launch.env.iter().find(|(name, _)| name == TOKEN_VARIABLE);
                let token = token.map(|(_, token)| token.as_bytes().to_vec()).unwrap_or_default();
                self.running.push(RunningContainer { launch: launch.launch, pid, group, token });
                Ok(process)
            }
            Err(error) => {
                self.end_group(group);
                Err(error)
            }
        }
    }

    /// Starts a container in its group. Returns its process.
    fn start_in(&mut self, launch: &Launch, group: &Group) -> io::Result<ProcessIdentity> {
        let key = new_log_key()?;
        let (output, writer) = io::pipe()?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        let mut command = Command::new(&launch.program);
        // A program that is named by a path gets its absolute path as its name, because the path in
        // the file is relative to another directory than its own. Symbolic links are kept: a Python
        // interpreter finds its virtual environment by the path from which it is started.
        let by_name = launch.command.first().filter(|name| !name.contains('/'));
        if let Some(name) = by_name {
            command.arg0(name);
        }
        command
            .args(launch.command.iter().skip(1))
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| launch.inherits.includes(name.as_bytes())))
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .env(LOG_KEY_VARIABLE, key.digits())
            .current_dir(&launch.cwd)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let limits = launch.limits.clone();
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
                // If the launcher is killed, the kernel kills its containers too. The engine ends
                // the processes that they forked.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                reset_signals()
            });
        }
        let pid = command.spawn()?.id() as i32;
        self.outputs.add(pid, &launch.function, key, output);
        // The process is there until it is reaped, even if it has ended.
        ProcessIdentity::of(pid).inspect_err(|_| {
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
        })
    }

    fn can_limit(&self, controller: Controller) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.have(controller))
    }

    /// Makes the groups that apply a container's limits. For each function, logs once which limits
    /// cannot be applied here.
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
            log(&format!("{function}: no control groups can be made here: {lacking}"));
        }
        groups.make(&launch.launch.to_string(), limits)
    }

    fn end_group(&mut self, group: Group) {
        if let Some(groups) = &mut self.groups {
            groups.end(group);
        }
    }

    /// Removes the groups of all containers, after their processes have ended.
    fn remove_groups(&mut self) {
        for running in std::mem::take(&mut self.running) {
            self.end_group(running.group);
        }
        self.groups = None;
    }

    /// Reaps dead children: containers, and their orphans that this process has inherited.
    fn reap(&mut self) {
        for _ in 0..MAX_REAPED {
            let Some((pid, how)) = reap_any() else {
                self.has_dead = false;
                break;
            };
            if let Some(index) = self.running.iter().position(|running| running.pid == pid) {
                // A container is its process group: the group ends with its first process.
                let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
                self.outputs.ended(pid);
                let running = self.running.swap_remove(index);
                let how = if running.group.ran_out_of_memory() { End::OutOfMemory } else { how };
                self.end_group(running.group);
                self.report(&News::Exited { launch: running.launch, how });
            }
        }
        if let Some(groups) = &mut self.groups {
            groups.remove_ended();
        }
        if !self.has_dead || self.orphans_ended_at.elapsed() >= END_ORPHANS_EVERY {
            let containers: Vec<i32> = self.running.iter().map(|running| running.pid).collect();
            let tokens = self.running.iter().map(|running| &running.token[..]).collect();
            end_orphans(&containers, &tokens);
            self.orphans_ended_at = Instant::now();
        }
    }
}
