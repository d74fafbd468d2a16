//! The launcher process: it starts containers, reads what they print, reaps them. When the engine
//! is gone it ends them all and itself.

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
/// leave behind processes that start others and end, without end.
const MAX_REAPED: usize = 64;
/// How often orphans are looked for while children die without end: it takes some microseconds for
/// each child that there is.
const END_ORPHANS_EVERY: Duration = Duration::from_millis(100);
/// How long the launcher tries to end what is left when its engine is gone.
const END_WITHIN: Duration = Duration::from_secs(5);

struct RunningContainer {
    launch: u64,
    pid: i32,
    group: Group,
    /// What its descendants have in their environments.
    token: Vec<u8>,
}

struct Launcher {
    /// The limit of open files that containers get.
    open_files: u64,
    engine: OwnedFd,
    running: Vec<RunningContainer>,
    outputs: Outputs,
    /// Whether children may have died that are not reaped yet.
    has_dead: bool,
    /// Made when a container with limits is first started.
    groups: Option<Groups>,
    /// When orphans were looked for last.
    orphans_ended_at: Instant,
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
    // This socket above all: a container's end of it would keep the launcher's death from the
    // engine.
    close_descriptors_on_exec().context("the launcher is started by the engine only")?;
    // Until the end of this process: an engine that follows waits for that. A container's program
    // does not get it.
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
    /// Until the engine is gone. In each turn deaths come first, then one order, then for a while
    /// what containers print: nothing that containers do keeps an order waiting for long.
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
            Order::Note { function, pid, lines } => self.outputs.note(&function, pid, &lines),
        }
    }

    fn report(&self, news: &News) {
        // If the engine is gone, the socket says so at the next turn.
        let _ = encode(news).and_then(|news| send_encoded(&self.engine, &news));
    }

    fn start(&mut self, launch: Launch) -> io::Result<i32> {
        let group = self.group(&launch)?;
        match self.start_in(&launch, &group) {
            Ok(pid) => {
                let token = launch.env.iter().find(|(name, _)| name == TOKEN_VARIABLE);
                let token = token.map(|(_, token)| token.as_bytes().to_vec()).unwrap_or_default();
                self.running.push(RunningContainer { launch: launch.launch, pid, group, token });
                Ok(pid)
            }
            Err(error) => {
                self.end_group(group);
                Err(error)
            }
        }
    }

    /// Starts a container in its group; its pid.
    fn start_in(&mut self, launch: &Launch, group: &Group) -> io::Result<i32> {
        let key = new_log_key()?;
        let (output, writer) = io::pipe()?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        let mut command = Command::new(&launch.program);
        // A program that is named by a path is told its absolute path, as the path in the file is
        // relative to another directory than its own. Links stay: a Python interpreter finds its
        // virtual environment by the path that it is started by.
        let by_name = launch.command.first().filter(|name| !name.contains('/'));
        if let Some(name) = by_name {
            command.arg0(name);
        }
        command
            .args(launch.command.iter().skip(1))
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
                // Should the launcher be killed, its containers go with it; what they forked the
                // engine ends.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                reset_signals()
            });
        }
        let pid = command.spawn()?.id() as i32;
        self.outputs.add(pid, &launch.function, key, output);
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
            log(&format!("{function}: no control groups can be made here: {lacking}"));
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

    /// Reaps what has died: containers, and orphans of theirs that this process inherited.
    fn reap(&mut self) {
        for _ in 0..MAX_REAPED {
            let Some((pid, how)) = reap_any() else {
                self.has_dead = false;
                break;
            };
            if let Some(index) = self.running.iter().position(|running| running.pid == pid) {
                // A container is its process group: it ends with its first process.
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
