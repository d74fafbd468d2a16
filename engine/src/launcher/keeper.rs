//! The engine's side of the launcher: it carries out what the supervisor decides.

use super::children;
use super::end::End;
use super::inherit::MANAGER_VARIABLES;
use super::recycling::{Used, memory_of};
use super::supervisor::{History, Supervisor, Task};
use super::wire::{Encoded, Launch, News, Order, encode, receive_json, send_encoded};
use crate::config::{self, Recycle};
use crate::core::{ContainerEvent, CoreHandle};
use crate::directory;
use crate::ids::{FunctionId, Generation};
use crate::premises::Premises;
use crate::say::{columns, say};
use crate::transport::{Emptied, Identity, Launched, Outbox, pidfd_open};
use crate::watched::Watched;
use anyhow::{Context, Result};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::control::{FUNCTION_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::signal::unix::{Signal as Deaths, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How long a dead launcher's containers are looked for.
const END_ORPHANS_WITHIN: Duration = Duration::from_secs(1);
/// How long the launcher may take to tell that a container is gone that was sent SIGKILL.
const KILLED_WITHIN: Duration = Duration::from_secs(2);
/// How long the launcher may take to end when all containers have.
const LAUNCHER_ENDS_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two looks whether it has.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// Pause between two looks for containers that have reached a bound of `recycle`.
const RECYCLE_PAUSE: Duration = Duration::from_secs(1);

/// Pause before a launcher that could not be started is tried again.
const SPAWN_PAUSE: Duration = Duration::from_millis(200);

/// What can be asked about the processes of the functions.
#[derive(Clone)]
pub struct KeeperStatus(Rc<RefCell<Supervisor>>);

impl KeeperStatus {
    /// What is known about the processes of a function.
    pub fn history(&self, function: FunctionId) -> History {
        self.0.borrow().history(function)
    }
}

/// Why the launcher was not told to start a container.
enum NotStarted {
    /// Another try may do better.
    ForNow(String),
    /// No other try would.
    Ever(String),
}

/// The launcher process, as the engine holds it.
struct Launcher {
    child: Child,
    socket: Watched,
    /// Orders that the full socket did not take.
    outbox: RefCell<Outbox<Encoded>>,
}

/// Keeps the containers running.
pub struct Keeper {
    core: CoreHandle,
    directory: PathBuf,
    /// The limit of open files that containers get.
    open_files: u64,
    supervisor: Rc<RefCell<Supervisor>>,
    launcher: Launcher,
    /// Notices of children that die. Beside the launcher these are orphans, which come to the
    /// engine as it is a subreaper, or the init process of an image.
    deaths: Deaths,
    /// Where a container that starts connects to.
    premises: Rc<RefCell<Premises>>,
    /// Children that this process had before it was an engine: a shell that starts programs in the
    /// background, and then becomes the engine by `exec`, leaves them to it.
    inherited: Vec<i32>,
    /// When it is time to look for containers that have reached a bound of `recycle`.
    next_recycle: Interval,
}

impl Keeper {
    /// Starts the launcher. Containers get this limit of open files.
    pub fn start(
        core: CoreHandle,
        directory: &Path,
        open_files: u64,
        premises: Rc<RefCell<Premises>>,
    ) -> Result<Keeper> {
        // Orphans of a launcher that is killed come to the engine, which ends them.
        children::become_subreaper().context("cannot become a subreaper")?;
        let inherited = children::children();
        let supervisor = Rc::new(RefCell::new(Supervisor::new(now_ns())));
        let launcher =
            Launcher::spawn(directory, open_files).context("cannot start the launcher")?;
        launcher.introduce(&core);
        let deaths = signal(SignalKind::child()).context("cannot handle SIGCHLD")?;
        let directory = directory.to_owned();
        let mut next_recycle = interval(RECYCLE_PAUSE);
        // An engine that was held up looks once, not for each time that it has missed.
        next_recycle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Keeper {
            core,
            directory,
            open_files,
            supervisor,
            launcher,
            deaths,
            premises,
            inherited,
            next_recycle,
        })
    }

    /// Starts containers of a new generation of a function.
    pub fn begin(
        &mut self,
        function: FunctionId,
        generation: Generation,
        config: Rc<config::Function>,
    ) {
        // One that was still coming is given up.
        let serving = self.core.borrow().scheduler().serving_generation(function);
        self.retire(function, |other| other != serving && other < generation);
        self.supervisor.borrow_mut().begin(now_ns(), function, generation, config);
    }

    /// Starts no containers of these generations of a function any more.
    pub fn retire(&mut self, function: FunctionId, is_over: impl Fn(Generation) -> bool) {
        let tasks = self.supervisor.borrow_mut().retire(now_ns(), function, is_over);
        self.perform(tasks);
    }

    /// Sets when containers of a function are replaced from now on.
    pub fn set_recycle(&mut self, function: FunctionId, recycle: Recycle) {
        self.supervisor.borrow_mut().set_recycle(function, recycle);
    }

    /// Replaces containers that have reached a bound of `recycle`.
    fn recycle(&mut self) {
        let now = now_ns();
        let functions: Vec<FunctionId> = self.supervisor.borrow().recycled().collect();
        for function in functions {
            let used = self.core.borrow_mut().used_by(function);
            let used = |launch| {
                let (pid, calls) = used.get(&launch).copied()?;
                Some(Used { calls, memory_bytes: memory_of(pid) })
            };
            let tasks = self.supervisor.borrow_mut().recycle(now, function, used);
            self.perform(tasks);
        }
    }

    /// What can be asked while it runs.
    pub fn status(&self) -> KeeperStatus {
        KeeperStatus(self.supervisor.clone())
    }

    /// Keeps containers running until it is dropped.
    pub async fn run(&mut self, events: &mut mpsc::UnboundedReceiver<ContainerEvent>) {
        loop {
            let tasks = self.supervisor.borrow_mut().advance(now_ns());
            self.perform(tasks);
            let due = self.supervisor.borrow().next_due();
            let recycles = self.supervisor.borrow().recycled().next().is_some();
            let tasks = tokio::select! {
                // What a container was told comes before its end: one that was refused for good may
                // end at once.
                biased;
                Some(event) = events.recv() => self.container_event(event),
                news = self.launcher.news() => match news {
                    Some(news) => self.launcher_news(news),
                    None => self.replace_launcher().await,
                },
                () = self.launcher.flush() => Vec::new(),
                _ = self.deaths.recv() => {
                    children::reap_all_but(self.launcher.child.id() as i32);
                    Vec::new()
                }
                () = sleep_until(due) => Vec::new(),
                _ = self.next_recycle.tick(), if recycles => {
                    self.recycle();
                    Vec::new()
                }
            };
            self.perform(tasks);
        }
    }

    /// Ends all containers, first by asking, and the launcher. When `hurry` is there, nobody waits
    /// for containers that take their time.
    pub async fn stop(
        mut self,
        mut events: mpsc::UnboundedReceiver<ContainerEvent>,
        hurry: impl Future<Output = ()>,
    ) {
        let mut hurry = pin!(hurry);
        let mut is_patient = true;
        self.core.borrow_mut().shut_down_containers();
        self.supervisor.borrow_mut().stop(now_ns());
        while !self.supervisor.borrow().is_empty() {
            let tasks = self.supervisor.borrow_mut().advance(now_ns());
            self.perform(tasks);
            let due = self.supervisor.borrow().next_due();
            tokio::select! {
                // What the core tells of containers is of no interest any more.
                Some(_) = events.recv() => {}
                news = self.launcher.news() => drop(match news {
                    Some(news) => self.launcher_news(news),
                    // Its containers end with it, and another one has nothing to do.
                    None => self.launcher_died(),
                }),
                () = self.launcher.flush() => {}
                () = &mut hurry, if is_patient => {
                    is_patient = false;
                    let tasks = self.supervisor.borrow_mut().end_all(now_ns());
                    self.perform(tasks);
                }
                () = sleep_until(due) => {}
                // All that is left was sent SIGKILL.
                () = tokio::time::sleep(KILLED_WITHIN), if due.is_none() => break,
            }
        }
        let Launcher { mut child, socket, .. } = self.launcher;
        drop(socket);
        let pid = child.id() as i32;
        // Without a thread: there may be none to be had.
        let gone = async {
            while matches!(child.try_wait(), Ok(None)) {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        if tokio::time::timeout(LAUNCHER_ENDS_WITHIN, gone).await.is_err() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        children::end_all_but(&self.inherited, END_ORPHANS_WITHIN);
    }

    fn container_event(&mut self, event: ContainerEvent) -> Vec<Task> {
        let now = now_ns();
        let mut supervisor = self.supervisor.borrow_mut();
        match event {
            ContainerEvent::Connected { launch } => {
                supervisor.connected(launch);
                Vec::new()
            }
            ContainerEvent::Ready { launch } => supervisor.ready(now, launch),
            ContainerEvent::NotReady { launch, why } => {
                supervisor.not_ready(launch, why);
                Vec::new()
            }
            ContainerEvent::Hopeless { launch, reason } => supervisor.hopeless(launch, &reason),
            ContainerEvent::Gone { launch, failed } => supervisor.gone(launch, failed),
            ContainerEvent::Replace { launch } => supervisor.replace(now, launch),
            ContainerEvent::End { launch } => supervisor.end(now, launch),
            ContainerEvent::Leaves { launch } => {
                supervisor.leaves(now, launch);
                Vec::new()
            }
            ContainerEvent::Serves { function, generation } => {
                supervisor.retire(now, function, |other| other < generation)
            }
        }
    }

    fn launcher_news(&mut self, news: News) -> Vec<Task> {
        let (launch, how) = match news {
            News::Started { launch, pid } => {
                self.supervisor.borrow_mut().started(launch, pid);
                return Vec::new();
            }
            News::CannotStart { launch, error } => (launch, End::NotStarted(error)),
            News::Exited { launch, how } => (launch, how),
        };
        self.core.borrow_mut().launch_ended(launch);
        self.supervisor.borrow_mut().ended(now_ns(), launch, how)
    }

    /// Ends what is left of a launcher that has died, or that cannot be understood.
    fn launcher_died(&mut self) -> Vec<Task> {
        let _ = self.launcher.child.kill();
        let _ = self.launcher.child.wait();
        children::end_all_but(&self.inherited, END_ORPHANS_WITHIN);
        self.core.borrow_mut().launcher_died();
        self.supervisor.borrow_mut().launcher_died(now_ns())
    }

    async fn replace_launcher(&mut self) -> Vec<Task> {
        say("the launcher died; its containers are started anew");
        let tasks = self.launcher_died();
        loop {
            match Launcher::spawn(&self.directory, self.open_files) {
                Ok(launcher) => {
                    launcher.introduce(&self.core);
                    self.launcher = launcher;
                    return tasks;
                }
                Err(error) => say(&format!("cannot start the launcher: {error}")),
            }
            tokio::time::sleep(SPAWN_PAUSE).await;
        }
    }

    fn perform(&mut self, tasks: Vec<Task>) {
        let mut tasks = VecDeque::from(tasks);
        while let Some(task) = tasks.pop_front() {
            match task {
                Task::Start { launch, function, generation, config } => {
                    let started = self.start_container(launch, function, generation, &config);
                    let mut supervisor = self.supervisor.borrow_mut();
                    tasks.extend(match started {
                        Ok(()) => Vec::new(),
                        Err(NotStarted::ForNow(error)) => {
                            supervisor.ended(now_ns(), launch, End::NotStarted(error))
                        }
                        Err(NotStarted::Ever(error)) => {
                            supervisor.cannot_start(now_ns(), launch, error)
                        }
                    });
                }
                Task::Terminate { launch } => self.signal(launch, Signal::SIGTERM),
                Task::Kill { launch } => self.signal(launch, Signal::SIGKILL),
                Task::Failing { function, generation, reason, is_all } => {
                    let mut core = self.core.borrow_mut();
                    core.generation_failing(function, generation, &reason, is_all);
                }
                Task::SetAside { launch } => self.core.borrow_mut().set_aside(launch),
                Task::Say { text } => say(&text),
                Task::Log { function, pid, lines } => {
                    // Some lines of a bounded length are never too large.
                    let _ = self.launcher.order(&Order::Note { function, pid, lines });
                }
            }
        }
    }

    fn signal(&self, launch: u64, signal: Signal) {
        // A number and a name are never too large.
        let _ = self.launcher.order(&Order::Signal { launch, signal: signal as i32 });
    }

    fn start_container(
        &mut self,
        launch: u64,
        id: FunctionId,
        generation: Generation,
        function: &config::Function,
    ) -> Result<(), NotStarted> {
        self.premises.borrow_mut().look();
        let identity = Identity {
            launched: Some(Launched { launch, generation }),
            function: id,
            name: function.name.clone(),
            program: function.command.first().cloned().unwrap_or_default(),
        };
        let token = self.core.borrow_mut().tokens.issue(identity);
        let token = token
            .map_err(|error| NotStarted::ForNow(format!("no random token to be had: {error}")))?;
        let env = function.env.iter().map(|(name, value)| (name.clone(), value.into()));
        let mut env: Vec<(String, OsString)> = env.collect();
        let socket = directory::control_socket(&self.directory);
        env.push((SOCKET_VARIABLE.into(), socket.into_os_string()));
        env.push((TOKEN_VARIABLE.into(), token.into()));
        env.push((FUNCTION_VARIABLE.into(), function.name.clone().into()));
        let sent = self.launcher.order(&Order::Start(Launch {
            launch,
            function: function.name.clone(),
            program: function.program.clone().into_os_string(),
            command: function.command.clone(),
            cwd: function.cwd.clone().into_os_string(),
            env,
            limits: function.keys.limits.clone(),
        }));
        sent.map_err(|error| {
            self.core.borrow_mut().tokens.revoke(launch);
            NotStarted::Ever(error.to_string())
        })
    }
}

impl Launcher {
    fn spawn(directory: &Path, open_files: u64) -> io::Result<Launcher> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (own, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        nightcore_runtime::ipc::channel::set_nonblocking(&own)?;
        let fd = its.as_raw_fd();
        // The running program, also when another one lies at its path by now. It is opened here:
        // under valgrind that opens the engine, while the link itself, as a program to run, is
        // valgrind.
        let program = File::open("/proc/self/exe")?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg0("nightcore").arg("launcher").arg("--socket").arg(fd.to_string());
        command.arg("--open-files").arg(open_files.to_string());
        if let Some(columns) = columns() {
            command.arg("--columns").arg(columns.name_width().to_string());
        }
        command.arg(directory);
        for name in MANAGER_VARIABLES {
            command.env_remove(name);
        }
        // SAFETY: fcntl is async-signal-safe; the descriptor is open in the child until it is
        // passed on by exec.
        unsafe {
            command.pre_exec(move || {
                if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.process_group(0).spawn()?;
        let socket = Watched::new(own, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Launcher { child, socket, outbox: RefCell::new(Outbox::unbounded()) })
    }

    /// Tells the core which process this is.
    fn introduce(&self, core: &CoreHandle) {
        // Without it, deaths of containers with their launcher count as deaths of their own.
        if let Ok(pidfd) = pidfd_open(self.child.id() as i32) {
            core.borrow_mut().launcher_started(pidfd);
        }
    }

    /// Sends an order now, or in its turn when the socket has room.
    ///
    /// # Errors
    /// If it cannot be sent, now or later.
    fn order(&self, order: &Order) -> io::Result<()> {
        let order = encode(order)?;
        let mut outbox = self.outbox.borrow_mut();
        let waits = !outbox.is_empty();
        outbox.keep(order);
        if !waits {
            self.send_unsent(&mut outbox);
        }
        Ok(())
    }

    /// Sends what the socket takes.
    fn send_unsent(&self, outbox: &mut Outbox<Encoded>) -> Emptied {
        outbox.empty(|order| match send_encoded(&self.socket, order) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                say(&format!("the launcher cannot be reached: {error}"));
                Ok(())
            }
            sent => sent,
        })
    }

    /// Sends what waits for room; never ends, so that others decide when to go on.
    async fn flush(&self) {
        while !self.outbox.borrow().is_empty() {
            let Ok(mut ready) = self.socket.writable().await else { break };
            if self.send_unsent(&mut self.outbox.borrow_mut()) == Emptied::NoRoom {
                ready.clear_ready();
            }
        }
        std::future::pending().await
    }

    /// The next news; `None` when the launcher is gone.
    async fn news(&self) -> Option<News> {
        loop {
            let mut ready = self.socket.readable().await.ok()?;
            match receive_json(&self.socket) {
                Ok(news) => return news,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => {
                    say(&format!("cannot understand the launcher: {error}"));
                    return None;
                }
            }
        }
    }
}

async fn sleep_until(due: Option<u64>) {
    match due {
        Some(at) => tokio::time::sleep(Duration::from_nanos(at.saturating_sub(now_ns()))).await,
        None => std::future::pending().await,
    }
}
