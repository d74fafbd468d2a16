//! The builds of all functions: functions with the same `build` in the same folder share one.

use super::build::{self, BuildProgress, MAX_CHANGED, Step};
use super::sources::Sources;
use crate::aside::run_aside;
use crate::config::{Config, FunctionConfig};
use crate::engine_log::log;
use crate::launcher::{BuildEnded, End, ProcessManager};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

/// Identifies a build: the folder in which it runs, and its words. Functions with the same key
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

/// The sources of a build were read.
#[derive(Debug)]
pub struct SourcesRead {
    key: Key,
    sources: Sources,
}

/// The result of a build.
#[derive(Debug)]
pub struct BuildOutcome {
    /// The names of its functions, in the order of the file.
    pub functions: Vec<String>,
    /// How long it took; none if it could not be started.
    pub took: Option<Duration>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

struct Shared {
    build: BuildProgress,
    /// Never empty. The first one's environment is the build's, and its log has what it prints.
    functions: Vec<FunctionConfig>,
    began: Instant,
}

/// The builds of all functions that have one.
pub struct Builds {
    /// The directory of the configuration file.
    directory: PathBuf,
    /// The configuration file, which is no source.
    config: PathBuf,
    shared: BTreeMap<Key, Shared>,
    /// Is told of sources that were read.
    sources_read: mpsc::UnboundedSender<SourcesRead>,
}

impl Builds {
    /// None yet. `sources_read` is told of sources that were read, for [`Builds::sources_read`].
    pub fn new(sources_read: mpsc::UnboundedSender<SourcesRead>) -> Builds {
        Builds {
            directory: PathBuf::new(),
            config: PathBuf::new(),
            shared: BTreeMap::new(),
            sources_read,
        }
    }

    /// These are the functions from now on. A build that none of them names any more is ended.
    pub fn set(&mut self, processes: &mut ProcessManager, config: &Config) {
        self.directory.clone_from(&config.directory);
        self.config = config.directory.join(config.path.file_name().unwrap_or_default());
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
        for launch in before.values().filter_map(|shared| shared.build.launch()) {
            processes.end_build(launch);
        }
    }

    /// A function is to be started when its build has run. One that runs already will do, unless
    /// `anew`.
    pub fn wanted(
        &mut self,
        processes: &mut ProcessManager,
        function: &FunctionConfig,
        anew: bool,
    ) {
        let Some((key, shared)) = self.of(function) else { return };
        let step = shared.build.wanted(anew);
        // A build is started when its sources were read.
        let _ = self.take(processes, key, step);
    }

    /// A source of this function may have changed.
    pub fn changed(&mut self, processes: &mut ProcessManager, function: &FunctionConfig) {
        let Some((key, shared)) = self.of(function) else { return };
        let step = shared.build.changed();
        let _ = self.take(processes, key, step);
    }

    /// The sources of a build were read. Returns its outcome if it cannot be started.
    pub fn sources_read(
        &mut self,
        processes: &mut ProcessManager,
        sources_read: SourcesRead,
    ) -> Option<BuildOutcome> {
        let SourcesRead { key, sources } = sources_read;
        // The build may have been removed.
        let is_disturbed = self.overlapping(&key).any(|build| build.launch().is_some());
        let shared = self.shared.get_mut(&key)?;
        let build::NextStep { step, own, is_by_person } =
            shared.build.sources_read(sources, is_disturbed);
        for file in own {
            log(&format!(
                "{}: {} has changed during {MAX_CHANGED} builds in a row, and is taken to be \
                 written by a build; if it was you, run `nightcore reload {}`",
                shared.names().join(", "),
                shown(&file, &key.cwd),
                shared.functions[0].name
            ));
        }
        if is_by_person {
            self.overlapping(&key).for_each(BuildProgress::touched);
        }
        self.take(processes, key, step)
    }

    /// A build has ended. Returns its outcome, unless another build takes its place.
    pub fn ended(&mut self, ended: &BuildEnded) -> Option<BuildOutcome> {
        let runs = |(_, shared): &(&Key, &mut Shared)| shared.build.runs_as(ended.launch);
        // The build may have been removed.
        let (key, shared) = self.shared.iter_mut().find(runs)?;
        let key = key.clone();
        let outcome = if ended.how == End::LauncherDied {
            shared.build.lost();
            None
        } else {
            let failed = ended.failure();
            let counts = shared.build.ended(failed.is_none());
            let is_started = !matches!(ended.how, End::NotStarted(_));
            let took = is_started.then(|| shared.began.elapsed());
            let outcome = BuildOutcome { functions: shared.names(), took, failed };
            counts.then_some(outcome)
        };
        self.overlapping(&key).for_each(BuildProgress::disturbed);
        self.read_sources(key);
        outcome
    }

    /// The other builds that may change sources of this one: their folder is the same one, or
    /// above or below it.
    fn overlapping<'b>(&'b mut self, key: &'b Key) -> impl Iterator<Item = &'b mut BuildProgress> {
        let overlaps = move |other: &Key| {
            other != key && (other.cwd.starts_with(&key.cwd) || key.cwd.starts_with(&other.cwd))
        };
        let others = self.shared.iter_mut().filter(move |(other, _)| overlaps(other));
        others.map(|(_, shared)| &mut shared.build)
    }

    fn of(&mut self, function: &FunctionConfig) -> Option<(Key, &mut Shared)> {
        let key = Key::of(function)?;
        let shared = self.shared.get_mut(&key)?;
        Some((key, shared))
    }

    /// Takes a step of a build. Returns its outcome if it cannot be started.
    fn take(
        &mut self,
        processes: &mut ProcessManager,
        key: Key,
        step: Step,
    ) -> Option<BuildOutcome> {
        match step {
            Step::Nothing => {}
            Step::Read => self.read_sources(key),
            Step::Stop { launch } => processes.end_build(launch),
            Step::Start { because } => return self.start(processes, &key, because),
        }
        None
    }

    fn read_sources(&self, key: Key) {
        let (sources_read, root, config) =
            (self.sources_read.clone(), key.cwd.clone(), self.config.clone());
        spawn_local(async move {
            let sources = run_aside(move || Sources::read(&root, &config)).await;
            // An engine that stops does not hear of it.
            let _ = sources_read.send(SourcesRead { key, sources: sources.unwrap_or_default() });
        });
    }

    fn start(
        &mut self,
        processes: &mut ProcessManager,
        key: &Key,
        because: Option<PathBuf>,
    ) -> Option<BuildOutcome> {
        let shared = self.shared.get_mut(key)?;
        let function = &shared.functions[0];
        let build = function.keys.build.as_ref()?;
        let names = shared.names();
        let why = because.map(|file| format!("{} has changed, ", shown(&file, &key.cwd)));
        log(&format!("{}: {}building: {build}", names.join(", "), why.unwrap_or_default()));
        shared.began = Instant::now();
        let program = function.find_builder(&self.directory)?;
        let launch = program.and_then(|program| {
            processes.build(function, build, program).map_err(|error| error.to_string())
        });
        match launch {
            Ok(launch) => shared.build.started(launch),
            Err(error) => {
                let failed = Some(format!("it cannot be started: {error}"));
                return Some(BuildOutcome { functions: names, took: None, failed });
            }
        }
        None
    }
}

impl Shared {
    fn names(&self) -> Vec<String> {
        self.functions.iter().map(|function| function.name.clone()).collect()
    }
}

/// A file as messages show it.
fn shown(file: &Path, cwd: &Path) -> String {
    file.strip_prefix(cwd).unwrap_or(file).display().to_string()
}
