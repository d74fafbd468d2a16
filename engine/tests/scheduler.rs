//! The scheduler on a simulated clock: whatever happens in whatever order, every call ends exactly
//! once, every counter is the sum of what the calls are doing, `max` is never passed, and nothing
//! is left.

mod simulated;

use nightcore_engine::functions::{Origin, Ran, Spec};
use nightcore_engine::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use nightcore_engine::scheduler::{Action, Below, Event, Invoke};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nightcore_runtime::protocol::{Broken, Failure, InvokeNumber, Status};
use proptest::prelude::*;
use simulated::{Body, Driven, Internal, MS};
use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

/// Of every function.
const TIMEOUT: Duration = Duration::from_secs(5);
const NAMES: [&str; 3] = ["A", "B", "C"];

/// The place of a function in `NAMES`.
fn place(id: FunctionId) -> usize {
    id.number() as usize - 1
}

/// The function of this place in `NAMES`.
fn id(function: usize) -> FunctionId {
    simulated::function(function as u32 + 1)
}

fn spec(name: &str, max: u32) -> Spec {
    let channel = ChannelKind::Ring;
    Spec {
        timeout: TIMEOUT,
        queue_calls: 50,
        queue_bytes: 10_000,
        channel,
        ..simulated::spec(name, max)
    }
}

/// A call that a simulated worker holds.
#[derive(Debug)]
struct Held {
    call: CallNumber,
    root: Option<CallNumber>,
    /// Internal calls it has under way, by tag.
    outstanding: HashSet<u64>,
    /// Whether it runs nothing until an answer comes; in an event loop: until all answers have
    /// come.
    blocked: bool,
    answers: u64,
    /// The lease by which it waits for the answer to a direct call.
    direct: Option<CallNumber>,
    /// Its slot was lent while it waited so.
    lent: bool,
    /// It has the answer, and waits for a slot.
    wants: bool,
    /// It is cancelled: it makes no direct call.
    cancelled: bool,
    /// Set for a lease.
    lease: Option<Lent>,
}

/// What a lease is, which its worker holds as a call.
#[derive(Debug)]
struct Lent {
    caller: ContainerKey,
    callee: usize,
    recalled: bool,
    /// The direct call that it runs: the worker and the call, or lease, that made it.
    runs: Option<(ChannelKey, CallNumber)>,
    /// It was cancelled.
    cancelled: bool,
}

impl Held {
    fn new(call: CallNumber, root: Option<CallNumber>, lease: Option<Lent>) -> Held {
        Held {
            call,
            root,
            outstanding: HashSet::new(),
            blocked: false,
            answers: 0,
            direct: None,
            lent: false,
            wants: false,
            cancelled: false,
            lease,
        }
    }

    /// Whether a handler is there: a lease has none between two direct calls.
    fn has_handler(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.runs.is_some())
    }

    /// Whether its handler computes.
    fn computes(&self) -> bool {
        self.has_handler() && !self.blocked && self.direct.is_none() && !self.wants
    }
}

/// A simulated worker: a thread with at most one call, or an event loop with many.
#[derive(Debug)]
struct Worker {
    container: ContainerKey,
    mode: Mode,
    held: Vec<Held>,
}

#[derive(Default)]
struct World {
    scheduler: Driven<u64>,
    now: u64,
    /// Of which function each is, and of which generation.
    containers: HashMap<ContainerKey, (usize, Generation)>,
    /// Generations whose containers are started again when they end, by function.
    kept_up: [Vec<Generation>; 3],
    channels: HashMap<ChannelKey, Worker>,
    /// Workers that were told to end and have not done so yet.
    retired: HashSet<ChannelKey>,
    /// Workers that were asked for and are not there yet.
    asked: VecDeque<ContainerKey>,
    /// How many of those that are asked for next cannot be made.
    failing: u32,
    /// How many of the calls that are dispatched next cannot be sent.
    undeliverable: u32,
    /// Containers beside which another one was started.
    replaced: HashSet<ContainerKey>,
    /// Clients that wait for an answer.
    clients: HashMap<u64, CallNumber>,
    /// When each of them must have its answer.
    due: HashMap<u64, u64>,
    ended: HashMap<u64, Status>,
    next_client: u64,
    next_tag: u64,
    /// Internal calls that were made.
    invoked: u64,
    max: [u32; 3],
    modes: [Option<Mode>; 3],
    /// What callers read of each function.
    board: [Notice; 3],
    /// Whether containers can be lent to.
    is_direct: bool,
    /// How many leases were granted, and direct calls were made.
    granted: u64,
    called_directly: u64,
}

const THREADS: [Mode; 3] = [Mode::Threads; 3];

impl World {
    fn new(max: [u32; 3], modes: [Mode; 3]) -> World {
        World::new_direct(max, modes, false)
    }

    /// `is_direct`: workers can be lent.
    fn new_direct(max: [u32; 3], modes: [Mode; 3], is_direct: bool) -> World {
        let modes = modes.map(Some);
        let mut world = World { now: MS, max, modes, is_direct, ..World::default() };
        for (name, max) in NAMES.iter().zip(max) {
            world.scheduler.add_function(spec(name, max));
        }
        for function in 0..3 {
            world.kept_up[function].push(Generation::FIRST);
            world.connect(function, Generation::FIRST);
        }
        world.all_ready();
        world
    }

    fn mode(&self, function: usize) -> Mode {
        self.modes[function].unwrap_or(Mode::Threads)
    }

    fn connect(&mut self, function: usize, generation: Generation) {
        let mode = self.mode(function);
        let (now, id) = (self.now, id(function));
        let key = self.scheduler.container_connected(now, id, Some(generation), mode);
        self.containers.insert(key, (function, generation));
        if self.is_direct && mode == Mode::Threads {
            self.scheduler.allow_direct(key);
        }
        self.settle();
    }

    /// The function is started anew.
    fn renew(&mut self, function: usize) {
        let id = id(function);
        let generation = self.scheduler.begin_generation(self.now, id);
        let serving = self.scheduler.serving_generation(id);
        self.kept_up[function].retain(|kept| *kept == serving);
        self.kept_up[function].push(generation);
        self.settle();
        self.connect(function, generation);
    }

    /// A container that was asked to leave does so.
    fn left(&mut self, container: ContainerKey) {
        let held = self.channels.values().filter(|worker| worker.container == container);
        assert!(
            held.flat_map(|worker| &worker.held).next().is_none(),
            "it was asked to leave a call"
        );
        self.kill(container);
    }

    /// The worker that was asked for first is ready, or cannot be made.
    fn ready(&mut self) {
        let Some(container) = self.asked.pop_front() else { return };
        if self.failing > 0 {
            self.failing -= 1;
            self.scheduler.worker_failed(self.now, container);
        } else {
            let channel = self.scheduler.worker_ready(self.now, container);
            let worker = Worker {
                container,
                mode: self.mode(self.containers[&container].0),
                held: Vec::new(),
            };
            assert!(
                self.channels.insert(channel, worker).is_none(),
                "a worker's key was given to another"
            );
        }
        self.settle();
    }

    fn all_ready(&mut self) {
        while !self.asked.is_empty() {
            self.ready();
        }
    }

    /// A worker leaves: one that was told to, or one that breaks.
    fn leave(&mut self, pick: usize, breaks: bool) {
        let leaves = |channel: &&ChannelKey| {
            // An event loop that leaves takes its process with it.
            breaks != self.retired.contains(*channel)
                && self.channels[*channel].mode == Mode::Threads
        };
        let mut channels: Vec<ChannelKey> = self.channels.keys().filter(leaves).copied().collect();
        channels.sort_unstable();
        let Some(channel) = channels.get(pick % channels.len().max(1)).copied() else { return };
        self.channels.remove(&channel);
        self.retired.remove(&channel);
        let failure = Failure::new(Status::ContainerDied, "the worker left");
        self.scheduler.worker_gone(self.now, channel, &failure);
        self.settle();
    }

    /// Carries out all actions, and checks each.
    fn settle(&mut self) {
        let (mut ended, mut leaving, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::Dispatch { call, .. } if self.undeliverable > 0 => {
                    self.undeliverable -= 1;
                    self.scheduler.undeliverable(self.now, call);
                }
                Action::Dispatch { channel, call, root, .. } => {
                    assert!(!self.retired.contains(&channel), "a retired worker got a call");
                    let worker =
                        self.channels.get_mut(&channel).expect("a call for a worker that is gone");
                    assert!(
                        worker.held.is_empty() || worker.mode == Mode::EventLoop,
                        "a thread got a second call"
                    );
                    let (function, generation) = self.containers[&worker.container];
                    let serving = self.scheduler.serving_generation(id(function));
                    assert_eq!(generation, serving, "a call for a generation that does not serve");
                    worker.held.push(Held::new(call, root, None));
                }
                Action::Deliver { channel, tag, .. } => {
                    // Of two workers of a container that died, one had called the other.
                    let Some(worker) = self.channels.get_mut(&channel) else { continue };
                    let held =
                        worker.held.iter_mut().find(|held| held.outstanding.contains(&tag.0));
                    let held = held.expect("an answer to nothing");
                    held.outstanding.remove(&tag.0);
                    held.blocked = worker.mode == Mode::EventLoop && !held.outstanding.is_empty();
                    held.answers += 1;
                }
                Action::Respond { reply, outcome } => {
                    self.clients.remove(&reply);
                    let status = outcome.map_or_else(|failure| failure.status, |_| Status::Ok);
                    assert!(self.ended.insert(reply, status).is_none(), "a client got two answers");
                }
                Action::CreateWorker { container } => {
                    self.asked.push_back(container);
                    assert!(self.asked.len() < 10_000, "workers are asked for without end");
                }
                Action::Retire { channel } => {
                    assert!(self.channels[&channel].held.is_empty(), "a busy worker was retired");
                    self.retired.insert(channel);
                }
                Action::Cancel { channel, call, .. } => self.cancel_direct(channel, call),
                Action::Replace { container } => {
                    assert!(self.replaced.insert(container), "it was replaced already");
                    replaced.push(self.containers[&container]);
                }
                Action::Trim { .. } | Action::Quarantined { .. } => {}
                Action::Tell { function, notice } => self.board[place(function)] = notice,
                Action::Lend { channel, lease, caller, callee } => {
                    self.lent(channel, lease, caller, place(callee));
                }
                Action::Recall { lease } => self.recall(lease),
                Action::RecallOne { callee } => self.recall_one(place(callee)),
                Action::LeaseOver { lease, .. } => self.lease_over(lease),
                Action::LendWaiting { function } => self.lend_waiting(place(function)),
                Action::Resumed { channel, call } => self.resumed(channel, call),
                Action::End { container } => ended.push(container),
                Action::Leave { container } => leaving.push(container),
                Action::Serves { function, generation } => {
                    let kept_up = &mut self.kept_up[place(function)];
                    kept_up.retain(|kept| *kept >= generation);
                    assert!(kept_up.contains(&generation), "nothing is started of what serves");
                }
            }
            self.check();
        }
        for (function, generation) in replaced {
            if self.kept_up[function].contains(&generation) {
                self.connect(function, generation);
            }
        }
        for container in ended {
            self.kill(container);
        }
        for container in leaving {
            self.left(container);
        }
    }

    fn function_of(&self, worker: &Worker) -> Option<usize> {
        self.containers.get(&worker.container).map(|(function, _)| *function)
    }

    /// No function runs more than its `max`; a call counts as running unless it is blocked.
    fn check(&self) {
        for (function, (name, max)) in NAMES.iter().zip(self.max).enumerate() {
            let workers = self.channels.values().filter(|w| self.function_of(w) == Some(function));
            let running =
                workers.flat_map(|w| &w.held).filter(|held| held.computes()).count() as u32;
            assert!(running <= max, "{running} run of {name}");
        }
    }

    /// The scheduler knows which calls the workers hold, and which of these wait.
    fn check_counts(&mut self) {
        for (function, name) in NAMES.iter().enumerate() {
            let workers = self.channels.values().filter(|w| self.function_of(w) == Some(function));
            let held = workers.flat_map(|w| &w.held).filter(|held| held.lease.is_none());
            let held: Vec<&Held> = held.collect();
            let blocked = held.iter().filter(|held| held.blocked).count() as u32;
            let status = self.scheduler.status(self.now, id(function));
            assert_eq!(
                status.running + status.waiting,
                held.len() as u32,
                "open calls of {}",
                NAMES[function]
            );
            assert_eq!(status.waiting, blocked, "waiting calls of {name}");
        }
    }

    /// How many calls from there ended in which way, by the scheduler's counts.
    fn counted(&mut self, origin: Origin) -> HashMap<Status, u64> {
        let mut counted = HashMap::new();
        for id in self.scheduler.functions() {
            let ended = self.scheduler.status(self.now, id).counts.ended[origin as usize];
            for (number, count) in ended.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                *counted
                    .entry(Status::from_number(number as u32).expect("a status"))
                    .or_default() += count;
            }
        }
        counted
    }

    fn external(&mut self, function: usize) {
        self.external_within(function, None);
    }

    fn external_within(&mut self, function: usize, timeout: Option<Duration>) {
        self.next_client += 1;
        let client = self.next_client;
        match self.scheduler.external(
            self.now,
            id(function),
            timeout,
            (Body(client % 3), 10),
            client,
        ) {
            Ok(call) => {
                self.clients.insert(client, call);
                let within = timeout.map_or(TIMEOUT, |timeout| timeout.min(TIMEOUT));
                self.due.insert(client, self.now + within.as_nanos() as u64);
            }
            Err(failure) => drop(self.ended.insert(client, failure.status)),
        }
        self.settle();
    }

    /// Calls whose handler computes, by worker and place.
    fn busy(&self) -> Vec<(ChannelKey, usize)> {
        self.calls(|_, held| held.computes())
    }

    /// Calls whose handler may do something. In an event loop one may also while it waits.
    fn acting(&self) -> Vec<(ChannelKey, usize)> {
        self.calls(|worker, held| held.computes() || worker.mode == Mode::EventLoop)
    }

    fn calls(&self, which: impl Fn(&Worker, &Held) -> bool) -> Vec<(ChannelKey, usize)> {
        let mut found = Vec::new();
        for (channel, worker) in &self.channels {
            let places = worker.held.iter().enumerate().filter(|(_, held)| which(worker, held));
            found.extend(places.map(|(place, _)| (*channel, place)));
        }
        found.sort_unstable();
        found
    }

    fn pick(&mut self, pick: usize) -> Option<(ChannelKey, Mode, &mut Held)> {
        let acting = self.acting();
        let (channel, place) = *acting.get(pick % acting.len().max(1))?;
        let worker = self.channels.get_mut(&channel)?;
        Some((channel, worker.mode, worker.held.get_mut(place)?))
    }

    fn invoke(&mut self, pick: usize, function: usize, waits: bool) {
        self.next_tag += 1;
        let tag = self.next_tag;
        let Some((channel, mode, held)) = self.pick(pick) else { return };
        // An event loop cannot tell when its handler waits: it always says so.
        let waits = waits || mode == Mode::EventLoop;
        held.outstanding.insert(tag);
        held.blocked = waits;
        let (parent, name) = (held.call, NAMES[function]);
        let payload = Body(tag % 3);
        let (function, bytes) = (None, 5);
        let is_lease = held.lease.is_some();
        self.invoked += 1;
        if is_lease {
            self.invoke_below((channel, parent), tag, name, waits);
            return;
        }
        let call = Internal { channel, parent, tag, function, name, waits, payload, bytes };
        self.scheduler.invoke(self.now, call).expect("an honest worker");
        self.settle();
    }

    /// So many calls one after the other that a worker is lent.
    fn burst(&mut self, pick: usize, function: usize) {
        let acting = self.acting();
        let Some(at) = acting.get(pick % acting.len().max(1)).copied() else { return };
        for _ in 0..6 {
            let acting = self.acting();
            let Some(pick) = acting.iter().position(|other| *other == at) else { return };
            self.invoke(pick, function, true);
            self.all_ready();
            let begun =
                self.busy().into_iter().find(|begun| *begun != at && !acting.contains(begun));
            if let Some(begun) = begun {
                self.complete_at(begun, false);
            }
        }
    }

    /// The handler waits for any of its calls.
    fn wait(&mut self, pick: usize) {
        let Some((channel, mode, held)) = self.pick(pick) else { return };
        if held.outstanding.is_empty() || mode == Mode::EventLoop {
            return;
        }
        held.blocked = true;
        let (call, answers) = (held.call, held.answers);
        self.scheduler.wait(self.now, channel, call, answers).expect("an honest worker");
        self.settle();
    }

    /// A handler no longer wants one of its calls.
    fn cancel_invoke(&mut self, pick: usize) {
        let Some((channel, _, held)) = self.pick(pick) else { return };
        let Some(tag) = held.outstanding.iter().min().copied() else { return };
        self.scheduler.cancel_invoke(self.now, channel, tag);
        self.settle();
    }

    /// A call turns out not to have reached its worker, which dies.
    fn not_begun(&mut self, pick: usize) {
        let Some((channel, _, held)) = self.pick(pick) else { return };
        let call = held.call;
        let container = self.channels[&channel].container;
        self.scheduler.not_begun(self.now, call);
        self.kill(container);
    }

    /// The function is configured to run as many calls at once as before, one more or one less.
    fn reconfigure(&mut self, function: usize, max: u32) {
        let before = self.scheduler.spec(id(function)).clone();
        let spec = Spec { max: Some(max), ..before };
        // Calls that run already go on.
        self.max[function] = self.max[function].max(max);
        self.scheduler.set_spec(self.now, id(function), spec);
        self.settle();
    }

    fn told(&mut self, event: Event<'_, Body>) {
        self.scheduler.event(self.now, event).expect("an honest worker");
    }

    /// The lease of this number, as its worker holds it.
    fn lease(&mut self, call: CallNumber) -> Option<(ChannelKey, &mut Lent)> {
        self.channels.iter_mut().find_map(|(channel, worker)| {
            let held = worker.held.iter_mut().find(|held| held.call == call)?;
            Some((*channel, held.lease.as_mut()?))
        })
    }

    fn held(&mut self, channel: ChannelKey, call: CallNumber) -> Option<&mut Held> {
        self.channels.get_mut(&channel)?.held.iter_mut().find(|held| held.call == call)
    }

    /// All leases, in their order.
    fn leases(&self, which: impl Fn(&Lent) -> bool) -> Vec<CallNumber> {
        let held = self.channels.values().flat_map(|worker| &worker.held);
        let mut found: Vec<CallNumber> = held
            .filter(|held| held.lease.as_ref().is_some_and(&which))
            .map(|held| held.call)
            .collect();
        found.sort_unstable();
        found
    }

    fn lent(
        &mut self,
        channel: ChannelKey,
        lease: CallNumber,
        caller: ContainerKey,
        callee: usize,
    ) {
        assert!(self.containers.contains_key(&caller), "a lease for a container that is gone");
        assert!(!self.retired.contains(&channel), "a retired worker was lent");
        let worker = self.channels.get_mut(&channel).expect("a lease of a worker that is gone");
        assert!(worker.held.is_empty(), "a busy worker was lent");
        assert!(worker.container != caller, "a container was lent its own worker");
        let lent = Lent { caller, callee, recalled: false, runs: None, cancelled: false };
        worker.held.push(Held::new(lease, None, Some(lent)));
        self.granted += 1;
    }

    fn recall(&mut self, lease: CallNumber) {
        if let Some((_, lent)) = self.lease(lease) {
            lent.recalled = true;
        }
    }

    /// An idle one, if there is one.
    fn recall_one(&mut self, callee: usize) {
        let idle = self.leases(|l| l.callee == callee && !l.recalled && l.runs.is_none());
        let busy = self.leases(|l| l.callee == callee && !l.recalled);
        let Some(lease) = idle.first().or(busy.first()).copied() else { return };
        self.recall(lease);
        self.told(Event::LeaseRecalled { lease });
    }

    /// A lease is over. Its worker has given it back, or is gone: then a direct call has ended.
    fn lease_over(&mut self, lease: CallNumber) {
        let waits = |held: &Held| held.direct == Some(lease);
        let found = self.channels.iter().find_map(|(channel, worker)| {
            let held = worker.held.iter().find(|held| waits(held))?;
            Some((*channel, held.call))
        });
        if let Some((channel, call)) = found {
            self.direct_answer(channel, call);
        }
        let held = self.channels.values().flat_map(|worker| &worker.held);
        assert!(held.into_iter().all(|held| held.call != lease), "its worker holds it still");
    }

    /// The handlers of a function that wait for direct calls lend their slots.
    fn lend_waiting(&mut self, function: usize) {
        let mut lent = Vec::new();
        for worker in self.channels.values_mut() {
            if self.containers.get(&worker.container).is_none_or(|(of, _)| *of != function) {
                continue;
            }
            let waiting = |held: &&mut Held| held.direct.is_some() && !held.lent;
            for held in worker.held.iter_mut().filter(waiting) {
                (held.lent, held.blocked) = (true, true);
                lent.push(held.call);
            }
        }
        lent.sort_unstable();
        lent.into_iter().for_each(|call| self.told(Event::LentSlot { call }));
    }

    fn resumed(&mut self, channel: ChannelKey, call: CallNumber) {
        // Its container may have died.
        let Some(held) = self.held(channel, call) else { return };
        assert!(held.wants && held.direct.is_none(), "it did not ask for a slot");
        (held.wants, held.blocked) = (false, false);
    }

    /// A handler has the answer to its direct call.
    fn direct_answer(&mut self, channel: ChannelKey, call: CallNumber) {
        let Some(held) = self.held(channel, call) else { return };
        held.direct = None;
        if std::mem::take(&mut held.lent) {
            held.wants = true;
            self.told(Event::WantsSlot { channel, call });
        }
    }

    /// A call is cancelled, and so is the direct call that its handler waits for.
    fn cancel_direct(&mut self, channel: ChannelKey, call: CallNumber) {
        let Some(held) = self.held(channel, call) else { return };
        held.cancelled = true;
        let Some(lease) = held.direct else { return };
        let Some((at, lent)) = self.lease(lease) else { return };
        if std::mem::replace(&mut lent.cancelled, true) {
            return;
        }
        lent.recalled = true;
        self.told(Event::LeaseRecalled { lease });
        self.told(Event::LeaseCancelled { lease });
        self.direct_answer(channel, call);
        self.cancel_direct(at, lease);
    }

    /// A handler calls by a lease, if its container has one that is free, and the board says nothing
    /// against it.
    fn call_directly(&mut self, pick: usize) {
        let Some((channel, mode, held)) = self.pick(pick) else { return };
        if held.cancelled {
            return;
        }
        let call = held.call;
        let container = self.channels[&channel].container;
        let Some((own, _)) = self.containers.get(&container).copied() else { return };
        let board = self.board;
        let free = self.leases(|lent| {
            lent.caller == container
                && !lent.recalled
                && lent.runs.is_none()
                && !board[lent.callee].is_queued
        });
        let Some(lease) = free.get(pick % free.len().max(1)).copied() else { return };
        if board[own].is_full || mode == Mode::EventLoop {
            return;
        }
        let (_, lent) = self.lease(lease).expect("it was found");
        lent.runs = Some((channel, call));
        self.held(channel, call).expect("it was picked").direct = Some(lease);
        self.called_directly += 1;
        self.check();
    }

    /// The handler of a direct call returns: what it has under way is cancelled, its caller goes on.
    fn end_direct(&mut self, channel: ChannelKey) {
        let held = &self.channels[&channel].held[0];
        let (lease, mut tags) = (held.call, held.outstanding.iter().copied().collect::<Vec<u64>>());
        tags.sort_unstable();
        for tag in tags {
            self.scheduler.cancel_invoke(self.now, channel, tag);
        }
        self.settle();
        let Some((_, lent)) = self.lease(lease) else { return };
        let runs = lent.runs.take();
        if let Some((channel, call)) = runs
            && self.held(channel, call).is_some_and(|held| held.direct == Some(lease))
        {
            self.direct_answer(channel, call);
        }
        self.settle();
    }

    /// A worker gives a lease back that it runs no call of.
    fn give_back(&mut self, pick: usize) {
        let back = self.leases(|lent| lent.recalled && lent.runs.is_none());
        let Some(call) = back.get(pick % back.len().max(1)).copied() else { return };
        let (channel, _) = self.lease(call).expect("it was found");
        self.channels.get_mut(&channel).expect("it is there").held.clear();
        let ran = Ran { began_at: self.now, ended_at: self.now };
        let done = self.scheduler.complete(self.now, channel, call, ran, Ok(Body::default()));
        done.expect("an honest worker");
        self.settle();
    }

    /// A lease is not used, and taken back.
    fn idle(&mut self, pick: usize) {
        let idle = self.leases(|lent| !lent.recalled && lent.runs.is_none());
        let Some(lease) = idle.get(pick % idle.len().max(1)).copied() else { return };
        self.recall(lease);
        self.told(Event::LeaseRecalled { lease });
        self.settle();
    }

    /// The handler of a direct call makes a call through the scheduler.
    fn invoke_below(
        &mut self,
        (channel, parent): (ChannelKey, CallNumber),
        tag: u64,
        name: &str,
        waits: bool,
    ) {
        let (callee, deadline) = (self.scheduler.resolve(None, name), self.now + 4000 * MS);
        let invoke = Invoke {
            channel,
            parent,
            tag: InvokeNumber(tag),
            callee,
            name,
            waits,
            deadline: Some(deadline),
            payload: Body(tag % 3),
            bytes: 5,
            input: None,
            below: Some(Below { root: parent, depth: 1 }),
        };
        self.told(Event::Invoked(invoke));
        self.settle();
    }

    fn complete(&mut self, pick: usize, fails: bool) {
        let acting = self.acting();
        if let Some(at) = acting.get(pick % acting.len().max(1)) {
            self.complete_at(*at, fails);
        }
    }

    fn complete_at(&mut self, (channel, place): (ChannelKey, usize), fails: bool) {
        let worker = self.channels.get_mut(&channel).expect("it was picked");
        if worker.held[place].lease.is_some() {
            self.end_direct(channel);
            return;
        }
        let held = worker.held.swap_remove(place);
        let outcome = if fails {
            Err(Failure::new(Status::FunctionFailed, "no"))
        } else {
            Ok(Body::default())
        };
        let ran = Ran { began_at: 0, ended_at: self.now };
        self.scheduler
            .complete(self.now, channel, held.call, ran, outcome)
            .expect("an honest worker");
        self.settle();
    }

    fn kill(&mut self, container: ContainerKey) {
        let Some((function, generation)) = self.containers.remove(&container) else { return };
        self.channels.retain(|_, worker| worker.container != container);
        self.retired.retain(|channel| self.channels.contains_key(channel));
        self.asked.retain(|of| *of != container);
        let failure = Failure::new(Status::ContainerDied, "killed");
        self.scheduler.container_gone(self.now, container, &failure);
        for lease in self.leases(|lent| lent.caller == container && lent.runs.is_some()) {
            let (at, lent) = self.lease(lease).expect("it was found");
            lent.recalled = true;
            if !std::mem::replace(&mut lent.cancelled, true) {
                self.told(Event::LeaseCancelled { lease });
                self.cancel_direct(at, lease);
            }
        }
        self.settle();
        if !self.replaced.remove(&container) && self.kept_up[function].contains(&generation) {
            self.connect(function, generation);
        }
    }

    /// The only call that runs ends with its worker; the container, which may die as well.
    fn close_channel_of_the_one_that_runs(&mut self) -> ContainerKey {
        let [(channel, _)] = self.busy()[..] else { panic!("{:?} run", self.busy()) };
        let container = self.channels.remove(&channel).expect("it is there").container;
        let failure = Failure::new(Status::ContainerDied, "it died");
        self.scheduler.worker_gone(self.now, channel, &failure);
        self.settle();
        container
    }

    fn cancel(&mut self, pick: usize) -> Option<u64> {
        let mut clients: Vec<u64> = self.clients.keys().copied().collect();
        clients.sort_unstable();
        let client = *clients.get(pick % clients.len().max(1))?;
        let call = self.clients.remove(&client)?;
        self.scheduler.cancel(self.now, call);
        self.settle();
        Some(client)
    }

    fn advance(&mut self, by: u64) {
        self.now += by;
        self.scheduler.advance(self.now);
        self.settle();
        for client in self.clients.keys() {
            assert!(self.due[client] > self.now, "client {client} has no answer at its deadline");
        }
    }

    /// Handlers return as soon as they can: everything must end, without any deadline's help.
    fn finish(&mut self) {
        self.failing = 0;
        self.undeliverable = 0;
        for _ in 0..20_000 {
            self.all_ready();
            match self.busy().first() {
                Some(at) => self.complete_at(*at, false),
                None if !self.leases(|lent| lent.runs.is_none()).is_empty() => {
                    self.idle(0);
                    self.give_back(0);
                }
                None => {
                    // Longer than any pause, shorter than any deadline.
                    self.advance(250 * MS);
                    if self.busy().is_empty() && self.asked.is_empty() {
                        return;
                    }
                }
            }
        }
        panic!("calls hang: {:?}", self.clients);
    }
}

#[derive(Clone, Debug)]
enum Step {
    External { function: usize, timeout_ms: Option<u64> },
    Invoke { pick: usize, function: usize, waits: bool },
    Wait(usize),
    Complete { pick: usize, fails: bool },
    Cancel(usize),
    CancelInvoke(usize),
    NotBegun(usize),
    Undeliverable,
    Reconfigure { function: usize, max: u32 },
    Kill(usize),
    Ready,
    AllReady,
    Fail,
    Leave { pick: usize, breaks: bool },
    Renew(usize),
    Advance(u64),
    CallDirectly(usize),
    GiveBack(usize),
    Idle(usize),
    Burst { pick: usize, function: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..3, proptest::option::of(1u64..8000))
            .prop_map(|(function, timeout_ms)| Step::External { function, timeout_ms }),
        5 => (any::<usize>(), 0usize..3, any::<bool>())
            .prop_map(|(pick, function, waits)| Step::Invoke { pick, function, waits }),
        2 => any::<usize>().prop_map(Step::Wait),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(pick, fails)| Step::Complete { pick, fails }),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::CancelInvoke),
        1 => any::<usize>().prop_map(Step::NotBegun),
        1 => Just(Step::Undeliverable),
        1 => (0usize..3, 1u32..4)
            .prop_map(|(function, max)| Step::Reconfigure { function, max }),
        1 => any::<usize>().prop_map(Step::Kill),
        3 => Just(Step::Ready),
        1 => Just(Step::AllReady),
        1 => Just(Step::Fail),
        1 => (0usize..3).prop_map(Step::Renew),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, breaks)| Step::Leave { pick, breaks }),
        2 => prop_oneof![Just(MS / 10), Just(20 * MS), Just(1500 * MS), Just(7000 * MS)].prop_map(Step::Advance),
        6 => any::<usize>().prop_map(Step::CallDirectly),
        3 => any::<usize>().prop_map(Step::GiveBack),
        1 => any::<usize>().prop_map(Step::Idle),
        2 => (any::<usize>(), 0usize..3)
            .prop_map(|(pick, function)| Step::Burst { pick, function }),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn every_call_ends_once_and_max_is_hard(
        steps in steps(),
        max in [1u32..3, 1u32..3, 1u32..4],
        loops in any::<[bool; 3]>(),
        quarantine_after in [0u32..4, 0u32..3, 0u32..2],
        retries in [0u32..3, 0u32..2, 0u32..4],
        idempotent in any::<bool>(),
        without_grace in any::<bool>(),
        is_direct in any::<bool>(),
    ) {
        // Workers of functions that run one call at a time, or have a quarantine or retries, are not lent.
        let max = if is_direct { max.map(|max| max + 1) } else { max };
        let (quarantine_after, retries) = if is_direct { ([0; 3], [0; 3]) } else { (quarantine_after, retries) };
        let loops = if is_direct { [loops[0] && loops[1], false, false] } else { loops };
        let mut world = World::new_direct(max, loops.map(|is_loop| if is_loop { Mode::EventLoop } else { Mode::Threads }), is_direct);
        for (function, quarantine_after) in quarantine_after.into_iter().enumerate() {
            let spec = spec(NAMES[function], max[function]);
            let spec = Spec { quarantine_after: NonZeroU32::new(quarantine_after), retries: retries[function], idempotent, ..spec };
            let grace = if without_grace { Duration::ZERO } else { spec.grace };
            let spec = Spec { grace, ..spec };
            world.scheduler.set_spec(world.now, id(function), spec);
        }
        let mut left = HashSet::new();
        for step in steps {
            match step {
                Step::External { function, timeout_ms } => {
                    world.external_within(function, timeout_ms.map(Duration::from_millis));
                }
                Step::Invoke { pick, function, waits } => world.invoke(pick, function, waits),
                Step::Wait(pick) => world.wait(pick),
                Step::Complete { pick, fails } => world.complete(pick, fails),
                Step::Cancel(pick) => left.extend(world.cancel(pick)),
                Step::CancelInvoke(pick) => world.cancel_invoke(pick),
                Step::NotBegun(pick) => world.not_begun(pick),
                Step::Undeliverable => world.undeliverable += 1,
                Step::Reconfigure { function, max } => world.reconfigure(function, max),
                Step::Kill(pick) => {
                    let mut containers: Vec<ContainerKey> = world.containers.keys().copied().collect();
                    containers.sort_unstable();
                    let container = containers[pick % containers.len()];
                    world.kill(container);
                }
                Step::Ready => world.ready(),
                Step::AllReady => world.all_ready(),
                Step::Fail => world.failing += 1,
                Step::Leave { pick, breaks } => world.leave(pick, breaks),
                Step::Renew(function) => world.renew(function),
                Step::Advance(by) => world.advance(by),
                Step::CallDirectly(pick) => world.call_directly(pick),
                Step::GiveBack(pick) => world.give_back(pick),
                Step::Idle(pick) => world.idle(pick),
                // So many that a worker is lent.
                Step::Burst { pick, function } => world.burst(pick, function),
            }
            world.check_counts();
        }
        world.finish();
        prop_assert!(world.clients.is_empty(), "no answer for {:?}", world.clients);
        let held: Vec<&Held> = world.channels.values().flat_map(|worker| &worker.held).collect();
        prop_assert!(held.is_empty(), "they wait for ever: {held:?}");
        prop_assert_eq!(world.scheduler.calls_under_way(), 0);
        for (function, generation) in world.containers.values() {
            prop_assert_eq!(&world.kept_up[*function], &[*generation], "an old container is left, or a new one serves not");
        }
        for client in 1..=world.next_client {
            prop_assert!(world.ended.contains_key(&client) != left.contains(&client), "client {}", client);
        }
        let mut told = HashMap::new();
        for status in world.ended.values().copied().chain(left.iter().map(|_| Status::Cancelled)) {
            *told.entry(status).or_default() += 1;
        }
        prop_assert_eq!(world.counted(Origin::External), told);
        prop_assert_eq!(world.counted(Origin::Internal).values().sum::<u64>(), world.invoked);
        for id in world.scheduler.functions().collect::<Vec<_>>() {
            let status = world.scheduler.status(world.now, id);
            prop_assert_eq!((status.queued, status.running, status.waiting), (0, 0, 0));
        }
    }
}

#[test]
fn calls_start_in_the_order_they_came() {
    let mut world = World::new([1, 1, 1], THREADS);
    for _ in 0..20 {
        world.external(0);
    }
    let mut order = Vec::new();
    while let Some((_, _, held)) = world.pick(0) {
        order.push(held.call.number() >> 32);
        world.complete(0, false);
    }
    assert_eq!(order.len(), 20);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_function_that_calls_itself_ends_with_max_1() {
    let mut world = World::new([1, 1, 1], THREADS);
    world.external(0);
    for _ in 0..6 {
        world.invoke(0, 0, true);
        world.all_ready();
    }
    // One deeper is refused at once, so the caller goes on.
    let before = world.busy();
    world.invoke(0, 0, true);
    assert_eq!(world.busy(), before);
    world.finish();
    assert_eq!(world.ended[&1], Status::Ok);
}

#[test]
fn every_call_below_one_from_outside_is_told_its_number() {
    let mut world = World::new([4, 4, 4], THREADS);
    for client in 1..=2 {
        world.external(0);
        let root = world.clients[&client];
        let at = |world: &World, call: CallNumber| {
            let held = world.channels.values().flat_map(|worker| &worker.held);
            held.map(|held| (held.call, held.root)).find(|(held, _)| *held == call)
        };
        assert_eq!(at(&world, root), Some((root, None)), "it is one itself");
        for function in [1, 2, 0] {
            world.invoke(0, function, true);
            world.all_ready();
            let (channel, place) = world.busy()[0];
            let held = &world.channels[&channel].held[place];
            assert_eq!(held.root, Some(root), "a call of {}", NAMES[function]);
        }
        world.finish();
    }
}

#[test]
fn the_deadline_passes_on_time_and_a_late_answer_is_dropped() {
    let mut world = World::new([1, 1, 1], THREADS);
    world.external(0);
    let call = world.clients[&1];
    world.invoke(0, 1, true);
    assert!(world.scheduler.wake_at().is_some_and(|at| at <= world.now + 5000 * MS));
    world.advance(5000 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    // The client leaves before it has read that.
    world.scheduler.cancel(world.now, call);
    world.finish();
    assert_eq!(world.ended.len(), 1);
    assert_eq!(world.counted(Origin::External), HashMap::from([(Status::DeadlineExceeded, 1)]));
}

#[test]
fn an_answer_after_the_deadline_is_dropped_though_nobody_has_looked_at_the_time() {
    let mut world = World::new([1, 1, 1], THREADS);
    world.external(0);
    let (channel, call) = (world.busy()[0].0, world.clients[&1]);
    world.channels.get_mut(&channel).unwrap().held.clear();
    let now = world.due[&1];
    let ran = Ran { began_at: now, ended_at: now };
    world.scheduler.complete(now, channel, call, ran, Ok(Body::default())).unwrap();
    world.now = now;
    world.settle();
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    // Its worker is idle again.
    world.external(0);
    assert_eq!(world.busy().len(), 1);
}

#[test]
fn a_client_gives_less_time_and_never_more() {
    let mut world = World::new([2, 1, 1], THREADS);
    world.external_within(0, Some(Duration::from_millis(10)));
    world.external_within(0, Some(Duration::from_secs(3600)));
    world.invoke(0, 1, true);
    world.advance(10 * MS);
    assert_eq!((world.ended.get(&1), world.ended.get(&2)), (Some(&Status::DeadlineExceeded), None));
    world.advance(4990 * MS);
    assert_eq!(world.ended[&2], Status::DeadlineExceeded);
    world.finish();
}

#[test]
fn a_handler_that_waits_for_a_slot_past_its_deadline_is_not_stuck() {
    let mut world = World::new([1, 1, 1], THREADS);
    world.external(0);
    world.invoke(0, 1, true);
    world.advance(4000 * MS);
    // Takes the slot that the first one lends, and keeps it.
    world.external(0);
    world.all_ready();
    world.advance(1000 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    // The grace has passed twice, but the first handler cannot go on.
    world.advance(2500 * MS);
    assert!(world.replaced.is_empty(), "its process is replaced through no fault of its own");
    let second = *world
        .busy()
        .iter()
        .find(|(channel, _)| world.channels[channel].held[0].outstanding.is_empty())
        .unwrap();
    world.complete_at(second, false);
    assert_eq!(world.ended[&2], Status::Ok);
    world.finish();
    // One that has its slot, and does not end, is.
    world.external(0);
    let container = world.channels[&world.busy()[0].0].container;
    world.advance(5000 * MS);
    assert!(world.containers.contains_key(&container));
    world.advance(1500 * MS);
    assert!(!world.containers.contains_key(&container));
    world.finish();
}

#[test]
fn without_a_grace_period_a_handler_that_waits_for_a_slot_is_looked_at_now_and_then() {
    let mut world = World::new([1, 1, 1], THREADS);
    let spec = Spec { grace: Duration::ZERO, ..spec("A", 1) };
    world.scheduler.set_spec(world.now, id(0), spec);
    world.external(0);
    world.invoke(0, 1, true);
    world.advance(4000 * MS);
    // Takes the slot that the first one lends, and keeps it.
    world.external(0);
    world.all_ready();
    // The engine goes on, though the first one cannot end.
    world.advance(999 * MS);
    world.advance(2 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    assert!(world.replaced.is_empty(), "its process is replaced through no fault of its own");
    assert!(world.scheduler.wake_at().is_some_and(|at| at > world.now), "it is looked at at once");
    world.finish();
}

#[test]
fn a_full_queue_and_an_unavailable_function_refuse_at_once() {
    let mut world = World::new([1, 1, 1], THREADS);
    for _ in 0..60 {
        world.external(0);
    }
    let refused = world.ended.values().filter(|status| **status == Status::Overloaded).count();
    assert_eq!(refused, 60 - 51);
    world.scheduler.set_unavailable(world.now, id(0), "broken");
    world.settle();
    assert_eq!(world.ended.values().filter(|status| **status == Status::Unavailable).count(), 50);
}

/// Who runs a call alone speaks for it: not another worker, of its container or of another one.
#[test]
fn a_worker_speaks_for_the_calls_that_it_runs_itself() {
    for modes in [THREADS, [Mode::EventLoop; 3]] {
        let mut world = World::new([2, 1, 1], modes);
        (0..2).for_each(|_| world.external(0));
        world.external(1);
        world.all_ready();
        let held = world.channels.iter().flat_map(|(channel, worker)| {
            worker.held.iter().map(|held| (*channel, held.call)).collect::<Vec<_>>()
        });
        let held: Vec<(ChannelKey, CallNumber)> = held.collect();
        assert_eq!(held.len(), 3);
        let mut strangers = 0;
        for (channel, _) in &held {
            for (own, call) in held.iter().filter(|(own, _)| own != channel) {
                let ran = Ran { began_at: 0, ended_at: world.now };
                let invoke = Internal {
                    channel: *channel,
                    parent: *call,
                    tag: 1,
                    function: Some(id(2)),
                    name: "",
                    waits: true,
                    payload: Body::default(),
                    bytes: 0,
                };
                let broken = [
                    world.scheduler.complete(world.now, *channel, *call, ran, Ok(Body::default())),
                    world.scheduler.invoke(world.now, invoke),
                    world.scheduler.wait(world.now, *channel, *call, 0),
                ];
                let expected = [(); 3].map(|()| Err(Broken::Call(call.number())));
                assert_eq!(broken, expected, "a call of {own}, spoken for by {channel}");
                strangers += 1;
            }
        }
        assert!(strangers >= 4, "{strangers}");
        world.settle();
        assert_eq!(world.busy().len(), 3);
        world.finish();
    }
}

#[test]
fn a_container_that_cannot_make_a_worker_is_asked_again_after_a_pause() {
    let mut world = World::new([1, 1, 1], [Mode::EventLoop, Mode::Threads, Mode::Threads]);
    for function in 0..2 {
        let mut containers = world.containers.iter().filter(|(_, (of, _))| *of == function);
        let container = *containers.next().expect("one is connected").0;
        world.failing = 3;
        world.kill(container);
        world.external(function);
        for _ in 0..3 {
            assert_eq!(world.asked.len(), 1, "it is asked once, not without end");
            world.ready();
            assert!(world.asked.is_empty(), "it is not asked at once");
            assert!(world.scheduler.wake_at().is_some_and(|at| at < world.now + 1000 * MS));
            world.advance(1000 * MS);
        }
        assert_eq!(world.busy().len(), 0);
        world.ready();
        assert_eq!(world.busy().len(), 1, "what was queued runs in the end");
        world.finish();
    }
}

/// A process that dies is seen to close its channels, one after the other, before it is seen to be
/// dead.
#[test]
fn what_is_queued_is_not_sent_to_a_process_that_is_dying() {
    let mut world = World::new([4, 1, 1], THREADS);
    (0..4).for_each(|_| world.external(0));
    world.all_ready();
    (0..3).for_each(|_| world.complete(0, false));
    // Three workers of it are idle, and all slots but one taken by none.
    let spec = |max| Spec { max: Some(max), ..spec("A", max) };
    world.scheduler.set_spec(world.now, id(0), spec(1));
    world.max[0] = 1;
    (0..3).for_each(|_| world.external(0));
    let container = world.close_channel_of_the_one_that_runs();
    assert_eq!(world.busy(), [], "they were sent to die");
    world.kill(container);
    world.all_ready();
    assert_eq!(world.busy().len(), 1);
    world.finish();
    let died = world.ended.values().filter(|status| **status == Status::ContainerDied).count();
    assert_eq!((died, world.ended.len()), (1, 7));
    // Where only a thread has ended the others go on, soon.
    world.all_ready();
    (0..2).for_each(|_| world.external(0));
    world.close_channel_of_the_one_that_runs();
    assert_eq!(world.busy(), []);
    let at = world.scheduler.wake_at().expect("it is looked at again");
    assert!(at <= world.now + 50 * MS);
    world.finish();
    assert_eq!(world.ended.values().filter(|status| **status == Status::Ok).count(), 6 + 1);
}
