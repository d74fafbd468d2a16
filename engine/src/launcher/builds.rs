//! The builds that the launcher runs for the engine, besides containers.

use super::end::End;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time between SIGTERM and SIGKILL of a build that is to end. On SIGTERM, compilers and `make`
/// remove files that they have not finished, which takes some milliseconds.
const TERM_GRACE: Duration = Duration::from_millis(500);

/// The end of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEnded {
    /// The launch of the build.
    pub launch: u64,
    /// The way in which it ended.
    pub how: End,
}

impl BuildEnded {
    /// Returns the reason of its failure, if it has failed.
    pub fn failure(&self) -> Option<String> {
        match &self.how {
            End::Exited(0) => None,
            End::NotStarted(error) => Some(format!("it cannot be started: {error}")),
            how => Some(how.to_string()),
        }
    }
}

/// The state of a build with regard to its end.
#[derive(Clone, Copy, Debug)]
enum BuildEnding {
    /// It runs, without a limit of time.
    Runs,
    /// It was sent SIGTERM, and is killed at this time.
    Asked { kill_at: u64 },
    /// It was sent SIGKILL.
    Killed,
}

/// The builds that run, and the times at which those that are to end are killed. Time is an
/// argument.
#[derive(Debug, Default)]
pub(super) struct RunningBuilds(BTreeMap<u64, BuildEnding>);

impl RunningBuilds {
    /// Adds a build that was started.
    pub(super) fn add(&mut self, launch: u64) {
        self.0.insert(launch, BuildEnding::Runs);
    }

    /// Begins to end a build. Returns the signal to send now, if any.
    pub(super) fn end(&mut self, now: u64, launch: u64) -> Option<Signal> {
        let build = self.0.get_mut(&launch).filter(|build| matches!(build, BuildEnding::Runs))?;
        *build = BuildEnding::Asked { kill_at: now.saturating_add(TERM_GRACE.as_nanos() as u64) };
        Some(Signal::SIGTERM)
    }

    /// Returns the builds that did not end in time and must be killed now.
    pub(super) fn overdue(&mut self, now: u64) -> Vec<u64> {
        let mut overdue = Vec::new();
        for (launch, build) in &mut self.0 {
            if matches!(build, BuildEnding::Asked { kill_at } if *kill_at <= now) {
                *build = BuildEnding::Killed;
                overdue.push(*launch);
            }
        }
        overdue
    }

    /// Returns the time at which the next build is killed.
    pub(super) fn next_due(&self) -> Option<u64> {
        let kill_at = |build: &BuildEnding| match *build {
            BuildEnding::Asked { kill_at } => Some(kill_at),
            BuildEnding::Runs | BuildEnding::Killed => None,
        };
        self.0.values().filter_map(kill_at).min()
    }

    /// Removes a process that has ended. Returns whether it was a build.
    pub(super) fn ended(&mut self, launch: u64) -> bool {
        self.0.remove(&launch).is_some()
    }

    /// Returns the launches of all builds.
    pub(super) fn launches(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_is_to_end_is_asked_and_then_killed_once() {
        let mut builds = RunningBuilds::default();
        builds.add(4);
        builds.add(5);
        assert_eq!((builds.next_due(), builds.overdue(9)), (None, vec![]));
        assert_eq!(builds.end(10, 4), Some(Signal::SIGTERM));
        assert_eq!((builds.end(11, 4), builds.end(11, 6)), (None, None));
        let due = builds.next_due().unwrap();
        assert_eq!(due, 10 + TERM_GRACE.as_nanos() as u64);
        assert!(builds.overdue(due - 1).is_empty());
        assert_eq!((builds.overdue(due), builds.overdue(due)), (vec![4], vec![]));
        assert_eq!(builds.next_due(), None);
        assert!(builds.ended(4) && !builds.ended(4) && builds.ended(5) && builds.is_empty());
    }
}
