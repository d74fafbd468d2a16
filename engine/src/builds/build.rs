//! Decides when one build runs and runs again. This module does no I/O: sources are arguments, and
//! the next step is returned.
//!
//! Sources are read before each build and after it. A difference between the two readings was made
//! while the build ran, by a person or by the build itself, and nothing tells which. So the build
//! runs once more. If the build generates sources, it writes the same ones again, and no further
//! build follows.
//!
//! Some builds write different sources each time. If a file has changed during each of several
//! builds in a row, it is regarded as written by the build, and causes no more builds until a
//! person changes it. A change was made by a person if no build ran that could have made it.
//!
//! A build may also write a source with a new name each time, and two builds that share a folder
//! may write each other's sources. So the number of builds in a row that such changes cause is
//! bounded, until a person changes a source.

use super::sources::Sources;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The number of builds in a row after which a file that changed during each of them is regarded as
/// written by the build. A message tells a person who saves one file during each of them to reload
/// the function: saving the file again without a change would have no effect.
pub(super) const MAX_CHANGED: u32 = 3;
/// The most builds in a row that are caused by changes which a build may have made. A person who
/// saves files all the time, with a build that generates sources, seldom causes as many without a
/// pause.
pub(super) const MAX_IN_ROW: u32 = 8;

/// The next step of the build's driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for the next event.
    Nothing,
    /// Read the sources.
    Read,
    /// Start the build when its turn comes. The reason is a changed file, if there is one.
    Start {
        /// The changed file.
        because: Option<PathBuf>,
    },
    /// End the running build.
    Stop {
        /// The launch of the build.
        launch: u64,
    },
}

#[derive(Debug)]
enum BuildState {
    Idle,
    /// The sources are being read; `again` if one has changed since the reading began.
    Reading {
        again: bool,
    },
    /// The build waits for its turn.
    Waiting,
    /// The build runs. If `is_stopped`, it was ended so that a new one can run.
    Building {
        launch: u64,
        is_stopped: bool,
    },
}

/// The progress of a build.
#[derive(Debug)]
pub(super) struct BuildProgress {
    state: BuildState,
    /// Whether the build must run even if its sources have not changed.
    is_due: bool,
    /// The sources at the last reading, if there was one.
    known: Option<Sources>,
    /// Whether the build has run since the last reading.
    has_run: bool,
    /// Whether another build, which may change the same sources, has run since the last reading.
    is_disturbed: bool,
    /// The number of builds that were caused by changes which a build may have made, since a person
    /// last changed a source.
    in_row: u32,
    /// The number of builds in a row, up to the last one, during which each file has changed.
    changed_in: BTreeMap<PathBuf, u32>,
}

/// The consequences of reading the sources.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextStep {
    pub(super) step: Step,
    /// The files that have changed during too many builds in a row, and cause no more builds.
    pub(super) ignored: Vec<PathBuf>,
    /// Whether a person has changed sources, because no build ran that could have changed them.
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

    /// Handles a function's need for the product of the build. A running build is sufficient,
    /// unless `restart` is set. In that case the running build is ended first, and the files that
    /// were regarded as written by the build count as sources again.
    pub(super) fn wanted(&mut self, restart: bool) -> Step {
        if restart {
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
            BuildState::Building { launch, is_stopped } if restart && !*is_stopped => {
                self.is_due = true;
                *is_stopped = true;
                Step::Stop { launch: *launch }
            }
            BuildState::Waiting | BuildState::Building { .. } => Step::Nothing,
        }
    }

    /// Handles a possible change of a source. After a build the sources are read in any case.
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

    /// Records that another build, which may change the same sources, has run or runs.
    pub(super) fn disturbed(&mut self) {
        self.is_disturbed = true;
        // The current reading may have begun earlier.
        if let BuildState::Reading { again } = &mut self.state {
            *again = true;
        }
    }

    /// Records that a person has changed sources in a folder that this build shares with another
    /// one.
    pub(super) fn touched(&mut self) {
        self.in_row = 0;
    }

    /// Handles the sources that were read. `is_disturbed` if another build runs that may change
    /// them.
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
        // If a build starts, the reading after it finds the changes that this one has missed.
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

    /// Records that the build was started.
    pub(super) fn started(&mut self, launch: u64) {
        self.state = BuildState::Building { launch, is_stopped: false };
    }

    /// Records that the build could not be started.
    pub(super) fn not_started(&mut self) {
        self.state = BuildState::Idle;
    }

    /// Whether the build runs as this launch.
    pub(super) fn runs_as(&self, launch: u64) -> bool {
        matches!(self.state, BuildState::Building { launch: own, .. } if own == launch)
    }

    /// Returns the launch of the build, if it runs.
    pub(super) fn launch(&self) -> Option<u64> {
        match self.state {
            BuildState::Building { launch, .. } => Some(launch),
            _ => None,
        }
    }

    /// Records that the build was killed because the launcher died. It is due again, and its
    /// sources must be read.
    pub(super) fn lost(&mut self) {
        self.is_due = true;
        self.ended();
    }

    /// Records that the build has ended; its sources must be read. Returns whether its outcome
    /// counts, which is false for a build that was stopped.
    pub(super) fn ended(&mut self) -> bool {
        let is_stopped = matches!(self.state, BuildState::Building { is_stopped: true, .. });
        self.has_run = true;
        self.state = BuildState::Reading { again: false };
        !is_stopped
    }
}

#[cfg(test)]
mod tests;
