//! What the configuration says about a function, as far as calls are scheduled by it.

use super::concurrency::Bounds;
use nightcore_runtime::protocol::control::{ChannelKind, Mode, Placement};
use std::num::NonZeroU32;
use std::time::Duration;

/// Most calls of a function that run at once on worker threads, if the configuration does not say.
pub const DEFAULT_MAX_THREADS: u32 = 64;
/// Most calls of a function that run at once in event loops, if the configuration does not say.
pub const DEFAULT_MAX_EVENT_LOOP: u32 = 1024;
/// An event loop takes all messages that have come in one go, so that each call costs less the more
/// of them run. An application in Node answers 2,700 requests a second one by one, 8,000 four at a
/// time, 16,000 sixteen at a time and 21,000 with 64. From step to step that is so little more that
/// the function looks saturated while its limit is still low. So as many calls may always run as
/// end within this time. A call then waits that long in the loop instead of in the queue.
const EVENT_LOOP_IN_ONE_GO: Duration = Duration::from_millis(2);

/// What the configuration says about a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Processes that run it.
    pub processes: u32,
    /// Least number of workers.
    pub min: u32,
    /// Most calls that run at once; by the kind of worker if `None`.
    pub max: Option<u32>,
    /// Time a call may take.
    pub timeout: Duration,
    /// Time beyond it before its worker counts as stuck.
    pub grace: Duration,
    /// Most calls in the queue.
    pub queue_calls: u32,
    /// Most bytes in the queue.
    pub queue_bytes: u64,
    /// How deep calls may be nested.
    pub max_depth: u32,
    /// Whether clients may call it.
    pub external: bool,
    /// What carries its messages.
    pub channel: ChannelKind,
    /// Where its worker threads run while they look for messages.
    pub placement: Placement,
    /// Whether its workers may be lent, and its handlers call others directly.
    pub direct: bool,
    /// At how many deaths an input must have been under way to be refused; `None`: none is.
    pub quarantine_after: Option<NonZeroU32>,
    /// How often an internal call of it is sent again whose process died.
    pub retries: u32,
    /// Whether that may be one that has begun.
    pub idempotent: bool,
    /// The path that a container must answer before it gets calls.
    pub ready_path: Option<String>,
    /// Whether callers are told the texts of its unexpected errors.
    pub exposes_errors: bool,
}

impl Spec {
    /// Most calls of the function that run at once on workers of this kind, if it is known.
    pub fn max(&self, mode: Option<Mode>) -> u32 {
        self.max.unwrap_or(match mode {
            None | Some(Mode::Threads) => DEFAULT_MAX_THREADS,
            Some(Mode::EventLoop) => DEFAULT_MAX_EVENT_LOOP,
        })
    }

    /// What callers are told of the reason why it cannot be called. The reason itself may name
    /// programs and paths of this machine: `nightcore ps` and the engine's output have it.
    pub fn told_reason(&self, reason: &str) -> String {
        if self.exposes_errors {
            return reason.to_owned();
        }
        format!("no process of {} can serve; nightcore ps says why", self.name)
    }

    /// The bounds of its concurrency, on workers of this kind, if it is known.
    pub fn bounds(&self, mode: Option<Mode>) -> Bounds {
        let in_one_go_ns = in_one_go(mode).as_nanos() as u64;
        Bounds { min: self.min, max: self.max(mode), in_one_go_ns }
    }
}

/// How long the calls that may always run at once take together, on workers of this kind.
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
