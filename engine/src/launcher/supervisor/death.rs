//! The messages about a container's end, for the engine's output and the function's log.

use crate::config::format_duration;
use crate::launcher::end::End;
use crate::launcher::task::SupervisorTask;
use crate::pool::FailedCalls;
use std::time::Duration;

/// The supervisor's next step after a container has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another container is started at once.
    AtOnce,
    /// Another container is started after this time.
    After(Duration),
    /// No container is started in its place.
    Nothing,
}

/// The end of a container that was not requested.
#[derive(Debug)]
pub(super) struct Death {
    /// The function's name.
    pub(super) name: String,
    /// The pid of its process, if it was started.
    pub(super) pid: Option<i32>,
    /// How it ended.
    pub(super) how: End,
    /// The next step.
    pub(super) next: Next,
}

impl Death {
    /// Returns the tasks that report the end: a line of the engine, and if calls failed with it,
    /// lines in the function's log, one of them for each call.
    pub(super) fn tell(&self, failed: &FailedCalls) -> Vec<SupervisorTask> {
        let calls = match failed.count() {
            0 => String::new(),
            1 => "; 1 call failed".to_owned(),
            count => format!("; {count} calls failed"),
        };
        let what = self.what();
        let about = format!("{what}{calls}{}", self.next());
        let text = format!("{}: {about}", self.name);
        let function = self.name.clone();
        let of_calls = failed.roots().iter();
        let of_calls = of_calls.map(|call| (Some(*call), format!("{what}, and this call failed")));
        let lines = std::iter::once((None, about)).chain(of_calls).collect();
        // If no call failed, nothing is added to the function's log.
        let pid = self.pid.filter(|_| failed.count() > 0);
        let log = pid.map(|pid| SupervisorTask::AddToLog { function, pid, lines });
        std::iter::once(SupervisorTask::Report { text }).chain(log).collect()
    }

    fn what(&self) -> String {
        let process = self.pid.map_or("a process".to_owned(), |pid| format!("process {pid}"));
        match &self.how {
            End::Exited(code) => format!("{process} ended with exit code {code}"),
            End::Killed { signal, has_core } => {
                let core = if *has_core { " (core dumped)" } else { "" };
                format!("{process} died of {signal}{core}")
            }
            End::OutOfMemory => format!("{process} was killed at its limit of memory"),
            End::NotStarted(error) => format!("{process} could not be started: {error}"),
            End::LauncherDied => format!("{process} was killed as the launcher died"),
            End::StartTimedOut(after) => {
                let after = format_duration(*after);
                format!("{process} was ended, as it was not ready within {after} (start_timeout)")
            }
            End::Recycled => format!("{process} was replaced, by its recycle"),
            End::Stuck => {
                format!("{process} is replaced, as a handler in it went on beyond its grace")
            }
        }
    }

    fn next(&self) -> String {
        match (self.next, &self.how) {
            (Next::AtOnce, End::Stuck) => "; another one is started at once".to_owned(),
            (Next::AtOnce, _) => "; restarted at once".to_owned(),
            (Next::After(pause), _) => {
                format!("; restarted in {:.1} s", pause.as_secs_f64())
            }
            (Next::Nothing, _) => "; not restarted".to_owned(),
        }
    }
}
