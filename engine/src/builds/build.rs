//! One build: when it runs, and when it runs again. Pure: sources are arguments, and what is to be
//! done is returned.
//!
//! Sources are read before each build and after it. What differs between the two readings was
//! changed while the build ran, by a person or by the build itself, and nothing tells which of
//! them it was. So one more build runs. If the build generates sources, it writes the same ones
//! again, and that is the end of it.
//!
//! Some builds write other sources each time. A file that differs after each of several builds in a
//! row is taken to be written by the build, and causes no more of them until a person changes it.
//! That was a person if no build ran that could have.
//!
//! A build may also write a source with a new name each time, and two builds that share a folder
//! may write sources of each other. So the builds in a row that such changes cause are bounded,
//! until a person changes a source.

use super::sources::Sources;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A file that has changed during so many builds in a row is taken to be written by the build. A
/// person who saves one file during each of them is told to reload the function: saving the file
/// once more as it is would change nothing.
pub(super) const MAX_CHANGED: u32 = 3;
/// The most builds in a row for changes that a build may have made. A person who saves files all
/// the time, with a build that generates sources, seldom causes as many without a pause.
pub(super) const MAX_IN_ROW: u32 = 8;

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until something happens.
    Nothing,
    /// Read the sources.
    Read,
    /// Start the build when its turn comes; the reason is a file that has changed, if there is one.
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

#[derive(Debug)]
enum BuildState {
    Idle,
    /// The sources are being read; `again` if one has changed since that began.
    Reading {
        again: bool,
    },
    /// The build is to be started.
    Waiting,
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
    /// Whether the build has run since then.
    has_run: bool,
    /// Whether another build, which may change the same sources, has run since then.
    is_disturbed: bool,
    /// The builds since a person has last changed a source that were caused by changes which a
    /// build may have made.
    in_row: u32,
    /// During how many builds in a row, up to the last one, a file has changed.
    changed_in: BTreeMap<PathBuf, u32>,
}

/// The consequences of a reading of the sources.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextStep {
    pub(super) step: Step,
    /// The files that have changed during too many builds in a row, and cause no more.
    pub(super) ignored: Vec<PathBuf>,
    /// Whether a person has changed sources: no build ran that could have.
    pub(super) is_by_person: bool,
}

impl NextStep {
    fn only(step: Step) -> NextStep {
        NextStep { step, ignored: Vec::new(), is_by_person: false }
    }
}

impl BuildProgress {
    pub(super) fn new() -> BuildProgress {
        BuildProgress {
            state: BuildState::Idle,
            is_due: false,
            known: None,
            has_run: false,
            is_disturbed: false,
            in_row: 0,
            changed_in: BTreeMap::new(),
        }
    }

    /// A function needs what the build makes. A build that runs already will do, unless `anew`:
    /// then it is ended first, and what was taken to be written by it counts again.
    pub(super) fn wanted(&mut self, anew: bool) -> Step {
        if anew {
            self.in_row = 0;
            self.changed_in.clear();
        }
        match &mut self.state {
            BuildState::Idle => {
                self.is_due = true;
                self.read()
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
            BuildState::Waiting | BuildState::Building { .. } => Step::Nothing,
        }
    }

    /// A source may have changed. After a build the sources are read in any case.
    pub(super) fn changed(&mut self) -> Step {
        match &mut self.state {
            BuildState::Idle => self.read(),
            BuildState::Reading { again, .. } => {
                *again = true;
                Step::Nothing
            }
            BuildState::Waiting | BuildState::Building { .. } => Step::Nothing,
        }
    }

    fn read(&mut self) -> Step {
        self.state = BuildState::Reading { again: false };
        Step::Read
    }

    /// Another build, which may change the same sources, has run or runs.
    pub(super) fn disturbed(&mut self) {
        self.is_disturbed = true;
        // The reading under way may have begun before that.
        if let BuildState::Reading { again } = &mut self.state {
            *again = true;
        }
    }

    /// A person has changed sources in a folder that this build shares with another one.
    pub(super) fn touched(&mut self) {
        self.in_row = 0;
    }

    /// The sources were read. `is_disturbed` if another build runs that may change them.
    pub(super) fn sources_read(&mut self, found: Sources, is_disturbed: bool) -> NextStep {
        let BuildState::Reading { again } = &mut self.state else {
            return NextStep::only(Step::Nothing);
        };
        let again = std::mem::take(again);
        let is_disturbed = self.is_disturbed || is_disturbed;
        let known = self.known.as_ref();
        let mut changed = known.map(|known| found.changed_since(known)).unwrap_or_default();
        let is_by_person = !self.has_run && !is_disturbed && !changed.is_empty();
        if is_by_person {
            self.in_row = 0;
            self.changed_in.retain(|file, count| *count >= MAX_CHANGED && !changed.contains(file));
        }
        let is_written = |file: &PathBuf| self.changed_in.get(file) >= Some(&MAX_CHANGED);
        changed.retain(|file| !is_written(file));
        // If a build starts, the reading after it finds what this one has missed.
        if again && !self.is_due && changed.is_empty() {
            return NextStep::only(Step::Read);
        }
        let mut ignored = Vec::new();
        if !is_by_person && !is_disturbed {
            self.changed_in.retain(|file, n| *n >= MAX_CHANGED || changed.contains(file));
            ignored.extend(changed.extract_if(.., |file| {
                let count = self.changed_in.entry(file.clone()).or_default();
                *count += 1;
                *count >= MAX_CHANGED
            }));
        }
        if !is_by_person && !changed.is_empty() {
            self.in_row += 1;
            if self.in_row >= MAX_IN_ROW {
                ignored.append(&mut changed);
            }
        }
        (self.known, self.has_run, self.is_disturbed) = (Some(found), false, false);
        let because = changed.into_iter().next();
        let is_due = std::mem::take(&mut self.is_due) || because.is_some();
        self.state = if is_due { BuildState::Waiting } else { BuildState::Idle };
        let step = if is_due { Step::Start { because } } else { Step::Nothing };
        NextStep { step, ignored, is_by_person }
    }

    /// The build was started.
    pub(super) fn started(&mut self, launch: u64) {
        self.state = BuildState::Building { launch, is_stopped: false };
    }

    /// The build could not be started.
    pub(super) fn not_started(&mut self) {
        self.state = BuildState::Idle;
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
        self.ended();
    }

    /// The build has ended, and its sources are to be read. Returns whether its outcome counts:
    /// that of a build that was stopped does not.
    pub(super) fn ended(&mut self) -> bool {
        let is_stopped = matches!(self.state, BuildState::Building { is_stopped: true, .. });
        self.has_run = true;
        self.state = BuildState::Reading { again: false };
        !is_stopped
    }
}

#[cfg(test)]
mod tests;
