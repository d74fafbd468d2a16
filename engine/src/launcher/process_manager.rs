//! The engine's side of the launcher, which carries out the supervisor's decisions.

use super::builds::{BuildEnded, RunningBuilds};
use super::children;
use super::end::End;
use super::link::LauncherLink;
use super::recycling::{Used, memory_of};
use super::supervisor::{History, Supervisor, SupervisorTask};
use super::wire::{Launch, News, Order};
use crate::config::{self, InheritedVariables, Limits, Recycle};
use crate::core::{ContainerEvent, CoreHandle};
use crate::directory;
use crate::engine_log::log;
use crate::engine_sockets::EngineSockets;
use crate::ids::{FunctionId, Generation};
use crate::process_tree::ProcessIdentity;
use crate::timer::Timer;
use crate::transport::{Identity, LaunchIdentity};
use anyhow::{Context, Result};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::control::{FUNCTION_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE};
use nix::sys::signal::Signal;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{Signal as Deaths, SignalKind, signal};
use tokio::sync::mpsc;

/// The time in which a dead launcher's containers are searched for and ended.
const END_ORPHANS_WITHIN: Duration = Duration::from_secs(1);
/// The longest time from SIGKILL of a container to the launcher's report of its end.
const KILLED_WITHIN: Duration = Duration::from_secs(2);
/// The longest time from the end of all containers to that of the launcher.
const LAUNCHER_ENDS_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two checks whether the launcher has ended.
const POLL_PAUSE: Duration = Duration::from_millis(2);

/// The pause between two searches for containers that have reached a bound of `recycle`.
const RECYCLE_PAUSE: Duration = Duration::from_secs(1);

/// The pause before another try to start a launcher that could not be started.
const SPAWN_PAUSE: Duration = Duration::from_millis(200);

/// The histories of the functions' processes: their restarts and their last ends.
#[derive(Clone)]
pub struct ProcessHistories(Rc<RefCell<Supervisor>>);

impl ProcessHistories {
    /// Returns the history of the processes of a function.
    pub fn history(&self, function: FunctionId) -> History {
        self.0.borrow().history(function)
    }
}

/// The reason why the launcher did not get an order to start a container.
enum NotStarted {
    /// A later try may succeed.
    ForNow(String),
    /// No later try can succeed.
    Ever(String),
}

/// Keeps the containers running.
pub struct ProcessManager {
    core: CoreHandle,
    directory: PathBuf,
    /// The limit of open files that containers get.
    open_files: u64,
    supervisor: Rc<RefCell<Supervisor>>,
    launcher: LauncherLink,
    /// Reports deaths of children. Children other than the launcher are orphans: the engine is a
    /// subreaper, and possibly the init process of an image.
    deaths: Deaths,
    /// The sockets to which a starting container connects.
    sockets: Rc<RefCell<EngineSockets>>,
    /// Children that this process had before it became an engine: a shell may start programs in the
    /// background and then become the engine by `exec`.
    older_children: Vec<ProcessIdentity>,
    /// The time of the next check whether containers have reached a bound of `recycle`.
    recycle_at: u64,
    timer: Timer,
    builds: RunningBuilds,
    /// The channel that receives each build that has ended.
    build_ended: mpsc::UnboundedSender<BuildEnded>,
    /// The generations that were built while an older one serves. A message is logged when one of
    /// them serves.
    built: HashMap<FunctionId, (Generation, String)>,
}

impl ProcessManager {
    /// Starts the launcher. Containers get this limit of open files. `build_ended` receives each
    /// build that has ended.
    pub fn start(
        core: CoreHandle,
        directory: &Path,
        open_files: u64,
        sockets: Rc<RefCell<EngineSockets>>,
        build_ended: mpsc::UnboundedSender<BuildEnded>,
    ) -> Result<ProcessManager> {
        // The orphans of a killed launcher become children of the engine, which ends them.
        children::become_subreaper().context("cannot become a subreaper")?;
        let older_children = children::children().into_iter().map(ProcessIdentity::of);
        let older_children = older_children.filter_map(Result::ok).collect();
        let supervisor = Rc::new(RefCell::new(Supervisor::new(now_ns())));
        let launcher =
            LauncherLink::spawn(directory, open_files).context("cannot start the launcher")?;
        launcher.introduce(&core);
        let deaths = signal(SignalKind::child()).context("cannot handle SIGCHLD")?;
        let directory = directory.to_owned();
        Ok(ProcessManager {
            core,
            directory,
            open_files,
            supervisor,
            launcher,
            deaths,
            sockets,
            older_children,
            recycle_at: 0,
            timer: Timer::new().context("cannot make a timer")?,
            builds: RunningBuilds::default(),
            build_ended,
            built: HashMap::new(),
        })
    }

    /// Starts containers of a new generation of a function.
    pub fn begin(
        &mut self,
        function: FunctionId,
        generation: Generation,
        config: Rc<config::FunctionConfig>,
    ) {
        // A generation that is still starting is given up.
        let serving = self.core.borrow().scheduler().serving_generation(function);
        self.retire(function, |other| other != serving && other < generation);
        self.supervisor.borrow_mut().begin(now_ns(), function, generation, config);
    }

    /// Stops starting containers of these generations of a function.
    pub fn retire(&mut self, function: FunctionId, is_over: impl Fn(Generation) -> bool) {
        let tasks = self.supervisor.borrow_mut().retire(now_ns(), function, is_over);
        self.perform(tasks);
    }

    /// Runs the build of a function with the program at this path. Returns its launch.
    ///
    /// # Errors
    ///
    /// If the order to the launcher cannot be sent.
    pub fn build(
        &mut self,
        function: &config::FunctionConfig,
        build: &config::Build,
        program: PathBuf,
    ) -> io::Result<u64> {
        let launch = self.supervisor.borrow_mut().new_launch();
        let env = function.env.iter().map(|(name, value)| (name.clone(), value.into()));
        self.launcher.order(&Order::Start(Launch {
            launch,
            function: function.name.clone(),
            program: program.into_os_string(),
            command: build.words.clone(),
            cwd: function.cwd.clone().into_os_string(),
            env: env.collect(),
            // These are for the function's containers: a compiler needs more.
            inherits: InheritedVariables::all(),
            limits: Limits::default(),
        }))?;
        self.builds.add(launch);
        Ok(launch)
    }

    /// Ends a build and all processes of its group.
    pub fn end_build(&mut self, launch: u64) {
        if let Some(signal) = self.builds.end(now_ns(), launch) {
            self.signal(launch, signal);
        }
    }

    /// Ends all builds.
    pub fn end_builds(&mut self) {
        self.builds.launches().into_iter().for_each(|launch| self.end_build(launch));
    }

    fn kill_overdue_builds(&mut self) {
        for launch in self.builds.overdue(now_ns()) {
            self.signal(launch, Signal::SIGKILL);
        }
    }

    /// Logs a message when this generation of a function, which was built, serves in place of an
    /// older one.
    pub fn tell_when_serving(&mut self, function: FunctionId, generation: Generation, name: &str) {
        self.built.insert(function, (generation, name.to_owned()));
    }

    fn tell_built(&mut self) {
        let core = self.core.borrow();
        let serves = |function, generation| {
            let scheduler = core.scheduler();
            scheduler.serving_generation(function) == generation && scheduler.is_ready(function)
        };
        let ready = self.built.extract_if(|id, (generation, _)| serves(*id, *generation));
        ready.for_each(|(_, (_, name))| log(&format!("{name}: the new version serves")));
    }

    /// Returns the time of the next task of the supervisor or of a build.
    fn next_due(&self) -> Option<u64> {
        self.supervisor.borrow().next_due().into_iter().chain(self.builds.next_due()).min()
    }

    /// Sets the bounds at which containers of a function are replaced from now on.
    pub fn set_recycle(&mut self, function: FunctionId, recycle: Recycle) {
        self.supervisor.borrow_mut().set_recycle(function, recycle);
    }

    /// Replaces containers that have reached a bound of `recycle`, if a check is due. Returns the
    /// time of the next check; `None` if no function has such a bound.
    fn recycle(&mut self) -> Option<u64> {
        let now = now_ns();
        let functions: Vec<FunctionId> = self.supervisor.borrow().recycled().collect();
        if functions.is_empty() || now < self.recycle_at {
            return (!functions.is_empty()).then_some(self.recycle_at);
        }
        self.recycle_at = now.saturating_add(RECYCLE_PAUSE.as_nanos() as u64);
        for function in functions {
            let used = self.core.borrow_mut().used_by(function);
            let used = |launch| {
                let (pid, calls) = used.get(&launch).copied()?;
                Some(Used { calls, memory_bytes: memory_of(pid) })
            };
            let tasks = self.supervisor.borrow_mut().recycle(now, function, used);
            self.perform(tasks);
        }
        Some(self.recycle_at)
    }

    /// Returns the children that this process had before it became an engine.
    pub fn older_children(&self) -> Vec<ProcessIdentity> {
        self.older_children.clone()
    }

    /// Returns a handle to the histories, which can be used while this runs.
    pub fn status(&self) -> ProcessHistories {
        ProcessHistories(self.supervisor.clone())
    }

    /// Keeps containers running until the future is dropped.
    pub async fn run(&mut self, events: &mut mpsc::UnboundedReceiver<ContainerEvent>) {
        loop {
            let tasks = self.supervisor.borrow_mut().advance(now_ns());
            self.perform(tasks);
            self.kill_overdue_builds();
            let next_recycle = self.recycle();
            let due = self.next_due().into_iter().chain(next_recycle).min();
            let tasks = tokio::select! {
                // Events of a container are handled before its end: a container that was refused
                // for good may end at once.
                biased;
                Some(event) = events.recv() => {
                    let tasks = self.container_event(event);
                    self.tell_built();
                    tasks
                }
                news = self.launcher.news() => match news {
                    Some(news) => self.launcher_news(news),
                    None => self.replace_launcher().await,
                },
                () = self.launcher.flush() => Vec::new(),
                _ = self.deaths.recv() => {
                    children::reap_all_but(self.launcher.child.id() as i32);
                    Vec::new()
                }
                () = wait_until(&self.timer, due) => Vec::new(),
            };
            self.perform(tasks);
        }
    }

    /// Asks all containers to end, and then ends them and the launcher. When `hurry` is ready,
    /// containers that have not ended yet are ended without more time.
    pub async fn stop(
        mut self,
        mut events: mpsc::UnboundedReceiver<ContainerEvent>,
        hurry: impl Future<Output = ()>,
    ) {
        let mut hurry = pin!(hurry);
        let mut is_patient = true;
        self.core.borrow_mut().shut_down_containers();
        self.supervisor.borrow_mut().stop(now_ns());
        self.end_builds();
        while !self.supervisor.borrow().is_empty() || !self.builds.is_empty() {
            let tasks = self.supervisor.borrow_mut().advance(now_ns());
            self.perform(tasks);
            self.kill_overdue_builds();
            let due = self.next_due();
            tokio::select! {
                // Events of containers have no effect any more.
                Some(_) = events.recv() => {}
                news = self.launcher.news() => drop(match news {
                    Some(news) => self.launcher_news(news),
                    // Its containers end with it, and a new launcher would have nothing to do.
                    None => self.launcher_died(),
                }),
                () = self.launcher.flush() => {}
                () = &mut hurry, if is_patient => {
                    is_patient = false;
                    let tasks = self.supervisor.borrow_mut().end_all(now_ns());
                    self.perform(tasks);
                    // The remaining processes of builds end with the launcher.
                    self.builds = RunningBuilds::default();
                }
                () = wait_until(&self.timer, due) => {}
                // All remaining containers were sent SIGKILL.
                () = tokio::time::sleep(KILLED_WITHIN), if due.is_none() => break,
            }
        }
        let LauncherLink { mut child, socket, .. } = self.launcher;
        drop(socket);
        let pid = child.id() as i32;
        // This does not wait on another thread, because the system may provide none.
        let gone = async {
            while matches!(child.try_wait(), Ok(None)) {
                tokio::time::sleep(POLL_PAUSE).await;
            }
        };
        if tokio::time::timeout(LAUNCHER_ENDS_WITHIN, gone).await.is_err() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        end_orphans(&self.older_children);
    }

    fn container_event(&mut self, event: ContainerEvent) -> Vec<SupervisorTask> {
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

    fn launcher_news(&mut self, news: News) -> Vec<SupervisorTask> {
        let (launch, how) = match news {
            News::Started { launch, process } => {
                self.core.borrow_mut().tokens.started(launch, process);
                self.supervisor.borrow_mut().started(launch, process.pid);
                return Vec::new();
            }
            News::CannotStart { launch, error } => (launch, End::NotStarted(error)),
            News::Exited { launch, how } => (launch, how),
        };
        if self.builds.ended(launch) {
            self.tell_of_build(launch, how);
            return Vec::new();
        }
        self.core.borrow_mut().launch_ended(launch);
        self.supervisor.borrow_mut().ended(now_ns(), launch, how)
    }

    fn tell_of_build(&self, launch: u64, how: End) {
        // The receiver is gone if the engine stops.
        let _ = self.build_ended.send(BuildEnded { launch, how });
    }

    /// Ends the remaining processes of a launcher that has died, or whose messages cannot be
    /// decoded.
    fn launcher_died(&mut self) -> Vec<SupervisorTask> {
        let _ = self.launcher.child.kill();
        let _ = self.launcher.child.wait();
        end_orphans(&self.older_children);
        for launch in self.builds.launches() {
            self.builds.ended(launch);
            self.tell_of_build(launch, End::LauncherDied);
        }
        self.core.borrow_mut().launcher_died();
        self.supervisor.borrow_mut().launcher_died(now_ns())
    }

    async fn replace_launcher(&mut self) -> Vec<SupervisorTask> {
        log("the launcher died; its containers are restarted");
        let tasks = self.launcher_died();
        loop {
            match LauncherLink::spawn(&self.directory, self.open_files) {
                Ok(launcher) => {
                    launcher.introduce(&self.core);
                    self.launcher = launcher;
                    return tasks;
                }
                Err(error) => log(&format!("cannot start the launcher: {error}")),
            }
            tokio::time::sleep(SPAWN_PAUSE).await;
        }
    }

    fn perform(&mut self, tasks: Vec<SupervisorTask>) {
        let mut tasks = VecDeque::from(tasks);
        while let Some(task) = tasks.pop_front() {
            match task {
                SupervisorTask::Start { launch, function, generation, config } => {
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
                SupervisorTask::Terminate { launch } => self.signal(launch, Signal::SIGTERM),
                SupervisorTask::Kill { launch } => self.signal(launch, Signal::SIGKILL),
                SupervisorTask::Failing { function, generation, reason, is_all } => {
                    let mut core = self.core.borrow_mut();
                    core.generation_failing(function, generation, &reason, is_all);
                }
                SupervisorTask::SetAside { launch } => self.core.borrow_mut().set_aside(launch),
                SupervisorTask::Report { text } => log(&text),
                SupervisorTask::AddToLog { function, pid, lines } => {
                    // A few lines of bounded length always fit into a message.
                    let _ = self.launcher.order(&Order::Note { function, pid, lines });
                }
            }
        }
    }

    fn signal(&self, launch: u64, signal: Signal) {
        // A launch and a signal always fit into a message.
        let _ = self.launcher.order(&Order::Signal { launch, signal: signal as i32 });
    }

    fn start_container(
        &mut self,
        launch: u64,
        id: FunctionId,
        generation: Generation,
        function: &config::FunctionConfig,
    ) -> Result<(), NotStarted> {
        self.sockets.borrow_mut().check();
        let identity = Identity {
            launched: Some(LaunchIdentity { launch, generation }),
            function: id,
            name: function.name.clone(),
            program: function.command.first().cloned().unwrap_or_default(),
        };
        let token = self.core.borrow_mut().tokens.issue(identity, None);
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
            inherits: function.keys.env_inherit.clone(),
            limits: function.keys.limits.clone(),
        }));
        sent.map_err(|error| {
            self.core.borrow_mut().tokens.revoke(launch);
            NotStarted::Ever(error.to_string())
        })
    }
}

/// Ends the processes that a dead launcher has left behind, but not these children.
fn end_orphans(spared: &[ProcessIdentity]) {
    let spared: Vec<i32> = spared.iter().map(|process| process.pid).collect();
    children::end_all_but(&spared, END_ORPHANS_WITHIN);
}

/// Waits until this time, in ns of the monotonic clock. Without a time, it waits for ever.
async fn wait_until(timer: &Timer, due: Option<u64>) {
    match due {
        // This fails only when the runtime ends.
        Some(at) => drop(timer.wait_until(at).await),
        None => std::future::pending().await,
    }
}
