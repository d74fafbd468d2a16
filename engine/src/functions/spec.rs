//! The part of a function's configuration that the scheduler needs.

use super::concurrency::Bounds;
use nightcore_runtime::protocol::control::{ChannelKind, Mode, Placement};
use std::num::NonZeroU32;
use std::time::Duration;

/// The default of the most calls of a function that run at once on worker threads.
pub const DEFAULT_MAX_THREADS: u32 = 64;
/// The default of the most calls of a function that run at once in event loops.
pub const DEFAULT_MAX_EVENT_LOOP: u32 = 1024;
/// An event loop takes all messages that have come in one go, so each call costs less the more of
/// them run. An application in Node answers 2,700 requests a second one by one, 8,000 four at a
/// time, 16,000 sixteen at a time and 21,000 with 64. Each step brings so little that the function
/// looks saturated while its limit is still low. So as many calls may always run as end within this
/// time. A call then waits for that long in the loop instead of in the queue.
const EVENT_LOOP_IN_ONE_GO: Duration = Duration::from_millis(2);

/// The part of a function's configuration that the scheduler needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// The number of processes that run it.
    pub processes: u32,
    /// The least number of workers.
    pub min: u32,
    /// How many calls may run at once; `None` for the default of its kind of workers.
    pub max: Option<u32>,
    /// How long a call may take.
    pub timeout: Duration,
    /// How much longer a handler may run after its deadline before it counts as stuck.
    pub grace: Duration,
    /// How many calls the queue may hold.
    pub queue_calls: u32,
    /// How many bytes the queue may hold.
    pub queue_bytes: u64,
    /// How deep calls may be nested.
    pub max_depth: u32,
    /// Whether clients may call it.
    pub external: bool,
    /// How messages to and from its workers are carried.
    pub channel: ChannelKind,
    /// The core on which its worker threads spin.
    pub placement: Placement,
    /// Whether its workers may be lent, and its handlers may call others directly.
    pub direct: bool,
    /// After how many deaths an input is refused; `None` if inputs are never refused.
    pub quarantine_after: Option<NonZeroU32>,
    /// How often an internal call of it is sent again after its process died.
    pub retries: u32,
    /// Whether a call whose handler has begun may be sent again.
    pub idempotent: bool,
    /// The path that a container must answer before it gets calls.
    pub ready_path: Option<String>,
    /// Whether callers see the texts of its unexpected errors.
    pub exposes_errors: bool,
}

impl Spec {
    /// How many calls of the function may run at once on workers of this kind. `mode` is `None`
    /// while the kind is unknown.
    pub fn max(&self, mode: Option<Mode>) -> u32 {
        self.max.unwrap_or(match mode {
            None | Some(Mode::Threads) => DEFAULT_MAX_THREADS,
            Some(Mode::EventLoop) => DEFAULT_MAX_EVENT_LOOP,
        })
    }

    /// Returns the text for callers about the reason why the function cannot be called. The reason
    /// itself may name programs and paths of this machine. Only `nightcore ps` and the engine's
    /// output show it.
    pub fn told_reason(&self, reason: &str) -> String {
        if self.exposes_errors {
            return reason.to_owned();
        }
        format!("no process of {} can serve; nightcore ps says why", self.name)
    }

    /// The bounds of its concurrency on workers of this kind. `mode` is `None` while the kind is
    /// unknown.
    pub fn bounds(&self, mode: Option<Mode>) -> Bounds {
        let in_one_go_ns = in_one_go(mode).as_nanos() as u64;
        Bounds { min: self.min, max: self.max(mode), in_one_go_ns }
    }
}

/// The time within which calls on workers of this kind must end to be always allowed to run at
/// once.
fn in_one_go(mode: Option<Mode>) -> Duration {
    match mode {
        None | Some(Mode::Threads) => Duration::ZERO,
        Some(Mode::EventLoop) => EVENT_LOOP_IN_ONE_GO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_event_loops_take_calls_in_one_go() {
        assert_eq!(in_one_go(Some(Mode::EventLoop)), EVENT_LOOP_IN_ONE_GO);
        assert!(EVENT_LOOP_IN_ONE_GO > Duration::ZERO);
        assert_eq!(in_one_go(Some(Mode::Threads)), Duration::ZERO);
        assert_eq!(in_one_go(None), Duration::ZERO);
    }
}
