//! The functions of a running engine: as its configuration first had them, and as it has them after
//! each reload.
//!
//! A reload reads the configuration anew and checks the whole of it, or changes nothing. It starts
//! a function anew, beside the containers that the function has, in two cases: if the table says
//! something else about the function's processes, or if a file that its command names is another
//! one than that from which they were started. Other changes of the table apply at once.
//!
//! In `nightcore dev` a function with a `build` is built before it is started, at first and after
//! each change.

use crate::aside::run_aside;
use crate::builds::{BuildOutcome, Builds, SourcesRead};
use crate::config::{Config, ConfigError, FunctionConfig, Purpose};
use crate::core::CoreHandle;
use crate::engine_log::log;
use crate::functions::Spec;
use crate::gateway::{Routes, SharedRoutes};
use crate::ids::{FunctionId, Generation};
use crate::launcher::{BuildEnded, ProcessManager};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Which functions are started anew though nothing about them has changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Forced {
    /// All of them.
    pub all: bool,
    /// These.
    pub functions: Vec<String>,
}

/// What a reload did, by name of function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Functions that were not there before.
    pub added: Vec<String>,
    /// Functions whose processes are started anew.
    pub restarted: Vec<String>,
    /// Functions that go on with the same processes, and other settings.
    pub adjusted: Vec<String>,
    /// Functions that are not there any more.
    pub removed: Vec<String>,
    /// What is probably not meant in the configuration.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            ("added", &self.added),
            ("started anew", &self.restarted),
            ("adjusted", &self.adjusted),
            ("removed", &self.removed),
        ];
        let said = all.iter().filter(|(_, names)| !names.is_empty());
        let said: Vec<String> =
            said.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        f.write_str(if said.is_empty() { "nothing has changed" } else { "" })?;
        f.write_str(&said.join("; "))
    }
}

/// Somebody wants a reload, and waits for what comes of it.
pub struct Request {
    /// What is to be started anew in any case.
    pub forced: Forced,
    /// What was changed, or why nothing was.
    pub answer: oneshot::Sender<Result<Changes, String>>,
}

/// A file as it was when a process was started from it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Device, inode, size, and time of the last change in s and ns; `None` if there is no such
    /// file.
    state: Option<(u64, u64, u64, i64, i64)>,
}

fn stamp(path: PathBuf) -> Stamp {
    let state = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file);
    let state =
        state.map(|file| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
    Stamp { path, state }
}

/// The program, and the arguments that are files.
fn stamps(function: &FunctionConfig) -> Vec<Stamp> {
    let arguments = function.command.iter().skip(1).map(|word| stamp(function.cwd.join(word)));
    let arguments = arguments.filter(|argument| argument.state.is_some());
    std::iter::once(stamp(function.program.clone())).chain(arguments).collect()
}

/// What is left of a function after a build that failed.
#[derive(Clone, Copy)]
enum Left {
    /// An older version serves on.
    Serving,
    /// A version that was built before is starting.
    Coming,
    /// Nothing that could be called.
    Nothing,
}

/// A function that runs, or is to run.
struct Started {
    id: FunctionId,
    config: FunctionConfig,
    from: Vec<Stamp>,
    /// Whether files changed while processes were coming, so that newer ones took their place.
    has_given_up: bool,
    /// The generation whose processes are started when the function is built.
    unbuilt: Option<Generation>,
}

impl Started {
    /// The function is built: starts processes of it.
    fn begin_built(&mut self, core: &CoreHandle, processes: &mut ProcessManager) {
        let (mut core, id) = (core.borrow_mut(), self.id);
        let serves = core.scheduler().is_ready(id);
        self.has_given_up = self.unbuilt.is_none() && core.scheduler().is_coming(id);
        let generation = self.unbuilt.take().unwrap_or_else(|| core.begin_generation(id));
        drop(core);
        self.from = stamps(&self.config);
        processes.begin(id, generation, Rc::new(self.config.clone()));
        if serves {
            processes.tell_when_serving(id, generation, &self.config.name);
        }
    }

    /// The function cannot be built, for this reason. Returns what becomes of its calls.
    fn fail(&mut self, core: &CoreHandle, reason: &str) -> Left {
        let (mut core, id) = (core.borrow_mut(), self.id);
        let serves = core.scheduler().is_ready(id);
        let is_coming = core.scheduler().is_coming(id);
        let generation = match self.unbuilt.take() {
            Some(unbuilt) => unbuilt,
            // It comes from an earlier build, which was good.
            None if is_coming => return Left::Coming,
            // One that never comes, so that the one that serves is not said to fail.
            None if serves => core.begin_generation(id),
            None => core.scheduler().newest_generation(id),
        };
        core.generation_failing(id, generation, reason, true);
        if serves { Left::Serving } else { Left::Nothing }
    }
}

/// The tables of the functions of a running engine, for a room that answers questions about them.
#[derive(Clone, Default)]
pub struct SharedConfig(Rc<RefCell<Rc<Vec<FunctionConfig>>>>);

impl SharedConfig {
    /// Returns the table of the function of this name.
    pub fn find(&self, name: &str) -> Option<FunctionConfig> {
        let functions = self.0.borrow().clone();
        functions.iter().find(|function| function.name == name).cloned()
    }

    fn set(&self, config: &Config) {
        *self.0.borrow_mut() = Rc::new(config.functions.clone());
    }
}

/// The functions of an engine.
pub struct ConfiguredFunctions {
    core: CoreHandle,
    routes: SharedRoutes,
    config: Config,
    shared_config: SharedConfig,
    purpose: Purpose,
    started: HashMap<String, Started>,
    /// The builds of functions, in `nightcore dev`.
    builds: Option<Builds>,
}

impl ConfiguredFunctions {
    /// Starts all of them.
    pub fn start(
        core: CoreHandle,
        processes: &mut ProcessManager,
        config: Config,
        purpose: Purpose,
        sources_read: mpsc::UnboundedSender<SourcesRead>,
    ) -> ConfiguredFunctions {
        let none = Config { functions: Vec::new(), ..config.clone() };
        let routes = SharedRoutes::default();
        let shared_config = SharedConfig::default();
        let started = HashMap::new();
        let is_built = purpose == Purpose::Develop;
        let builds = is_built.then(|| Builds::new(&config, sources_read));
        let mut functions = ConfiguredFunctions {
            core,
            routes,
            config: none,
            shared_config,
            purpose,
            started,
            builds,
        };
        let config = functions.completed(config);
        functions.apply(processes, config, &Forced::default());
        functions
    }

    /// Their paths at the gateway, as they are at each moment.
    pub fn routes(&self) -> SharedRoutes {
        self.routes.clone()
    }

    /// The tables of the functions, as they are at each moment.
    pub fn shared_config(&self) -> SharedConfig {
        self.shared_config.clone()
    }

    /// The configuration as it holds now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration as it holds here.
    fn completed(&self, config: Config) -> Config {
        match self.purpose {
            Purpose::Serve => config,
            Purpose::Develop => config.for_development(),
        }
    }

    /// Starts functions anew of which files have changed, from what is configured already, or has
    /// them built first. Returns those that are to be started or built later.
    ///
    /// Processes that are still coming are given up for newer ones, but only once in a row:
    /// otherwise a file that changes more often than a process starts would keep every change from
    /// being served.
    pub fn restart_changed(
        &mut self,
        processes: &mut ProcessManager,
        mut changed: BTreeMap<String, PathBuf>,
    ) -> BTreeMap<String, PathBuf> {
        let mut restarted = Vec::new();
        changed.retain(|name, file| {
            let Some(started) = self.started.get_mut(name) else { return false };
            let mut core = self.core.borrow_mut();
            let is_coming = core.scheduler().is_coming(started.id);
            if is_coming && started.has_given_up {
                return true;
            }
            if let Some(builds) = &mut self.builds
                && started.config.keys.build.is_some()
            {
                drop(core);
                builds.changed(processes, &started.config);
                return false;
            }
            started.has_given_up = is_coming;
            let (id, config) = (started.id, Rc::new(started.config.clone()));
            started.from = stamps(&config);
            let generation = core.begin_generation(id);
            drop(core);
            processes.begin(id, generation, config);
            let file = file.strip_prefix(&self.config.directory).unwrap_or(file);
            restarted.push(format!("{name} ({})", file.display()));
            false
        });
        if !restarted.is_empty() {
            log(&format!("files have changed, started anew: {}", restarted.join(", ")));
        }
        changed
    }

    /// The sources of a build were read.
    pub fn sources_read(&mut self, processes: &mut ProcessManager, sources_read: SourcesRead) {
        if let Some(builds) = &mut self.builds {
            builds.sources_read(processes, sources_read);
        }
        self.start_builds(processes);
    }

    /// A build has ended.
    pub fn build_ended(&mut self, processes: &mut ProcessManager, ended: BuildEnded) {
        if let Some(outcome) = self.builds.as_mut().and_then(|builds| builds.ended(&ended)) {
            self.built(processes, outcome);
        }
        self.start_builds(processes);
    }

    /// Starts the builds whose turn has come.
    fn start_builds(&mut self, processes: &mut ProcessManager) {
        let outcomes = self.builds.as_mut().map(|builds| builds.start_waiting(processes));
        for outcome in outcomes.into_iter().flatten() {
            self.built(processes, outcome);
        }
    }

    /// Starts functions that were built, or says that they could not be.
    fn built(&mut self, processes: &mut ProcessManager, outcome: BuildOutcome) {
        let BuildOutcome { functions, took, failed } = outcome;
        let names = functions.join(", ");
        let seconds = took.map(|took| format!("{:.1} s", took.as_secs_f64()));
        let mut said = match (&failed, &seconds) {
            (Some(reason), Some(after)) => {
                format!("{names}: the build failed after {after}: {reason}")
            }
            (Some(reason), None) => format!("{names}: the build failed: {reason}"),
            (None, Some(after)) => format!("{names}: built in {after}"),
            (None, None) => format!("{names}: built"),
        };
        for name in &functions {
            let Some(started) = self.started.get_mut(name) else { continue };
            let program = &started.config.program;
            let reason = match &failed {
                Some(reason) => reason.clone(),
                None if program.is_file() => {
                    started.begin_built(&self.core, processes);
                    continue;
                }
                None => {
                    let missing = format!("it has not made {}", program.display());
                    said.push_str(&format!("; {missing}"));
                    missing
                }
            };
            // What the build has printed is in the log of the first one.
            let log = format!("; see `nightcore logs {}`", functions[0]);
            let log = took.map(|_| log).unwrap_or_default();
            let reason = format!("its build failed: {reason}{log}");
            said.push_str(&match started.fail(&self.core, &reason) {
                Left::Serving => format!("; the old version of {name} serves on"),
                Left::Coming => format!("; the version of {name} that is starting stays"),
                Left::Nothing => format!("; {name} cannot be called until it is built"),
            });
        }
        log(&said);
    }

    /// The longest time that a call may take.
    pub fn longest_timeout(&self) -> Duration {
        self.config.functions.iter().map(|function| function.keys.timeout).max().unwrap_or_default()
    }

    /// Reads the configuration anew and applies what has changed; or returns why it cannot, and
    /// changes nothing.
    pub async fn reload(
        &mut self,
        processes: &mut ProcessManager,
        forced: &Forced,
    ) -> Result<Changes, String> {
        let (path, settings) = (self.config.path.clone(), self.config.settings.clone());
        let purpose = self.purpose;
        // A large file takes longer than calls should wait.
        let config = run_aside(move || {
            Config::load(&path, &settings, purpose).map_err(|errors| errors.to_string())
        });
        let config = config.await.ok_or("reading the configuration panicked")??;
        if config.gateway != self.config.gateway {
            return Err("[gateway] has changed, which takes a restart of the engine".to_owned());
        }
        if config.admin != self.config.admin {
            return Err("[admin] has changed, which takes a restart of the engine".to_owned());
        }
        let is_unknown =
            |name: &&String| !config.functions.iter().any(|function| function.name == **name);
        if let Some(unknown) = forced.functions.iter().find(is_unknown) {
            return Err(format!("there is no function {unknown:?} in {}", config.path.display()));
        }
        let config = self.completed(config);
        Ok(self.apply(processes, config, forced))
    }

    fn apply(
        &mut self,
        processes: &mut ProcessManager,
        config: Config,
        forced: &Forced,
    ) -> Changes {
        let mut changes = Changes::default();
        let is_there =
            |name: &String| config.functions.iter().any(|function| function.name == *name);
        let gone = self.started.extract_if(|name, _| !is_there(name));
        for (name, started) in gone {
            self.core.borrow_mut().remove_function(started.id);
            processes.retire(started.id, |_| true);
            changes.removed.push(name);
        }
        if let Some(builds) = &mut self.builds {
            builds.set(processes, &config);
        }
        for function in &config.functions {
            self.apply_to(processes, function, forced, &mut changes);
        }
        let with_route =
            |function: &FunctionConfig| Some((function.route.clone()?, function.name.clone()));
        self.routes.set(Routes::new(config.functions.iter().filter_map(with_route)));
        self.shared_config.set(&config);
        self.config = config;
        changes.removed.sort();
        changes.warnings = self.config.warnings.iter().map(ConfigError::line_text).collect();
        changes
    }

    fn apply_to(
        &mut self,
        processes: &mut ProcessManager,
        function: &FunctionConfig,
        forced: &Forced,
        changes: &mut Changes,
    ) {
        let name = &function.name;
        // Before a process is started: what changes meanwhile is found the next time.
        let from = stamps(function);
        let builds = self.builds.as_mut().filter(|_| function.keys.build.is_some());
        let mut core = self.core.borrow_mut();
        let Some(started) = self.started.get_mut(name) else {
            let id = core.add_function(spec(function));
            let generation = core.scheduler().newest_generation(id);
            drop(core);
            let unbuilt = start(processes, builds, (id, generation), function, false);
            processes.set_recycle(id, function.keys.recycle);
            let config = function.clone();
            let started = Started { id, config, from, has_given_up: false, unbuilt };
            self.started.insert(name.clone(), started);
            changes.added.push(name.clone());
            return;
        };
        let is_same = started.config.keeps_processes(function)
            && match self.purpose {
                Purpose::Serve => started.from == from,
                // Its sources say whether its program is up to date.
                Purpose::Develop => {
                    started.config.keys.build == function.keys.build
                        && (builds.is_some() || started.from == from)
                }
            };
        let id = started.id;
        let is_forced = forced.all || forced.functions.contains(name);
        // What does not come up may do so now, for reasons that are not in files.
        let restarts = !is_same || is_forced || core.scheduler().failing(id).is_some();
        let has_new_recycle = started.config.keys.recycle != function.keys.recycle;
        processes.set_recycle(id, function.keys.recycle);
        if spec(&started.config) != spec(function) || has_new_recycle {
            core.set_spec(id, spec(function));
            if !restarts {
                changes.adjusted.push(name.clone());
            }
        }
        let mut unbuilt = started.unbuilt;
        if restarts {
            let generation = core.begin_generation(id);
            drop(core);
            unbuilt = start(processes, builds, (id, generation), function, true);
            changes.restarted.push(name.clone());
        }
        *started = Started { id, config: function.clone(), from, has_given_up: false, unbuilt };
    }
}

/// Starts processes of a generation of a function, or has the function built first: then returns
/// the generation. A build that runs already is started anew if it `was_there` before this function
/// has changed.
fn start(
    processes: &mut ProcessManager,
    builds: Option<&mut Builds>,
    (id, generation): (FunctionId, Generation),
    function: &FunctionConfig,
    was_there: bool,
) -> Option<Generation> {
    match builds {
        Some(builds) => {
            builds.wanted(processes, function, was_there);
            Some(generation)
        }
        None => {
            processes.begin(id, generation, Rc::new(function.clone()));
            None
        }
    }
}

/// What the scheduler has to know of a function.
fn spec(function: &FunctionConfig) -> Spec {
    Spec {
        direct: function.keys.direct,
        name: function.name.clone(),
        processes: function.keys.processes,
        min: function.keys.workers.min,
        max: function.keys.workers.max,
        timeout: function.keys.timeout,
        grace: function.keys.grace,
        queue_calls: function.keys.queue.calls,
        queue_bytes: function.keys.queue.bytes,
        max_depth: function.keys.max_depth,
        external: function.keys.external,
        channel: function.keys.channel,
        placement: function.keys.placement,
        quarantine_after: NonZeroU32::new(function.keys.quarantine_after),
        retries: function.keys.retries,
        idempotent: function.keys.idempotent,
        ready_path: function.keys.ready_path.clone(),
        exposes_errors: function.exposes_errors(),
    }
}
