//! The places of a function's processes. In each place one container follows another.

use crate::config;
use crate::ids::{FunctionId, Generation};
use crate::launcher::end::End;
use crate::pool::FailedCalls;
use std::rc::Rc;
use std::time::Duration;

/// Converts a duration to ns.
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
    /// The number of ends in a row soon after the start, of the previous containers in its place.
    pub(super) failures: u32,
    pub(super) connected: bool,
    pub(super) ready_at: Option<u64>,
    /// The time by which it must be ready.
    pub(super) start_by: Option<u64>,
    /// The longest time that its start may take.
    pub(super) start_timeout: Duration,
    /// The last reason why it did not pass its readiness check, if there was one.
    pub(super) not_ready: Option<String>,
    /// The time that it has to end by itself, before SIGTERM.
    pub(super) stop_timeout: Duration,
    /// The reason why it was ended, if its start took too long.
    pub(super) ended_for: Option<End>,
    /// The container whose place it takes when it is ready.
    pub(super) takes_over: Option<u64>,
    /// Whether another container takes its place because it has reached a bound of `recycle`.
    pub(super) is_recycled: bool,
    /// Whether it stays even if it reaches a bound, because the container that was to take its
    /// place was refused for good.
    pub(super) stays: bool,
    /// Whether nothing takes its place when it ends: another container has taken it already, or its
    /// generation is over.
    pub(super) replaced: bool,
    /// Whether it was refused for a reason that another start would not remove.
    pub(super) hopeless: bool,
    /// Whether it was asked to end or its end was reported already, so that its end is not
    /// reported.
    pub(super) was_told: bool,
    /// The calls that failed with it, once the core has lost it.
    pub(super) failed_calls: Option<FailedCalls>,
    /// The time at which SIGTERM is sent if it does not leave.
    pub(super) terminate_at: Option<u64>,
    /// The time at which SIGKILL is sent if it does not end after SIGTERM.
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

    /// Returns the last result of its readiness check, as the end of a sentence.
    pub(super) fn readiness(&self) -> String {
        self.not_ready.as_ref().map_or(String::new(), |why| format!(", by its ready_path: {why}"))
    }
}

/// A container that is to be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) at: u64,
    /// The number of ends in a row soon after the start, of the previous containers in its place.
    pub(super) failures: u32,
    /// The container whose place it takes when it is ready; `None` if its place is empty.
    pub(super) takes_over: Option<u64>,
}

/// The containers of a function that are started from the same configuration and code. Each of its
/// processes has a place, in which one container follows another. A failure in one place does not
/// delay the others.
#[derive(Debug)]
pub(super) struct Containers {
    pub(super) generation: Generation,
    pub(super) config: Rc<config::FunctionConfig>,
    pub(super) due: Vec<Due>,
}
