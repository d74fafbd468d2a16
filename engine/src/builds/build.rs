//! One build: when it runs, and when it runs again. Pure: sources are arguments, and what is to be
//! done is returned.
//!
//! Sources are read before each build and after it. What differs between the two readings was
//! changed while the build ran, by a person or by the build itself, and nothing tells which of
//! them it was. So one more build runs. If the build generates sources, it writes the same ones
//! again, and that is the end of it. A file that has another content after each of several builds
//! in a row counts as written by the build, and causes no more of them.

use super::sources::Sources;
use std::collections::HashMap;
use std::path::PathBuf;

/// A file that has changed during so many builds in a row is taken to be written by the build. A
/// person who saves one file during each of them is told, and saves it once more.
pub(super) const MAX_CHANGED: u32 = 3;

/// What is to be done next.
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

/// What ran while sources may have changed.
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
}

impl BuildProgress {
    pub(super) fn new() -> BuildProgress {
        BuildProgress {
            state: BuildState::Idle,
            is_due: false,
            known: None,
            changed_in: HashMap::new(),
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

    /// The sources were read. Returns what follows, and the files that are taken from now on to be
    /// written by the build.
    pub(super) fn sources_read(&mut self, found: Sources) -> (Step, Vec<PathBuf>) {
        let BuildState::Reading { again, meanwhile } = &mut self.state else {
            return (Step::Nothing, Vec::new());
        };
        if std::mem::take(again) {
            return (Step::Read, Vec::new());
        }
        let meanwhile = *meanwhile;
        self.state = BuildState::Idle;
        let known = self.known.as_ref();
        let changed = known.map(|known| found.changed_since(known)).unwrap_or_default();
        self.known = Some(found);
        let mut own = Vec::new();
        let mut because = None;
        self.forget_unchanged(meanwhile, &changed);
        for file in changed {
            if meanwhile == Meanwhile::Nothing {
                because = because.or(Some(file));
                continue;
            }
            let count = self.changed_in.entry(file.clone()).or_default();
            *count = count.saturating_add(1);
            match *count {
                MAX_CHANGED => own.push(file),
                0..MAX_CHANGED => because = because.or(Some(file)),
                _ => {}
            }
        }
        let is_due = std::mem::take(&mut self.is_due) || because.is_some();
        (if is_due { Step::Start { because } } else { Step::Nothing }, own)
    }

    /// Forgets what was counted of files that a person has changed, or that a build did not write.
    fn forget_unchanged(&mut self, meanwhile: Meanwhile, changed: &[PathBuf]) {
        match meanwhile {
            Meanwhile::Nothing => self.changed_in.retain(|file, _| !changed.contains(file)),
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

    /// The build has ended, and its sources are to be read. Returns whether its outcome counts:
    /// that of a build that was stopped does not.
    pub(super) fn ended(&mut self, was_good: bool) -> bool {
        let is_stopped = matches!(self.state, BuildState::Building { is_stopped: true, .. });
        let meanwhile = Meanwhile::Build { was_good: was_good && !is_stopped };
        self.state = BuildState::Reading { again: false, meanwhile };
        !is_stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Step = Step::Read;
    const NOTHING: Step = Step::Nothing;

    fn start(because: &str) -> Step {
        Step::Start { because: Some(because.into()) }
    }

    /// A build that has run once, with these sources before and after it.
    fn built(sources: &[(&str, u64)]) -> BuildProgress {
        let mut build = BuildProgress::new();
        assert_eq!(build.wanted(false), READ);
        assert!(matches!(build.sources_read(Sources::of(sources)).0, Step::Start { .. }));
        build.started(1);
        assert!(build.ended(true));
        assert_eq!(build.sources_read(Sources::of(sources)), (NOTHING, vec![]));
        build
    }

    /// Runs a build that a step has asked for, after which these are the sources.
    #[track_caller]
    fn run(
        build: &mut BuildProgress,
        was_good: bool,
        sources: &[(&str, u64)],
    ) -> (Step, Vec<PathBuf>) {
        build.started(7);
        assert_eq!(build.changed(), NOTHING, "one build at a time");
        assert!(build.ended(was_good));
        build.sources_read(Sources::of(sources))
    }

    #[test]
    fn the_first_build_runs_whatever_the_sources_are() {
        let mut build = BuildProgress::new();
        assert_eq!((build.wanted(false), build.wanted(false)), (READ, NOTHING));
        assert_eq!(build.sources_read(Sources::of(&[("a", 1)])).0, Step::Start { because: None });
        build.started(1);
        // Another function that names it does not start it again.
        assert_eq!(build.wanted(false), NOTHING);
        assert!(build.runs_as(1) && !build.runs_as(2));
        assert!(build.ended(true));
        assert_eq!(build.sources_read(Sources::of(&[("a", 1)])), (NOTHING, vec![]));
    }

    #[test]
    fn a_build_follows_a_change_of_content_only() {
        let mut build = built(&[("a", 1)]);
        assert_eq!(build.changed(), READ);
        assert_eq!(build.sources_read(Sources::of(&[("a", 1)])).0, NOTHING);
        assert_eq!(build.changed(), READ);
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, start("a"));
    }

    #[test]
    fn a_change_while_sources_are_read_has_them_read_again() {
        let mut build = built(&[("a", 1)]);
        assert_eq!((build.changed(), build.changed()), (READ, NOTHING));
        assert_eq!(build.sources_read(Sources::of(&[("a", 1)])).0, READ);
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, start("a"));
    }

    #[test]
    fn a_failed_build_waits_for_a_change() {
        let mut build = built(&[("a", 1)]);
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, start("a"));
        assert_eq!(run(&mut build, false, &[("a", 2)]).0, NOTHING);
        // An event that comes late.
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, NOTHING);
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 3)])).0, start("a"));
    }

    #[test]
    fn a_change_during_a_build_causes_one_more() {
        let mut build = built(&[("a", 1)]);
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, start("a"));
        assert_eq!(run(&mut build, true, &[("a", 3)]).0, start("a"));
        assert_eq!(run(&mut build, true, &[("a", 3)]).0, NOTHING);
    }

    #[test]
    fn generated_sources_cause_one_more_build_if_they_differ() {
        let mut build = built(&[("a", 1)]);
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, start("a"));
        let generated = [("a", 2), ("generated", 2)];
        assert_eq!(run(&mut build, true, &generated).0, start("generated"));
        assert_eq!(run(&mut build, true, &generated).0, NOTHING);
    }

    #[test]
    fn sources_that_each_build_generates_differently_cause_no_endless_builds() {
        let mut build = built(&[("a", 1), ("time", 1)]);
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 2), ("time", 1)])).0, start("a"));
        for time in 2..=u64::from(MAX_CHANGED) {
            let after = [("a", 2), ("time", time)];
            assert_eq!(run(&mut build, true, &after), (start("time"), vec![]));
        }
        let told = (NOTHING, vec!["time".into()]);
        assert_eq!(run(&mut build, true, &[("a", 2), ("time", 100)]), told);
        // From now on one build is enough, and it is not told again.
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 3), ("time", 100)])).0, start("a"));
        assert_eq!(run(&mut build, true, &[("a", 3), ("time", 101)]), (NOTHING, vec![]));
        // A person changes it: it counts again.
        build.changed();
        assert_eq!(build.sources_read(Sources::of(&[("a", 3), ("time", 102)])).0, start("time"));
        assert_eq!(run(&mut build, true, &[("a", 3), ("time", 103)]).0, start("time"));
        // A good build that does not write it: it counts again, too.
        assert_eq!(run(&mut build, true, &[("a", 3), ("time", 103)]).0, NOTHING);
        assert!(build.changed_in.is_empty());
    }

    #[test]
    fn a_failed_build_does_not_end_the_count() {
        let mut build = built(&[("time", 0)]);
        build.changed();
        build.sources_read(Sources::of(&[("time", 1)]));
        let mut steps = 0;
        for time in 2..100 {
            steps += 1;
            if run(&mut build, false, &[("time", time)]).0 == NOTHING {
                break;
            }
        }
        assert_eq!(steps, MAX_CHANGED);
    }

    #[test]
    fn a_build_that_is_wanted_anew_takes_the_place_of_one_that_hangs() {
        let mut build = built(&[]);
        assert_eq!(build.wanted(true), READ);
        build.sources_read(Sources::of(&[]));
        build.started(2);
        assert_eq!((build.wanted(true), build.wanted(true)), (Step::Stop { launch: 2 }, NOTHING));
        assert!(!build.ended(false), "its end is no news");
        assert_eq!(build.sources_read(Sources::of(&[])).0, Step::Start { because: None });
        build.started(3);
        assert!(build.ended(true));
    }

    #[test]
    fn sources_that_nobody_has_asked_for_change_nothing() {
        let mut build = built(&[("a", 1)]);
        assert_eq!(build.sources_read(Sources::of(&[("a", 2)])).0, NOTHING);
        build.changed();
        build.sources_read(Sources::of(&[("a", 3)]));
        build.started(4);
        assert_eq!(build.sources_read(Sources::of(&[("a", 5)])).0, NOTHING);
        assert_eq!(build.launch(), Some(4));
    }
}
