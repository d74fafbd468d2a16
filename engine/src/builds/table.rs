//! The builds of all functions. Functions with the same `build` in the same folder share one.
//!
//! As many builds run at once as there are cores, since each build may use all cores. Other builds
//! wait for their turn. A build that no function names any more is ended. Another build in its
//! folder starts only after its end.

use super::build::{self, BuildProgress, Step};
use super::sources::Sources;
use crate::aside::run_aside;
use crate::config::{Config, FunctionConfig};
use crate::engine_log::log;
use crate::launcher::{BuildEnded, End, ProcessManager};
use crate::processors::Processors;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

/// The key of a build: the folder in which it runs, and its words. Functions with the same key
/// share the build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    cwd: PathBuf,
    words: Vec<String>,
}

impl Key {
    fn of(function: &FunctionConfig) -> Option<Key> {
        let build = function.keys.build.as_ref()?;
        Some(Key { cwd: function.cwd.clone(), words: build.words.clone() })
    }
}

/// The sources that were read for a build.
#[derive(Debug)]
pub struct SourcesRead {
    key: Key,
    sources: Sources,
}

/// The result of a build.
#[derive(Debug)]
pub struct BuildOutcome {
    /// The names of the functions that share the build, in the order of the file.
    pub functions: Vec<String>,
    /// The duration of the build; `None` if it could not be started.
    pub took: Option<Duration>,
    /// The reason of the failure, if it failed.
    pub failed: Option<String>,
}

struct Shared {
    build: BuildProgress,
    /// The functions that share the build; there is at least one. The build has the environment of
    /// the first function, and its output goes to that function's log.
    functions: Vec<FunctionConfig>,
    began: Instant,
}

/// The builds of all functions that have one.
pub struct Builds {
    /// The directory of the configuration file.
    directory: PathBuf,
    /// The path of the configuration file, which is not a source.
    config: PathBuf,
    shared: BTreeMap<Key, Shared>,
    /// The builds whose turn has not come, each with the changed file that is its reason, if any.
    waiting: VecDeque<(Key, Option<PathBuf>)>,
    /// The launches of builds that no function names any more, with their folders.
    ending: BTreeMap<u64, PathBuf>,
    /// The most builds that run at once.
    at_once: usize,
    /// The channel that receives the sources after each reading.
    sources_read: mpsc::UnboundedSender<SourcesRead>,
}

impl Builds {
    /// Creates a table without builds. `sources_read` receives the sources after each reading; they
    /// must be passed to [`Builds::sources_read`].
    pub fn new(config: &Config, sources_read: mpsc::UnboundedSender<SourcesRead>) -> Builds {
        Builds {
            directory: config.directory.clone(),
            config: config.file(),
            shared: BTreeMap::new(),
            waiting: VecDeque::new(),
            ending: BTreeMap::new(),
            at_once: Processors::usable().map_or(1, |cores| cores.get() as usize),
            sources_read,
        }
    }

    /// Replaces the functions by those of this configuration. A build that none of them names any
    /// more is ended.
    pub fn set(&mut self, processes: &mut ProcessManager, config: &Config) {
        let mut before = std::mem::take(&mut self.shared);
        for function in &config.functions {
            let Some(key) = Key::of(function) else { continue };
            let shared = self.shared.entry(key).or_insert_with_key(|key| {
                let new = || Shared {
                    build: BuildProgress::new(),
                    functions: Vec::new(),
                    began: Instant::now(),
                };
                Shared { functions: Vec::new(), ..before.remove(key).unwrap_or_else(new) }
            });
            shared.functions.push(function.clone());
        }
        for (key, launch) in
            before.iter().filter_map(|(key, shared)| Some((key, shared.build.launch()?)))
        {
            processes.end_build(launch);
            self.ending.insert(launch, key.cwd.clone());
        }
        self.waiting.retain(|(key, _)| self.shared.contains_key(key));
    }

    /// Requests the build of a function, which is to be started afterwards. A running build is
    /// sufficient, unless `restart` is set.
    pub fn wanted(
        &mut self,
        processes: &mut ProcessManager,
        function: &FunctionConfig,
        restart: bool,
    ) {
        let Some((key, shared)) = self.of(function) else { return };
        let step = shared.build.wanted(restart);
        self.take(processes, key, step);
    }

    /// Handles a possible change of a source of this function.
    pub fn changed(&mut self, processes: &mut ProcessManager, function: &FunctionConfig) {
        let Some((key, shared)) = self.of(function) else { return };
        let step = shared.build.changed();
        self.take(processes, key, step);
    }

    /// Handles the sources that were read for a build. [`Builds::start_waiting`] must be called
    /// afterwards.
    pub fn sources_read(&mut self, processes: &mut ProcessManager, sources_read: SourcesRead) {
        let SourcesRead { key, sources } = sources_read;
        let is_disturbed = self.beside(&key.cwd, Some(&key)).any(|build| build.launch().is_some());
        // The build may have been removed.
        let Some(shared) = self.shared.get_mut(&key) else { return };
        let build::NextStep { step, ignored, is_by_person } =
            shared.build.sources_read(sources, is_disturbed);
        if let Some(file) = ignored.first() {
            let others = match ignored.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            log(&format!(
                "{}: {}{others} changed during each of several builds in a row, and causes no \
                 more: a build seems to write it; if it was you, run `nightcore reload {}`",
                shared.names().join(", "),
                shown(file, &key.cwd),
                shared.functions[0].name
            ));
        }
        if is_by_person {
            self.beside(&key.cwd, Some(&key)).for_each(BuildProgress::touched);
        }
        self.take(processes, key, step);
    }

    /// Handles the end of a build. Returns its outcome, unless a new build replaces it.
    /// [`Builds::start_waiting`] must be called afterwards.
    pub fn ended(&mut self, ended: &BuildEnded) -> Option<BuildOutcome> {
        let mut outcome = None;
        let runs = |(_, shared): &(&Key, &mut Shared)| shared.build.runs_as(ended.launch);
        if let Some((key, shared)) = self.shared.iter_mut().find(runs) {
            let key = key.clone();
            if ended.how == End::LauncherDied {
                shared.build.lost();
            } else {
                let is_started = !matches!(ended.how, End::NotStarted(_));
                let took = is_started.then(|| shared.began.elapsed());
                let (functions, failed) = (shared.names(), ended.failure());
                let counts = shared.build.ended();
                outcome = counts.then_some(BuildOutcome { functions, took, failed });
            }
            self.beside(&key.cwd, Some(&key)).for_each(BuildProgress::disturbed);
            self.read_sources(key);
        } else if let Some(folder) = self.ending.remove(&ended.launch) {
            self.beside(&folder, None).for_each(BuildProgress::disturbed);
        }
        outcome
    }

    /// Returns the builds, except for this one, that may change sources in a folder: their folder
    /// is the same one, or it is above or below it.
    fn beside<'b>(
        &'b mut self,
        folder: &'b Path,
        except: Option<&'b Key>,
    ) -> impl Iterator<Item = &'b mut BuildProgress> {
        let is_beside = move |key: &Key| Some(key) != except && overlap(&key.cwd, folder);
        self.shared.iter_mut().filter(move |(key, _)| is_beside(key)).map(|(_, s)| &mut s.build)
    }

    fn of(&mut self, function: &FunctionConfig) -> Option<(Key, &mut Shared)> {
        let key = Key::of(function)?;
        let shared = self.shared.get_mut(&key)?;
        Some((key, shared))
    }

    fn take(&mut self, processes: &mut ProcessManager, key: Key, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Read => self.read_sources(key),
            Step::Stop { launch } => processes.end_build(launch),
            Step::Start { because } => self.waiting.push_back((key, because)),
        }
    }

    /// Starts builds whose turn has come. Returns the outcomes of those that could not be started.
    pub fn start_waiting(&mut self, processes: &mut ProcessManager) -> Vec<BuildOutcome> {
        let mut outcomes = Vec::new();
        loop {
            let running = self.shared.values().filter(|shared| shared.build.launch().is_some());
            if running.count() + self.ending.len() >= self.at_once {
                return outcomes;
            }
            let is_free = |key: &Key| !self.ending.values().any(|other| overlap(other, &key.cwd));
            let next = self.waiting.iter().position(|(key, _)| is_free(key));
            let Some((key, because)) = next.and_then(|at| self.waiting.remove(at)) else {
                return outcomes;
            };
            let Some(shared) = self.shared.get_mut(&key) else { continue };
            if let Err(error) = shared.start(processes, &self.directory, because) {
                shared.build.not_started();
                let failed = Some(format!("it cannot be started: {error}"));
                outcomes.push(BuildOutcome { functions: shared.names(), took: None, failed });
            }
        }
    }

    fn read_sources(&self, key: Key) {
        let (sources_read, root, config) =
            (self.sources_read.clone(), key.cwd.clone(), self.config.clone());
        spawn_local(async move {
            let sources = run_aside(move || Sources::read(&root, &config)).await;
            // The receiver is gone if the engine stops.
            let _ = sources_read.send(SourcesRead { key, sources: sources.unwrap_or_default() });
        });
    }
}

impl Shared {
    fn names(&self) -> Vec<String> {
        self.functions.iter().map(|function| function.name.clone()).collect()
    }

    /// Starts the build.
    fn start(
        &mut self,
        processes: &mut ProcessManager,
        directory: &Path,
        because: Option<PathBuf>,
    ) -> Result<(), String> {
        let function = &self.functions[0];
        let Some(build) = &function.keys.build else { return Ok(()) };
        let why = because.map(|file| format!("{} has changed, ", shown(&file, &function.cwd)));
        let names = self.names().join(", ");
        log(&format!("{names}: {}building: {build}", why.unwrap_or_default()));
        let program = function.find_builder(directory, build)?;
        let launch =
            processes.build(function, build, program).map_err(|error| error.to_string())?;
        self.began = Instant::now();
        self.build.started(launch);
        Ok(())
    }
}

/// Whether two folders are the same or one of them contains the other.
fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Returns the path of a file in the form in which messages show it.
fn shown(file: &Path, cwd: &Path) -> String {
    file.strip_prefix(cwd).unwrap_or(file).display().to_string()
}
