//! Decides which worker runs which call, and when.
//!
//! The scheduler is pure state: an event and the time come in, and actions go out, into a buffer
//! that the caller owns. It does no I/O, and times are arguments, in ns of the monotonic clock.
//!
//! Each function has one queue, first in, first out. A call leaves the queue when fewer calls run
//! than [`concurrency`](crate::functions::concurrency) allows and a worker is idle. A call that
//! waits for an internal call does not run: it lends its slot, and needs a slot again before it
//! gets the answer. `max` is never exceeded. The number of open calls from outside is bounded.
//! Nested calls are exempt from that bound, up to the depth limit, so that nesting cannot deadlock.

mod action;
mod arrive;
mod cancel;
mod end;
mod ended_by;
mod event;
mod expiry;
mod kept_slots;
mod lease_table;
mod leases;
mod members;
mod process_calls;
mod readiness;
mod recount;
mod renewal;
mod run;
mod snapshot;
mod status;
mod suspects;
mod tick;
mod time;
mod turn;
mod upkeep;

pub use action::{Action, Actions};
pub use event::{Arrival, Below, CallAlone, Event, InternalCall, ProcessFate};
pub use snapshot::{ContainerCounts, FunctionStatus, WorkerCounts};

use crate::calls::{CallTable, Deadlines, Share};
use crate::functions::{Functions, Origin, Spec};
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use crate::pool::{FailedCalls, Pool};
use ended_by::EndedBy;
use lease_table::Leases;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Broken, Failure, Status};
use std::num::NonZeroU32;
use turn::Turn;
use upkeep::Upkeep;

/// The scheduler. `P` is the type of a payload; `R` is the gateway's handle for an answer.
#[derive(Debug)]
pub struct Scheduler<P, R> {
    functions: Functions,
    calls: CallTable<P, R>,
    pool: Pool,
    deadlines: Deadlines,
    upkeep: Upkeep,
    leases: Leases,
    /// The calls that failed with the container that was lost last.
    failed_calls: FailedCalls,
    /// Whether processes may make calls outside of any request.
    takes_process_calls: bool,
    /// How many calls named an unknown function, by [`Origin`].
    not_found: [u64; 2],
}

impl<P, R> Default for Scheduler<P, R> {
    fn default() -> Self {
        Scheduler {
            functions: Functions::default(),
            calls: CallTable::default(),
            pool: Pool::default(),
            deadlines: Deadlines::default(),
            upkeep: Upkeep::default(),
            leases: Leases::default(),
            failed_calls: FailedCalls::default(),
            takes_process_calls: true,
            not_found: [0; 2],
        }
    }
}

impl<P: Share, R> Scheduler<P, R> {
    /// Creates a scheduler for a machine with this many cores: see
    /// [`cores`](crate::functions::cores). If the number is unknown, only the other limits apply.
    pub fn on_cores(cores: Option<NonZeroU32>) -> Scheduler<P, R> {
        Scheduler { functions: Functions::on_cores(cores), ..Scheduler::default() }
    }

    /// Handles an event, and appends the actions that follow from it to `actions`.
    ///
    /// # Errors
    ///
    /// If a worker broke a rule: it sent a message about a call that it does not run. Nothing
    /// follows from such an event.
    #[inline(always)] // Each caller has one kind of event, and pays for that only.
    pub fn handle(
        &mut self,
        now: u64,
        event: Event<'_, P>,
        actions: &mut Actions<P, R>,
    ) -> Result<(), Broken> {
        self.turn(now, actions, |scheduler, turn| scheduler.take(turn, event))
    }

    /// Admits a call from a client. [`Action::Respond`] reports its end.
    ///
    /// # Errors
    ///
    /// If the call is not admitted: the failure with which it ends, which is counted.
    #[inline]
    pub fn arrive(
        &mut self,
        now: u64,
        arrival: Arrival<P, R>,
        actions: &mut Actions<P, R>,
    ) -> Result<CallNumber, Failure> {
        self.turn(now, actions, |scheduler, turn| scheduler.arrives(turn, arrival))
    }

    /// Adds a container that has connected, of this generation or attached by hand, and asks for
    /// its first workers.
    pub fn connect(
        &mut self,
        now: u64,
        function: FunctionId,
        generation: Option<Generation>,
        mode: Mode,
        actions: &mut Actions<P, R>,
    ) -> ContainerKey {
        self.turn(now, actions, |scheduler, turn| {
            scheduler.connected(turn, function, generation, mode)
        })
    }

    /// Adds a worker that was requested and is now ready for calls.
    pub fn worker_ready(
        &mut self,
        now: u64,
        container: ContainerKey,
        actions: &mut Actions<P, R>,
    ) -> ChannelKey {
        self.turn(now, actions, |scheduler, turn| scheduler.worker_came(turn, container))
    }

    /// Adds a function, or restores one that was removed. A function keeps its id for ever.
    pub fn add_function(
        &mut self,
        now: u64,
        spec: Spec,
        actions: &mut Actions<P, R>,
    ) -> FunctionId {
        self.turn(now, actions, |scheduler, turn| scheduler.added(turn, spec))
    }

    /// Begins a new generation, whose containers are about to be started. If no container of the
    /// function is ready, the new generation serves from the start. A generation that was still
    /// starting is given up. [`Action::Serves`] reports that older generations are over.
    pub fn begin_generation(
        &mut self,
        now: u64,
        function: FunctionId,
        actions: &mut Actions<P, R>,
    ) -> Generation {
        self.turn(now, actions, |scheduler, turn| scheduler.renewed(turn, function))
    }

    #[inline(always)]
    fn turn<T>(
        &mut self,
        now: u64,
        actions: &mut Actions<P, R>,
        take: impl FnOnce(&mut Self, &mut Turn<'_, P, R>) -> T,
    ) -> T {
        let mut turn = Turn::new(now, actions);
        let result = take(self, &mut turn);
        turn.end(self.next_wake(now));
        result
    }

    #[inline(always)]
    fn take(&mut self, turn: &mut Turn<'_, P, R>, event: Event<'_, P>) -> Result<(), Broken> {
        match event {
            Event::Invoked(invoke) => return self.invoke(turn, invoke),
            Event::Completed { channel, call, ran, outcome } => {
                return self.complete(turn, (channel, call), ran, outcome);
            }
            Event::Waits { channel, call, seen } => return self.waits(turn, channel, call, seen),
            Event::WantsSlot { channel, call } => return self.wants_slot(turn, channel, call),
            Event::LentSlot { call } => self.lent_slot(turn, call),
            Event::LeaseRecalled { lease } => self.lease_recalled(lease),
            Event::LeaseCancelled { lease } => self.lease_cancelled(turn, lease),
            Event::LeaseStuck { lease } => self.lease_stuck(turn, lease),
            Event::CalledAlone(call) => return self.called_alone(turn, call),
            Event::CalledDirectly { function, container, counts } => {
                self.functions[function].called_directly(turn.now, counts);
                if self.pool.is_connected(container) {
                    let calls = counts.outcomes.iter().map(|count| u64::from(*count)).sum();
                    self.pool[container].add_direct_calls(calls);
                }
            }
            Event::SetAside { container } => self.set_aside(turn, container),
            Event::Read { function, reading } => self.read(turn, function, reading),
            Event::ClientLeft { call } => self.client_left(turn, call),
            Event::InvokeCancelled { channel, tag } => self.cancel_invoke(turn, channel, tag),
            Event::Undeliverable { call, failure } => {
                self.end(turn, call, Err(failure), EndedBy::Engine);
            }
            Event::NotBegun { call } => {
                if let Some(call) = self.calls.get_mut(call) {
                    call.set_not_begun();
                }
            }
            Event::Passed { container } => self.passed(turn, container),
            Event::WorkerFailed { container } => self.worker_failed(turn, container),
            Event::WorkerGone { channel, failure } => self.worker_gone(turn, channel, failure),
            Event::ContainerGone { container, failure, process } => {
                self.container_gone(turn, container, failure, process);
            }
            Event::ProcessEnded { container } => self.process_ended(turn, container),
            Event::Configured { function, spec } => self.configured(turn, function, spec),
            Event::Removed { function } => self.removed(turn, function),
            Event::GenerationFailing { function, generation, reason, is_all } => {
                self.generation_failing(turn, (function, generation), reason, is_all);
            }
            Event::Tick => self.tick(turn),
        }
        Ok(())
    }

    /// Finds the function with this name. `None` if it does not exist or was removed.
    pub fn find(&self, name: &str) -> Option<FunctionId> {
        self.functions.find(name)
    }

    /// Finds the function that a worker calls, by its id or, if the worker does not know the id
    /// yet, by its name. `None` if it does not exist or was removed.
    #[inline]
    pub fn resolve(&self, function: Option<FunctionId>, name: &str) -> Option<FunctionId> {
        match function {
            Some(function) => Some(function).filter(|id| self.functions.is_there(*id)),
            None => self.find(name),
        }
    }

    /// Returns the configuration of a function.
    #[inline]
    pub fn spec(&self, function: FunctionId) -> &Spec {
        self.functions[function].spec()
    }

    /// Returns the number of calls under way. Direct calls are not counted: each is below one of
    /// these calls.
    pub fn calls_under_way(&self) -> usize {
        self.calls.len() - self.leases.len()
    }

    /// Whether calls are open on this channel.
    #[inline]
    pub fn has_calls(&self, channel: ChannelKey) -> bool {
        self.pool.container_of(channel).is_some() && !self.pool.open(channel).ids().is_empty()
    }

    /// Counts a refused call, of this function or of an unknown one.
    pub fn refused(&mut self, function: Option<FunctionId>, origin: Origin, status: Status) {
        match function {
            Some(id) => self.functions[id].count_end(origin, status),
            None => self.not_found[origin as usize] += 1,
        }
    }

    /// Counts the gateway's response to a request for this function, by its HTTP status.
    pub fn responded(&mut self, function: FunctionId, status: u16) {
        self.functions[function].count_response(status);
    }

    /// Returns the time, in ns, until all calls that are queued now have left a function's queue.
    /// `None` if the function's pace is unknown.
    pub fn drains_in_ns(&self, now: u64, function: FunctionId) -> Option<u64> {
        let f = &self.functions[function];
        f.lateness.wait_ns(now, f.slots.load().queued())
    }
}
