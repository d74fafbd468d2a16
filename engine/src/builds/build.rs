//! One build: when it runs, and when it runs again. Pure: sources are arguments, and what is to be
//! done is returned.
//!
//! Sources are read before each build and after it. What differs between the two readings was
//! changed while the build ran, by a person or by the build itself, and nothing tells which of
//! them it was. So one more build runs. If the build generates sources, it writes the same ones
//! again, and that is the end of it. A file that has another content after each of several builds
//! in a row counts as written by the build, and causes no more of them.
//!
//! Another build that runs in the same folder, or in one above or below it, may change sources of
//! this build as well. Two builds could so cause each other without end. Such changes are counted
//! until a person changes a source: nothing but a person can start the builds anew then.

use super::sources::Sources;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file that has changed during so many builds in a row is taken to be written by the build. A
/// person who saves one file during each of them is told to reload the function: saving the file
/// once more as it is would change nothing.
pub(super) const MAX_CHANGED: u32 = 3;

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until something happens.
    Nothing,
    /// Read the sources.
    Read,
    /// Start the build; the reason is a file that has changed, if there is one.
    Start {
        /// The file.
        because: Option<PathBuf>,
    },
    /// End the build that runs as this launch.
    Stop {
        /// The launch.
        launch: u64,
    },
}

/// The process that may have changed sources since they were last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Build { was_good: bool },
}

#[derive(Debug)]
enum BuildState {
    Idle,
    /// The sources are being read; `again` if one has changed since that began.
    Reading {
        again: bool,
        meanwhile: Meanwhile,
    },
    /// The build runs. It is stopped if another one is to take its place.
    Building {
        launch: u64,
        is_stopped: bool,
    },
}

/// A build.
#[derive(Debug)]
pub(super) struct BuildProgress {
    state: BuildState,
    /// Whether the build is to run whatever its sources are.
    is_due: bool,
    /// The sources when they were last read, if they ever were.
    known: Option<Sources>,
    /// In how many builds up to the last one a file has changed.
    changed_in: HashMap<PathBuf, u32>,
    /// Whether another build may have changed sources since they were read.
    is_disturbed: bool,
    /// How often a file has changed while another build may have changed it, since a person has
    /// changed a source.
    changed_beside: HashMap<PathBuf, u32>,
}

/// The consequences of a reading of the sources.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextStep {
    pub(super) step: Step,
    /// The files that are taken from now on to be written by a build.
    pub(super) own: Vec<PathBuf>,
    /// Whether a person has changed sources: no build ran that could have.
    pub(super) is_by_person: bool,
}

impl NextStep {
    fn only(step: Step) -> NextStep {
        NextStep { step, own: Vec::new(), is_by_person: false }
    }
}

impl BuildProgress {
    pub(super) fn new() -> BuildProgress {
        BuildProgress {
            state: BuildState::Idle,
            is_due: false,
            known: None,
            changed_in: HashMap::new(),
            is_disturbed: false,
            changed_beside: HashMap::new(),
        }
    }

    /// A function needs what the build makes. A build that runs already will do, unless `anew`:
    /// then it is ended first.
    pub(super) fn wanted(&mut self, anew: bool) -> Step {
        match &mut self.state {
            BuildState::Idle => {
                self.is_due = true;
                self.state = BuildState::Reading { again: false, meanwhile: Meanwhile::Nothing };
                Step::Read
            }
            BuildState::Reading { .. } => {
                self.is_due = true;
                Step::Nothing
            }
            BuildState::Building { launch, is_stopped } if anew && !*is_stopped => {
                self.is_due = true;
                *is_stopped = true;
                Step::Stop { launch: *launch }
            }
            BuildState::Building { .. } => Step::Nothing,
        }
    }

    /// A source may have changed. After a build it is always looked whether one has.
    pub(super) fn changed(&mut self) -> Step {
        match &mut self.state {
            BuildState::Idle => {
                self.state = BuildState::Reading { again: false, meanwhile: Meanwhile::Nothing };
                Step::Read
            }
            BuildState::Reading { again, .. } => {
                *again = true;
                Step::Nothing
            }
            BuildState::Building { .. } => Step::Nothing,
        }
    }

    /// Another build, which may change the same sources, has run or runs.
    pub(super) fn disturbed(&mut self) {
        self.is_disturbed = true;
        // The reading under way may have begun before that.
        if let BuildState::Reading { again, .. } = &mut self.state {
            *again = true;
        }
    }

    /// A person has changed sources in a folder that this build shares with another one.
    pub(super) fn touched(&mut self) {
        self.changed_beside.clear();
    }

    /// The sources were read. `is_disturbed` if another build runs that may change them.
    pub(super) fn sources_read(&mut self, found: Sources, is_disturbed: bool) -> NextStep {
        let BuildState::Reading { again, meanwhile } = &mut self.state else {
            return NextStep::only(Step::Nothing);
        };
        let (meanwhile, again) = (*meanwhile, std::mem::take(again));
        let is_disturbed = self.is_disturbed || is_disturbed;
        let known = self.known.as_ref();
        let changed = known.map(|known| found.changed_since(known)).unwrap_or_default();
        let counts: Vec<u32> =
            changed.iter().map(|file| self.count(file, meanwhile, is_disturbed)).collect();
        let cause = counts.iter().position(|count| *count < MAX_CHANGED);
        // If a build starts, the reading after it finds what this one has missed.
        if again && !self.is_due && cause.is_none() {
            return NextStep::only(Step::Read);
        }
        self.state = BuildState::Idle;
        self.is_disturbed = false;
        self.known = Some(found);
        let is_by_person = meanwhile == Meanwhile::Nothing && !is_disturbed && !changed.is_empty();
        self.forget_unchanged(meanwhile, is_disturbed, &changed);
        let mut own = Vec::new();
        for (file, count) in changed.iter().zip(&counts) {
            if matches!(meanwhile, Meanwhile::Build { .. }) {
                add_one(&mut self.changed_in, file);
            }
            if is_disturbed {
                add_one(&mut self.changed_beside, file);
            }
            if *count == MAX_CHANGED {
                own.push(file.clone());
            }
        }
        let because = cause.map(|at| changed[at].clone());
        let is_due = std::mem::take(&mut self.is_due) || because.is_some();
        let step = if is_due { Step::Start { because } } else { Step::Nothing };
        NextStep { step, own, is_by_person }
    }

    /// In how many builds a file has changed, with this change; 0 if a person has changed it.
    fn count(&self, file: &Path, meanwhile: Meanwhile, is_disturbed: bool) -> u32 {
        let within = self.changed_in.get(file).copied().unwrap_or_default();
        let beside = self.changed_beside.get(file).copied().unwrap_or_default();
        let within = match (meanwhile, is_disturbed) {
            (Meanwhile::Build { .. }, _) => within.saturating_add(1),
            // A file that this build writes may be written by the other one, too. It was told.
            (Meanwhile::Nothing, true) if within >= MAX_CHANGED => within.saturating_add(1),
            (Meanwhile::Nothing, _) => 0,
        };
        within.max(if is_disturbed { beside.saturating_add(1) } else { 0 })
    }

    /// Forgets what was counted of files that a person has changed, or that a build did not write.
    fn forget_unchanged(&mut self, meanwhile: Meanwhile, is_disturbed: bool, changed: &[PathBuf]) {
        match meanwhile {
            Meanwhile::Nothing if is_disturbed => {}
            Meanwhile::Nothing => {
                self.changed_in.retain(|file, _| !changed.contains(file));
                if !changed.is_empty() {
                    self.changed_beside.clear();
                }
            }
            Meanwhile::Build { was_good: true } => {
                self.changed_in.retain(|file, _| changed.contains(file));
            }
            // It may have ended before it wrote anything.
            Meanwhile::Build { was_good: false } => {}
        }
    }

    /// The build was started.
    pub(super) fn started(&mut self, launch: u64) {
        self.state = BuildState::Building { launch, is_stopped: false };
    }

    /// Whether the build runs as this launch.
    pub(super) fn runs_as(&self, launch: u64) -> bool {
        matches!(self.state, BuildState::Building { launch: own, .. } if own == launch)
    }

    /// The launch of the build, if it runs.
    pub(super) fn launch(&self) -> Option<u64> {
        match self.state {
            BuildState::Building { launch, .. } => Some(launch),
            _ => None,
        }
    }

    /// The launcher died, and the build with it: it is due again, and its sources are to be read.
    pub(super) fn lost(&mut self) {
        self.is_due = true;
        let meanwhile = Meanwhile::Build { was_good: false };
        self.state = BuildState::Reading { again: false, meanwhile };
    }

    /// The build has ended, and its sources are to be read. Returns whether its outcome counts:
    /// that of a build that was stopped does not.
    pub(super) fn ended(&mut self, was_good: bool) -> bool {
        let is_stopped = matches!(self.state, BuildState::Building { is_stopped: true, .. });
        let meanwhile = Meanwhile::Build { was_good: was_good && !is_stopped };
        self.state = BuildState::Reading { again: false, meanwhile };
        !is_stopped
    }
}

fn add_one(counts: &mut HashMap<PathBuf, u32>, file: &Path) {
    let count = counts.entry(file.to_owned()).or_default();
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests;
