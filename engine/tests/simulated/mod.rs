//! Code that the tests of the scheduler on a simulated clock share.

#![allow(dead_code)] // Each test uses a part of it.

use nightcore_engine::calls::{Outcome, Share};
use nightcore_engine::functions::{Ran, Spec};
use nightcore_engine::ids::{
    CallId, CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId, Generation,
};
use nightcore_engine::scheduler::{
    Action, Actions, Arrival, CallAlone, Event, InternalCall, ProcessFate, Scheduler,
};
use nightcore_runtime::protocol::control::{ChannelKind, Mode, Placement};
use nightcore_runtime::protocol::{Broken, Failure, InvokeNumber, Status};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

pub const MS: u64 = 1_000_000;

/// The body of a call: the number of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body(pub u64);

impl Share for Body {
    fn share(&mut self) -> Body {
        *self
    }
}

/// Returns the id of the function with this number, in the order in which they were added, from 1.
pub fn function(number: u32) -> FunctionId {
    FunctionId::new(number).expect("functions count from 1")
}

/// Returns the spec of a function with one process and the settings that most tests use.
pub fn spec(name: &str, max: u32) -> Spec {
    Spec {
        direct: true,
        name: name.into(),
        processes: 1,
        min: 1,
        max: Some(max),
        timeout: Duration::from_secs(5),
        grace: Duration::from_secs(1),
        queue_calls: 1000,
        queue_bytes: 1 << 20,
        max_depth: 6,
        external: true,
        channel: ChannelKind::Fifo,
        placement: Placement::Free,
        quarantine_after: None,
        retries: 0,
        idempotent: false,
        ready_path: None,
        exposes_errors: false,
    }
}

/// An internal call of a simulated worker.
pub struct Internal<'a> {
    pub channel: ChannelKey,
    pub parent: CallNumber,
    pub tag: u64,
    /// The callee's id, if the worker knows it.
    pub function: Option<FunctionId>,
    pub name: &'a str,
    pub waits: bool,
    pub payload: Body,
    pub bytes: u64,
}

/// A scheduler whose counters are all recounted after every event.
pub struct Driven<R> {
    scheduler: Scheduler<Body, R>,
    actions: VecDeque<Action<Body, R>>,
    wake_at: Option<u64>,
    roots: u64,
}

impl<R> Default for Driven<R> {
    fn default() -> Self {
        Driven {
            scheduler: Scheduler::default(),
            actions: VecDeque::new(),
            wake_at: None,
            roots: 0,
        }
    }
}

impl<R> Deref for Driven<R> {
    type Target = Scheduler<Body, R>;

    fn deref(&self) -> &Self::Target {
        &self.scheduler
    }
}

impl<R> DerefMut for Driven<R> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.scheduler
    }
}

impl<R> Driven<R> {
    /// Returns a scheduler for a machine with this number of cores.
    pub fn on_cores(cores: Option<NonZeroU32>) -> Driven<R> {
        Driven { scheduler: Scheduler::on_cores(cores), ..Driven::default() }
    }

    /// Removes and returns the next action.
    pub fn next_action(&mut self) -> Option<Action<Body, R>> {
        self.actions.pop_front()
    }

    /// Returns the actions that were not taken yet, in order.
    pub fn pending(&self) -> impl Iterator<Item = &Action<Body, R>> {
        self.actions.iter()
    }

    /// Returns the time at which the scheduler wants to be woken, as of its last event.
    pub fn wake_at(&self) -> Option<u64> {
        self.wake_at
    }

    fn then<T>(
        &mut self,
        event: impl FnOnce(&mut Scheduler<Body, R>, &mut Actions<Body, R>) -> T,
    ) -> T {
        let mut actions = Actions::default();
        let result = event(&mut self.scheduler, &mut actions);
        self.actions.extend(std::iter::from_fn(|| actions.pop()));
        self.wake_at = actions.wake_at();
        self.scheduler.recount().expect("the counters are the sums of the states");
        result
    }

    pub fn event(&mut self, now: u64, event: Event<'_, Body>) -> Result<(), Broken> {
        self.then(|scheduler, actions| scheduler.handle(now, event, actions))
    }

    fn told(&mut self, now: u64, event: Event<'_, Body>) {
        self.event(now, event).expect("only a worker's message can break a rule");
    }

    fn next_root(&mut self) -> CallId {
        self.roots += 1;
        CallId::new(self.roots)
    }

    pub fn external(
        &mut self,
        now: u64,
        function: FunctionId,
        timeout: Option<Duration>,
        (payload, bytes): (Body, u64),
        reply: R,
    ) -> Result<CallNumber, Failure> {
        let input = self.fingerprint(Some(function), payload);
        let root = self.next_root();
        let arrival = Arrival { function, root, timeout, payload, bytes, input, reply };
        self.then(|scheduler, actions| scheduler.arrive(now, arrival, actions))
    }

    /// Asks a container whether it is ready. Returns false if it has no worker, or is known to be
    /// ready.
    pub fn probe(&mut self, now: u64, container: ContainerKey, reply: R) -> bool {
        let function = self.scheduler.functions().next().expect("there is a function");
        let payload = Body(0);
        let (root, timeout, input) = (self.next_root(), None, None);
        let probe = Arrival { function, root, timeout, payload, bytes: 0, input, reply };
        self.then(|scheduler, actions| scheduler.probe(now, container, probe, actions))
    }

    /// Reports that the caller of a container is ready.
    pub fn caller_ready(&mut self, now: u64, container: ContainerKey) -> ChannelKey {
        self.then(|scheduler, actions| scheduler.caller_ready(now, container, actions))
    }

    /// Makes a process call a function outside of any request, with this deadline.
    pub fn call_alone(
        &mut self,
        now: u64,
        (channel, tag): (ChannelKey, u64),
        name: &str,
        deadline: Option<u64>,
    ) -> Result<(), Broken> {
        let callee = self.scheduler.resolve(None, name);
        let (tag, payload) = (InvokeNumber(tag), Body(tag));
        let input = self.fingerprint(callee, payload);
        let root = self.next_root();
        let call =
            CallAlone { channel, tag, root, callee, name, deadline, payload, bytes: 1, input };
        self.event(now, Event::CalledAlone(call))
    }

    pub fn passed(&mut self, now: u64, container: ContainerKey) {
        self.told(now, Event::Passed { container });
    }

    fn fingerprint(&self, function: Option<FunctionId>, payload: Body) -> Option<Fingerprint> {
        self.scheduler.spec(function?).quarantine_after?;
        Some(Fingerprint::new(payload.0))
    }

    pub fn invoke(&mut self, now: u64, call: Internal<'_>) -> Result<(), Broken> {
        let Internal { channel, parent, tag, function, name, waits, payload, bytes } = call;
        let callee = self.scheduler.resolve(function, name);
        let (tag, deadline) = (InvokeNumber(tag), None);
        let input = self.fingerprint(callee, payload);
        let invoke = InternalCall {
            channel,
            parent,
            tag,
            callee,
            name,
            waits,
            deadline,
            payload,
            bytes,
            input,
            below: None,
        };
        self.event(now, Event::Invoked(invoke))
    }

    pub fn complete(
        &mut self,
        now: u64,
        channel: ChannelKey,
        call: CallNumber,
        ran: Ran,
        outcome: Outcome<Body>,
    ) -> Result<(), Broken> {
        self.event(now, Event::Completed { channel, call, ran, outcome })
    }

    pub fn wait(
        &mut self,
        now: u64,
        channel: ChannelKey,
        call: CallNumber,
        seen: u64,
    ) -> Result<(), Broken> {
        self.event(now, Event::Waits { channel, call, seen })
    }

    pub fn cancel(&mut self, now: u64, call: CallNumber) {
        self.told(now, Event::ClientLeft { call });
    }

    pub fn cancel_invoke(&mut self, now: u64, channel: ChannelKey, tag: u64) {
        self.told(now, Event::InvokeCancelled { channel, tag: InvokeNumber(tag) });
    }

    pub fn not_begun(&mut self, now: u64, call: CallNumber) {
        self.told(now, Event::NotBegun { call });
    }

    pub fn undeliverable(&mut self, now: u64, call: CallNumber) {
        let failure = Failure::new(Status::Overloaded, "no room for its payload");
        self.told(now, Event::Undeliverable { call, failure });
    }

    pub fn advance(&mut self, now: u64) {
        self.told(now, Event::Tick);
    }

    pub fn add_function(&mut self, spec: Spec) -> FunctionId {
        self.then(|scheduler, actions| scheduler.add_function(0, spec, actions))
    }

    pub fn set_spec(&mut self, now: u64, function: FunctionId, spec: Spec) {
        self.told(now, Event::Configured { function, spec });
    }

    pub fn begin_generation(&mut self, now: u64, function: FunctionId) -> Generation {
        self.then(|scheduler, actions| scheduler.begin_generation(now, function, actions))
    }

    /// Reports that the function's current generation will not become ready.
    pub fn set_unavailable(&mut self, now: u64, function: FunctionId, reason: &str) {
        let generation = self.serving_generation(function);
        self.told(now, Event::GenerationFailing { function, generation, reason, is_all: true });
    }

    pub fn container_connected(
        &mut self,
        now: u64,
        function: FunctionId,
        generation: Option<Generation>,
        mode: Mode,
    ) -> ContainerKey {
        self.then(|scheduler, actions| scheduler.connect(now, function, generation, mode, actions))
    }

    pub fn container_gone(&mut self, now: u64, container: ContainerKey, failure: &Failure) {
        self.told(now, Event::ContainerGone { container, failure, process: ProcessFate::Died });
    }

    pub fn worker_ready(&mut self, now: u64, container: ContainerKey) -> ChannelKey {
        self.then(|scheduler, actions| scheduler.worker_ready(now, container, actions))
    }

    pub fn worker_failed(&mut self, now: u64, container: ContainerKey) {
        self.told(now, Event::WorkerFailed { container });
    }

    pub fn worker_gone(&mut self, now: u64, channel: ChannelKey, failure: &Failure) {
        self.told(now, Event::WorkerGone { channel, failure });
    }
}
