//! A function's queue, limits and counts.

use super::call::CallId;
use super::concurrency::{Bounds, Concurrency};
use super::container::ContainerKey;
use super::drain::Drain;
use super::quarantine::Suspects;
use super::retries::Budget;
use super::segments::Segments;
use nightcore_runtime::protocol::Status;
use nightcore_runtime::protocol::control::{ChannelKind, Mode, Placement};
use std::collections::VecDeque;
use std::time::Duration;

/// A function's number: given once, from 1, and never again in an engine's life.
pub type FunctionId = u32;
/// Containers of a function that are started from the same configuration and code, counted from 1.
pub type Generation = u32;

/// Most calls that a container of worker threads runs at once, if the configuration does not say.
pub const DEFAULT_MAX_THREADS: u32 = 64;
/// Most calls that an event loop runs at once, if the configuration does not say.
pub const DEFAULT_MAX_EVENT_LOOP: u32 = 1024;
/// Entries below which a queue is never cleaned.
const CLEAN_ABOVE: usize = 1024;
/// How many calls from outside may be open for each slot: waiting ones cost a worker each.
const OPEN_PER_SLOT: u32 = 8;

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
    /// At how many deaths an input must have been under way to be refused; 0: none is.
    pub quarantine_after: u32,
    /// How often an internal call of it is sent again whose process died.
    pub retries: u32,
    /// Whether that may be one that has begun.
    pub idempotent: bool,
}

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From outside, by the gateway.
    External,
    /// From a function.
    Internal,
}

/// How calls can end, in the order of the table of statuses: answered, by one of the errors that end a call, or refused by the
/// gateway for what the client says of it.
pub const OUTCOMES: usize = Status::DepthExceeded as usize + 2;

/// Counts since the engine started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Calls that came in by the gateway and were accepted.
    pub external: u64,
    /// Calls made by functions that were accepted.
    pub internal: u64,
    /// Calls that ended, also those that were not accepted, by [`Origin`] and outcome.
    pub ended: [[u64; OUTCOMES]; 2],
    /// Containers that held a handler which did not end, and were replaced.
    pub stuck: u64,
    /// Calls that were refused for their input.
    pub quarantine_refused: u64,
    /// How often internal calls were sent again.
    pub retries: u64,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) spec: Spec,
    /// The newest generation of its containers.
    pub(super) generation: Generation,
    /// The generation that gets calls.
    pub(super) serving: Generation,
    /// Why containers of the newest generation do not come to be.
    pub(super) failing: Option<String>,
    /// It is no longer in the configuration.
    pub(super) removed: bool,
    /// What its workers are, once one is there.
    mode: Option<Mode>,
    pub(super) max: u32,
    pub(super) concurrency: Concurrency,
    /// How fast calls leave the queue.
    pub(super) drain: Drain,
    /// Calls from outside that wait, and calls made by functions that wait, each with its number in the order of
    /// arrival. Numbers of calls that have ended meanwhile are skipped.
    pub(super) outside: VecDeque<(u64, CallId)>,
    pub(super) nested: VecDeque<(u64, CallId)>,
    pub(super) next_arrival: u64,
    pub(super) queued: u32,
    pub(super) queued_bytes: u64,
    /// Waiting calls whose answer is there and that need a slot to go on.
    pub(super) resumes: VecDeque<CallId>,
    pub(super) running: u32,
    pub(super) waiting: u32,
    /// Calls from outside that were dispatched and have not ended.
    pub(super) open_outside: u32,
    pub(super) containers: Vec<ContainerKey>,
    /// Why it cannot be called now.
    pub(super) unavailable: Option<String>,
    pub(super) counts: Counts,
    /// Of calls that a worker ended; none before the first.
    pub(super) segments: Option<Box<Segments>>,
    /// Since when there have been more workers than needed.
    pub(super) surplus_since: Option<u64>,
    /// Inputs that may kill its containers.
    pub(super) suspects: Suspects,
    pub(super) retry_budget: Budget,
}

impl Function {
    pub(super) fn new(spec: Spec) -> Function {
        let max = max(&spec, None);
        Function {
            generation: 1,
            serving: 1,
            failing: None,
            removed: false,
            mode: None,
            max,
            concurrency: Concurrency::new(Bounds { min: spec.min, max }),
            drain: Drain::default(),
            spec,
            outside: VecDeque::new(),
            nested: VecDeque::new(),
            next_arrival: 0,
            queued: 0,
            queued_bytes: 0,
            resumes: VecDeque::new(),
            running: 0,
            waiting: 0,
            open_outside: 0,
            containers: Vec::new(),
            unavailable: None,
            counts: Counts::default(),
            segments: None,
            surplus_since: None,
            suspects: Suspects::default(),
            retry_budget: Budget::default(),
        }
    }

    /// The kind of worker decides the default of `max`.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.mode = Some(mode);
        self.set_bounds();
    }

    /// What the configuration says has changed.
    pub(super) fn set_spec(&mut self, spec: Spec) {
        if spec.quarantine_after == 0 {
            self.suspects.clear();
        }
        self.spec = spec;
        self.set_bounds();
    }

    fn set_bounds(&mut self) {
        self.max = max(&self.spec, self.mode);
        self.concurrency.set_bounds(Bounds { min: self.spec.min, max: self.max });
    }

    /// Takes calls that have ended out of the queue when they are most of it; those at its head are skipped in any case.
    pub(super) fn forget_ended(&mut self, is_alive: impl Fn(CallId) -> bool) {
        let queued = self.queued as usize;
        if self.outside.len() + self.nested.len() > CLEAN_ABOVE.max(4 * queued) {
            self.outside.retain(|(_, id)| is_alive(*id));
            self.nested.retain(|(_, id)| is_alive(*id));
        }
    }

    /// How long a call may take that comes now, ns, if calls are queued and it is known: until its turn comes, and then as long
    /// as others.
    pub(super) fn takes_ns(&self, now: u64) -> Option<u64> {
        if self.queued == 0 {
            return None;
        }
        Some(self.drain.wait_ns(now, self.queued)?.saturating_add(self.concurrency.open_ns()))
    }

    pub(super) fn may_open_outside(&self) -> bool {
        self.open_outside < self.max.saturating_mul(OPEN_PER_SLOT)
    }

    pub(super) fn count_end(&mut self, origin: Origin, status: Status) {
        let outcome = match status {
            Status::InvalidArgument => OUTCOMES - 1,
            _ => status.number() as usize,
        };
        if let Some(count) = self.counts.ended[origin as usize].get_mut(outcome) {
            *count += 1;
        }
    }
}

/// Most calls of a function that run at once on workers of this kind.
pub(super) fn max(spec: &Spec, mode: Option<Mode>) -> u32 {
    spec.max.unwrap_or(match mode {
        None | Some(Mode::Threads) => DEFAULT_MAX_THREADS,
        Some(Mode::EventLoop) => DEFAULT_MAX_EVENT_LOOP,
    })
}
