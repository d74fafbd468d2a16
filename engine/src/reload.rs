//! The functions of a running engine, as its configuration defines them at the start and after each
//! reload.
//!
//! A reload reads and checks the whole configuration. If it finds an error, nothing changes. A
//! function is restarted in two cases: if its table changes something about its processes, or if a
//! file that its command names is not the one from which they were started. The new containers
//! start beside the old ones. Other changes of the table apply at once.
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

/// The functions that are restarted although nothing about them has changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Forced {
    /// Whether all of them are.
    pub all: bool,
    /// The names of those that are.
    pub functions: Vec<String>,
}

/// The changes that a reload made, by name of function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Functions that are new.
    pub added: Vec<String>,
    /// Functions whose processes are restarted.
    pub restarted: Vec<String>,
    /// Functions that keep their processes and have other settings.
    pub adjusted: Vec<String>,
    /// Functions that no longer exist.
    pub removed: Vec<String>,
    /// Warnings about probable mistakes in the configuration.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            ("added", &self.added),
            ("restarted", &self.restarted),
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

/// A request for a reload.
pub struct Request {
    /// The functions that are restarted in any case.
    pub forced: Forced,
    /// Receives the changes, or the reason why nothing was changed.
    pub answer: oneshot::Sender<Result<Changes, String>>,
}

/// The state of a file when a process was started from it.
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

/// Returns the stamps of the program and of the arguments that are files.
fn stamps(function: &FunctionConfig) -> Vec<Stamp> {
    let arguments = function.command.iter().skip(1).map(|word| stamp(function.cwd.join(word)));
    let arguments = arguments.filter(|argument| argument.state.is_some());
    std::iter::once(stamp(function.program.clone())).chain(arguments).collect()
}

/// The state of a function after a failed build.
#[derive(Clone, Copy)]
enum Left {
    /// An older version continues to serve.
    Serving,
    /// A version that was built earlier is starting.
    Coming,
    /// No version can be called.
    Nothing,
}

/// A function that was started, or is to be started after its build.
struct Started {
    id: FunctionId,
    config: FunctionConfig,
    from: Vec<Stamp>,
    /// Whether starting processes were given up for newer ones because files had changed.
    has_given_up: bool,
    /// The generation whose processes are started after the build.
    unbuilt: Option<Generation>,
}

impl Started {
    /// Starts processes of the function after a successful build.
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

    /// Records that the function cannot be built, for this reason. Returns the state of the
    /// function.
    fn fail(&mut self, core: &CoreHandle, reason: &str) -> Left {
        let (mut core, id) = (core.borrow_mut(), self.id);
        let serves = core.scheduler().is_ready(id);
        let is_coming = core.scheduler().is_coming(id);
        let generation = match self.unbuilt.take() {
            Some(unbuilt) => unbuilt,
            // The starting containers come from an earlier build, which succeeded.
            None if is_coming => return Left::Coming,
            // The failure is that of a new generation, which never starts. It is not that of the
            // one that serves.
            None if serves => core.begin_generation(id),
            None => core.scheduler().newest_generation(id),
        };
        core.generation_failing(id, generation, reason, true);
        if serves { Left::Serving } else { Left::Nothing }
    }
}

/// The tables of a running engine's functions, for modules that answer queries about them.
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
    /// Starts all functions.
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

    /// Returns the routes of the functions, which are kept up to date.
    pub fn routes(&self) -> SharedRoutes {
        self.routes.clone()
    }

    /// Returns the tables of the functions, which are kept up to date.
    pub fn shared_config(&self) -> SharedConfig {
        self.shared_config.clone()
    }

    /// Returns the current configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Applies the defaults of the engine's purpose to a configuration.
    fn completed(&self, config: Config) -> Config {
        match self.purpose {
            Purpose::Serve => config,
            Purpose::Develop => config.for_development(),
        }
    }

    /// Restarts the functions whose files have changed, with the current configuration, or has them
    /// built first. Returns the functions that must wait.
    ///
    /// Processes that are starting are given up for newer ones only once in a row: otherwise no
    /// change would ever be served if a file changes more often than a process starts.
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
            log(&format!("files have changed, restarted: {}", restarted.join(", ")));
        }
        changed
    }

    /// Handles the sources that were read for a build.
    pub fn sources_read(&mut self, processes: &mut ProcessManager, sources_read: SourcesRead) {
        if let Some(builds) = &mut self.builds {
            builds.sources_read(processes, sources_read);
        }
        self.start_builds(processes);
    }

    /// Handles the end of a build.
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

    /// Starts the functions that a build has made, or logs that it failed.
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
            // The output of the build is in the log of the first function.
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

    /// Returns the longest timeout of all functions.
    pub fn longest_timeout(&self) -> Duration {
        self.config.functions.iter().map(|function| function.keys.timeout).max().unwrap_or_default()
    }

    /// Reads the configuration again and applies the changes. If it cannot, it returns the reason
    /// and changes nothing.
    pub async fn reload(
        &mut self,
        processes: &mut ProcessManager,
        forced: &Forced,
    ) -> Result<Changes, String> {
        let (path, settings) = (self.config.path.clone(), self.config.settings.clone());
        let purpose = self.purpose;
        // Parsing a large file takes longer than calls should wait.
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
        // The stamps are taken before a process is started, so that the next reload finds changes
        // that are made meanwhile.
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
                // The sources of the build decide whether the program is up to date.
                Purpose::Develop => {
                    started.config.keys.build == function.keys.build
                        && (builds.is_some() || started.from == from)
                }
            };
        let id = started.id;
        let is_forced = forced.all || forced.functions.contains(name);
        // A function that fails to start may start now, for reasons that its files do not show.
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

/// Starts processes of a generation of a function. If the function must be built first, starts the
/// build instead, and returns the generation. If the function `was_there` before this change, a
/// running build is restarted.
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

/// Returns the part of a function's configuration that the scheduler needs.
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
