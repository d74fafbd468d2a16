//! The places of a function's processes: in each of them one container follows the other.

use crate::config;
use crate::ids::{FunctionId, Generation};
use crate::launcher::end::End;
use crate::pool::FailedCalls;
use std::rc::Rc;
use std::time::Duration;

/// A duration in ns.
pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A container that was started and has not ended.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) function: FunctionId,
    pub(super) generation: Generation,
    pub(super) name: String,
    pub(super) pid: Option<i32>,
    /// Ends in a row soon after the start, of those that were in its place before.
    pub(super) failures: u32,
    pub(super) connected: bool,
    pub(super) ready_at: Option<u64>,
    /// When it must be ready.
    pub(super) start_by: Option<u64>,
    /// How long its start may take.
    pub(super) start_timeout: Duration,
    /// Why it did not pass its readiness check, if it was asked.
    pub(super) not_ready: Option<String>,
    /// How long it may take to end by itself, before SIGTERM.
    pub(super) stop_timeout: Duration,
    /// Why it was ended, if its start took too long.
    pub(super) ended_for: Option<End>,
    /// The container whose place it takes when it is ready.
    pub(super) takes_over: Option<u64>,
    /// Another one takes its place, as it has reached a bound of `recycle`.
    pub(super) is_recycled: bool,
    /// It stays, whatever bound it reaches: the container that was to take its place was refused
    /// for good.
    pub(super) stays: bool,
    /// Nothing is to take its place: another one has, or its generation is over.
    pub(super) replaced: bool,
    /// It was refused in a way that another start would not cure.
    pub(super) hopeless: bool,
    /// It was asked to end, so that its end is no news.
    pub(super) was_told: bool,
    /// The calls that failed with it, once the core has lost it.
    pub(super) failed_calls: Option<FailedCalls>,
    /// When SIGTERM follows what it was asked.
    pub(super) terminate_at: Option<u64>,
    /// When SIGKILL follows the SIGTERM it was sent.
    pub(super) kill_at: Option<u64>,
}

impl Launched {
    pub(super) fn new(
        now: u64,
        function: FunctionId,
        containers: &Containers,
        due: Due,
    ) -> Launched {
        let Due { failures, takes_over, .. } = due;
        let config = &containers.config;
        Launched {
            function,
            generation: containers.generation,
            name: config.name.clone(),
            pid: None,
            failures,
            connected: false,
            ready_at: None,
            start_by: Some(now.saturating_add(ns(config.keys.start_timeout))),
            start_timeout: config.keys.start_timeout,
            not_ready: None,
            stop_timeout: config.keys.stop_timeout,
            ended_for: None,
            takes_over,
            is_recycled: false,
            stays: false,
            replaced: false,
            hopeless: false,
            was_told: false,
            failed_calls: None,
            terminate_at: None,
            kill_at: None,
        }
    }

    /// What its readiness check said last, as the end of a sentence.
    pub(super) fn readiness(&self) -> String {
        self.not_ready.as_ref().map_or(String::new(), |why| format!(", by its ready_path: {why}"))
    }
}

/// A container that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) at: u64,
    /// Ends in a row soon after the start, of those that were in its place before.
    pub(super) failures: u32,
    /// The container whose place it takes when it is ready; `None` if its place is empty.
    pub(super) takes_over: Option<u64>,
}

/// The containers of a function that are started from the same configuration and code. Each of its
/// processes has a place, in which one container follows the other; what fails in one place does
/// not hold up the others.
#[derive(Debug)]
pub(super) struct Containers {
    pub(super) generation: Generation,
    pub(super) config: Rc<config::FunctionConfig>,
    pub(super) due: Vec<Due>,
}
