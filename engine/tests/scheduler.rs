//! The scheduler on a simulated clock: whatever happens in whatever order, every call ends exactly
//! once, every counter is the sum of what the calls are doing, `max` is never passed, and nothing
//! is left.

mod simulated;

use nightcore_engine::functions::cores::Reading;
use nightcore_engine::functions::{Origin, Ran, Spec};
use nightcore_engine::ids::{CallId, CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use nightcore_engine::scheduler::{Action, Below, Event, InternalCall};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nightcore_runtime::protocol::limits::MAX_LEASES_OF_LOOP;
use nightcore_runtime::protocol::{Broken, Failure, InvokeNumber, Status};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use simulated::{Body, Driven, Internal, MS};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
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
    root: Option<CallId>,
    /// Internal calls it has under way, by tag.
    outstanding: HashSet<u64>,
    /// Those that were refused at once: their answers change nothing.
    refused: HashSet<u64>,
    /// Whether its slot is lent, as the scheduler knows it.
    blocked: bool,
    answers: u64,
    /// The leases by which it waits for the answers to direct calls; a thread has one at most.
    direct: BTreeSet<CallNumber>,
    /// What it says at the desk.
    seat: Seat,
    /// How often it has asked for a slot without an answer yet: it goes on after the last one.
    wants: u32,
    /// Messages on their way to it that were sent before its slot was lent once more.
    overtaken: usize,
    /// It is cancelled: it makes no direct call.
    cancelled: bool,
    /// Set for a lease.
    lease: Option<Lent>,
}

/// What a handler says at the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// It waits for no direct call.
    Runs,
    /// It waits for one, and its slot can be lent.
    Waits,
    /// Its slot was lent while it waited so.
    Lent,
}

/// What a lease is, which its worker holds as a call.
#[derive(Debug)]
struct Lent {
    caller: ContainerKey,
    callee: usize,
    recalled: bool,
    /// The direct call that it runs: the worker and the call, or lease, that made it.
    runs: Option<(ChannelKey, CallNumber)>,
    /// The handler of that call is there. It is not while the lease has no slot.
    begun: bool,
    /// It was cancelled.
    cancelled: bool,
}

impl Held {
    fn new(call: CallNumber, root: Option<CallId>, lease: Option<Lent>) -> Held {
        Held {
            call,
            root,
            outstanding: HashSet::new(),
            refused: HashSet::new(),
            blocked: false,
            answers: 0,
            direct: BTreeSet::new(),
            seat: Seat::Runs,
            wants: 0,
            overtaken: 0,
            cancelled: false,
            lease,
        }
    }

    /// Whether a handler is there: a lease has none between two direct calls.
    fn has_handler(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.begun)
    }

    /// Whether its handler computes.
    fn computes(&self) -> bool {
        self.has_handler() && !self.blocked && self.direct.is_empty() && self.wants == 0
    }

    /// Whether it waits for nothing.
    fn has_all_answers(&self) -> bool {
        self.outstanding.is_empty() && self.direct.is_empty()
    }

    /// The scheduler has sent it a message, behind which it has a slot, unless it is in an event
    /// loop and has calls under way.
    fn heard(&mut self, mode: Mode) {
        if self.overtaken > 0 {
            self.overtaken -= 1;
        } else {
            let under_way = self.outstanding.difference(&self.refused).next();
            self.blocked = mode == Mode::EventLoop && under_way.is_some();
        }
    }
}

/// A simulated worker: a thread with at most one call, or an event loop with many.
#[derive(Debug)]
struct Worker {
    container: ContainerKey,
    mode: Mode,
    held: Vec<Held>,
}

/// How often what is rare has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// A direct call was made.
    called: u64,
    /// A handler that waited for a direct call has lent its slot.
    lent: u64,
    /// The same, for a slot that it had got back in the meantime.
    lent_again: u64,
    /// A lease with a handler has lent its slot.
    lease_lent: u64,
    /// A handler, or a lease between two calls, has asked for a slot.
    asked: u64,
    /// The same, and none was free.
    asked_in_vain: u64,
    /// It was told that it has one.
    resumed: u64,
    /// A direct call had to wait until its lease had a slot.
    began_late: u64,
    /// A direct call was given up.
    given_up: u64,
    /// A handler had several direct calls under way.
    several: u64,
    /// A handler had direct calls and others under way.
    mixed: u64,
}

impl Reached {
    fn add(&mut self, other: Reached) {
        self.called += other.called;
        self.lent += other.lent;
        self.lent_again += other.lent_again;
        self.lease_lent += other.lease_lent;
        self.asked += other.asked;
        self.asked_in_vain += other.asked_in_vain;
        self.resumed += other.resumed;
        self.began_late += other.began_late;
        self.given_up += other.given_up;
        self.several += other.several;
        self.mixed += other.mixed;
    }
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
    /// What has happened to threads, and to event loops.
    threads: Reached,
    loops: Reached,
}

const THREADS: [Mode; 3] = [Mode::Threads; 3];

impl World {
    fn new(max: [u32; 3], modes: [Mode; 3]) -> World {
        World::new_direct(max, modes, false)
    }

    /// `is_direct`: workers can be lent.
    fn new_direct(max: [u32; 3], modes: [Mode; 3], is_direct: bool) -> World {
        let modes = modes.map(Some);
        let scheduler = Driven::on_cores(NonZeroU32::new(2));
        let mut world = World { scheduler, now: MS, max, modes, is_direct, ..World::default() };
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
        if self.is_direct {
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
                    let mode = worker.mode;
                    let held =
                        worker.held.iter_mut().find(|held| held.outstanding.contains(&tag.0));
                    let held = held.expect("an answer to nothing");
                    held.outstanding.remove(&tag.0);
                    held.answers += 1;
                    if !held.refused.remove(&tag.0) {
                        held.heard(mode);
                    }
                    // A handler that has ended does not hear of it.
                    let goes_on = held.has_handler() && held.has_all_answers();
                    let call = held.call;
                    if mode == Mode::EventLoop && goes_on {
                        self.end_wait(channel, call);
                    }
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
                Action::Check { .. } => panic!("no function has a readiness check"),
                Action::Tell { function, notice } => self.board[place(function)] = notice,
                Action::Lend { channel, lease, caller, callee } => {
                    self.lent(channel, lease, caller, place(callee));
                }
                Action::Recall { lease } => self.recall(lease),
                Action::RecallOne { callee } => self.recall_one(place(callee)),
                Action::LeaseOver { lease, .. } => self.lease_over(lease),
                Action::LendWaiting { function } => self.lend_waiting(place(function)),
                Action::Read { function } => {
                    // One core's worth of what they run.
                    let reading = Some(Reading { used_ns: self.now, crowd: 1.0 });
                    let read = self.scheduler.event(self.now, Event::Read { function, reading });
                    read.expect("it is no worker's message");
                }
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
            let held: Vec<&Held> = workers.flat_map(|w| &w.held).collect();
            let running = held.iter().filter(|held| held.computes()).count() as u32;
            assert!(running <= max, "{running} run of {name}");
            // Leases hold one, also idle ones.
            let slots = held.iter().filter(|held| !held.blocked).count() as u32;
            assert!(slots <= max, "{slots} slots of {name} are held");
            let goes_on =
                |held: &&&Held| held.has_handler() && held.has_all_answers() && held.wants == 0;
            let unseen = held.iter().filter(goes_on).find(|held| held.blocked);
            assert!(unseen.is_none(), "it computes without a slot: {unseen:?}");
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
        // Leases as well.
        for held in self.channels.values().flat_map(|worker| &worker.held) {
            assert_eq!(self.scheduler.waits_for_calls(held.call), held.blocked, "{held:?}");
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
        let is_loop = |worker: &Worker| worker.mode == Mode::EventLoop;
        self.calls(|worker, held| held.computes() || is_loop(worker) && held.has_handler())
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
        let was_blocked = held.blocked;
        held.outstanding.insert(tag);
        held.blocked |= waits;
        let (parent, name) = (held.call, NAMES[function]);
        let payload = Body(tag % 3);
        let (callee, bytes) = (None, 5);
        let is_lease = held.lease.is_some();
        let is_mixed = !held.direct.is_empty();
        self.invoked += 1;
        self.reached(mode).mixed += u64::from(is_mixed);
        let accepted = self.accepted(function);
        if is_lease {
            self.invoke_below((channel, parent), tag, name, waits);
        } else {
            let function = callee;
            let call = Internal { channel, parent, tag, function, name, waits, payload, bytes };
            self.scheduler.invoke(self.now, call).expect("an honest worker");
        }
        if self.accepted(function) == accepted
            && let Some(held) = self.held(channel, parent)
        {
            held.refused.insert(tag);
            held.blocked = was_blocked;
        }
        self.settle();
    }

    /// How many internal calls of a function were accepted.
    fn accepted(&mut self, function: usize) -> u64 {
        self.scheduler.status(self.now, id(function)).counts.internal
    }

    fn reached(&mut self, mode: Mode) -> &mut Reached {
        match mode {
            Mode::Threads => &mut self.threads,
            Mode::EventLoop => &mut self.loops,
        }
    }

    fn mode_of(&self, channel: ChannelKey) -> Mode {
        self.channels.get(&channel).map_or(Mode::Threads, |worker| worker.mode)
    }

    /// So many calls one after the other that a worker is lent.
    fn burst(&mut self, pick: usize, function: usize) {
        let of_function = |world: &World, at: &(ChannelKey, usize)| {
            world.function_of(&world.channels[&at.0]) == Some(function)
        };
        // Nothing is lent to its own container.
        let mut makers = self.acting();
        makers.retain(|at| !of_function(self, at));
        if makers.is_empty() {
            self.external((function + 1) % 3);
            self.all_ready();
            makers = self.acting();
            makers.retain(|at| !of_function(self, at));
        }
        let Some(at) = makers.get(pick % makers.len().max(1)).copied() else { return };
        // Twice as many as make an edge hot: the first lease may need one more worker.
        for _ in 0..9 {
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
        let leases = worker.held.iter().filter(|held| held.lease.is_some()).count();
        match worker.mode {
            Mode::Threads => assert!(worker.held.is_empty(), "a busy worker was lent"),
            Mode::EventLoop => assert!(leases < MAX_LEASES_OF_LOOP, "it has {leases} leases"),
        }
        assert!(worker.container != caller, "a container was lent its own worker");
        let lent =
            Lent { caller, callee, recalled: false, runs: None, begun: false, cancelled: false };
        worker.held.push(Held::new(lease, None, Some(lent)));
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
        let found = self.channels.iter().find_map(|(channel, worker)| {
            let held = worker.held.iter().find(|held| held.direct.contains(&lease))?;
            Some((*channel, held.call))
        });
        if let Some((channel, call)) = found {
            self.direct_answer(channel, call, lease);
        }
        let held = self.channels.values().flat_map(|worker| &worker.held);
        assert!(held.into_iter().all(|held| held.call != lease), "its worker holds it still");
    }

    /// The handlers of a function that wait for direct calls lend their slots: for each direct call
    /// the scheduler is told, and also if the slot was lent already.
    fn lend_waiting(&mut self, function: usize) {
        let mut lent = Vec::new();
        for (channel, worker) in &mut self.channels {
            if self.containers.get(&worker.container).is_none_or(|(of, _)| *of != function) {
                continue;
            }
            for held in worker.held.iter_mut().filter(|held| !held.direct.is_empty()) {
                assert_ne!(held.seat, Seat::Runs, "it waits unseen");
                held.seat = Seat::Lent;
                let call = (held.call, *channel);
                lent.extend(held.direct.iter().map(|_| call));
            }
        }
        lent.sort_unstable();
        lent.into_iter().for_each(|(call, channel)| self.lent_slot(channel, call));
    }

    fn lent_slot(&mut self, channel: ChannelKey, call: CallNumber) {
        let mode = self.mode_of(channel);
        let Some(held) = self
            .channels
            .get(&channel)
            .and_then(|worker| worker.held.iter().find(|held| held.call == call))
        else {
            return;
        };
        let on_the_way = self.scheduler.pending().filter(|action| match action {
            Action::Deliver { channel: to, tag, .. } => {
                *to == channel
                    && held.outstanding.contains(&tag.0)
                    && !held.refused.contains(&tag.0)
            }
            Action::Resumed { channel: to, call: resumed } => *to == channel && *resumed == call,
            _ => false,
        });
        let overtaken = on_the_way.count();
        let is_lease = held.lease.is_some();
        let held = self.held(channel, call).expect("it was found");
        let lends = !std::mem::replace(&mut held.blocked, true);
        held.overtaken = overtaken;
        let reached = self.reached(mode);
        reached.lent += u64::from(lends);
        reached.lent_again += u64::from(overtaken > 0);
        reached.lease_lent += u64::from(lends && is_lease);
        self.told(Event::LentSlot { call });
    }

    fn resumed(&mut self, channel: ChannelKey, call: CallNumber) {
        let mode = self.mode_of(channel);
        // Its container may have died.
        let Some(held) = self.held(channel, call) else { return };
        assert!(held.wants > 0, "it did not ask for a slot");
        assert!(mode == Mode::EventLoop || held.direct.is_empty(), "a thread asks and waits");
        held.wants -= 1;
        held.heard(mode);
        let may_begin = held.wants == 0 && held.lease.is_some();
        self.reached(mode).resumed += 1;
        if may_begin {
            self.begin_waiting(channel, call);
        }
    }

    /// The lease has a slot again, so the call that waits there begins, if it is still wanted.
    fn begin_waiting(&mut self, channel: ChannelKey, lease: CallNumber) {
        let Some((_, lent)) = self.lease(lease) else { return };
        let Some((maker, call)) = lent.runs.filter(|_| !lent.begun) else { return };
        let is_wanted = self.held(maker, call).is_some_and(|held| held.direct.contains(&lease));
        let mode = self.mode_of(channel);
        self.reached(mode).began_late += u64::from(is_wanted);
        let (_, lent) = self.lease(lease).expect("it was found");
        lent.begun = is_wanted;
        if !is_wanted {
            lent.runs = None;
        }
    }

    /// A handler has the answer to a direct call. In an event loop it goes on with it, but the last
    /// one it gets when it has a slot.
    fn direct_answer(&mut self, channel: ChannelKey, call: CallNumber, lease: CallNumber) {
        let mode = self.mode_of(channel);
        let Some(held) = self.held(channel, call) else { return };
        assert!(held.direct.remove(&lease), "an answer to nothing");
        if mode == Mode::Threads || held.has_all_answers() {
            self.end_wait(channel, call);
        }
    }

    /// A handler waits no longer: it needs a slot if its own was lent.
    fn end_wait(&mut self, channel: ChannelKey, call: CallNumber) {
        let Some(held) = self.held(channel, call) else { return };
        if std::mem::replace(&mut held.seat, Seat::Runs) == Seat::Lent {
            held.wants += 1;
            self.ask_for_slot(channel, call);
        }
    }

    fn ask_for_slot(&mut self, channel: ChannelKey, call: CallNumber) {
        self.told(Event::WantsSlot { channel, call });
        let has_one = self.scheduler.pending().any(|action| {
            matches!(action, Action::Resumed { channel: to, call: resumed }
                if *to == channel && *resumed == call)
        });
        let mode = self.mode_of(channel);
        self.reached(mode).asked += 1;
        self.reached(mode).asked_in_vain += u64::from(!has_one);
    }

    /// A call is cancelled, and so are the direct calls that its handler waits for.
    fn cancel_direct(&mut self, channel: ChannelKey, call: CallNumber) {
        let Some(held) = self.held(channel, call) else { return };
        held.cancelled = true;
        let leases: Vec<CallNumber> = held.direct.iter().copied().collect();
        leases.into_iter().for_each(|lease| self.give_up(lease, Some((channel, call))));
    }

    /// A direct call is cancelled, and its lease ends. `waits`: the call that waits for its answer.
    fn give_up(&mut self, lease: CallNumber, waits: Option<(ChannelKey, CallNumber)>) {
        let Some((at, lent)) = self.lease(lease) else { return };
        if std::mem::replace(&mut lent.cancelled, true) {
            return;
        }
        lent.recalled = true;
        self.told(Event::LeaseRecalled { lease });
        self.told(Event::LeaseCancelled { lease });
        if let Some((channel, call)) = waits {
            self.direct_answer(channel, call, lease);
        }
        self.cancel_direct(at, lease);
    }

    /// A handler in an event loop gives up a direct call. Where it is `late`, its time is over: the
    /// scheduler is not told.
    fn cancel_one(&mut self, pick: usize, late: bool) {
        let waiting = self.calls(|worker, held| {
            !held.direct.is_empty() && (late || worker.mode == Mode::EventLoop)
        });
        let Some((channel, place)) = waiting.get(pick % waiting.len().max(1)).copied() else {
            return;
        };
        let held = &self.channels[&channel].held[place];
        let (call, at) = (held.call, pick / waiting.len() % held.direct.len());
        let lease = *held.direct.iter().nth(at).expect("it was counted");
        let mode = self.mode_of(channel);
        self.reached(mode).given_up += 1;
        if late {
            self.direct_answer(channel, call, lease);
        } else {
            self.give_up(lease, Some((channel, call)));
        }
        self.settle();
    }

    /// The leases by which a worker can call now, as far as the board lets it.
    fn free_leases(&self, channel: ChannelKey) -> Vec<CallNumber> {
        let worker = &self.channels[&channel];
        let (caller, board) = (worker.container, self.board);
        let is_full = self.function_of(worker).is_none_or(|own| board[own].is_full);
        self.leases(|lent| {
            !is_full
                && lent.caller == caller
                && !lent.recalled
                && lent.runs.is_none()
                && !board[lent.callee].is_queued
        })
    }

    /// A handler calls by a lease, if its container has one that is free, and the board says
    /// nothing against it.
    fn call_directly(&mut self, pick: usize) {
        let can = |(channel, place): &(ChannelKey, usize)| {
            !self.channels[channel].held[*place].cancelled && !self.free_leases(*channel).is_empty()
        };
        let makers: Vec<(ChannelKey, usize)> = self.acting().into_iter().filter(can).collect();
        let Some((channel, place)) = makers.get(pick % makers.len().max(1)).copied() else {
            return;
        };
        let (call, mode) = (self.channels[&channel].held[place].call, self.mode_of(channel));
        let free = self.free_leases(channel);
        let lease = free[pick / makers.len() % free.len()];
        self.begin_direct((channel, call), mode, lease);
    }

    /// A handler begins a call by a lease.
    fn begin_direct(
        &mut self,
        (channel, call): (ChannelKey, CallNumber),
        mode: Mode,
        lease: CallNumber,
    ) {
        let held = self.held(channel, call).expect("it was picked");
        held.direct.insert(lease);
        if held.seat == Seat::Runs {
            held.seat = Seat::Waits;
        }
        let (several, mixed) = (held.direct.len() > 1, !held.outstanding.is_empty());
        let (at, _) = self.lease(lease).expect("it was found");
        let callee = self.held(at, lease).expect("it was found");
        let may_begin = callee.wants == 0;
        assert!(!may_begin || !callee.blocked, "a call begins without a slot: {callee:?}");
        let (_, lent) = self.lease(lease).expect("it was found");
        (lent.runs, lent.begun) = (Some((channel, call)), may_begin);
        let reached = self.reached(mode);
        reached.called += 1;
        reached.several += u64::from(several);
        reached.mixed += u64::from(mixed);
        self.check();
    }

    /// The handler of a direct call returns: what it has under way is cancelled, its caller goes
    /// on, and calls `again` before the scheduler hears of it.
    fn end_direct(&mut self, channel: ChannelKey, lease: CallNumber, again: bool) {
        let is_loop = self.mode_of(channel) == Mode::EventLoop;
        let Some(held) = self.held(channel, lease) else { return };
        let mut tags: Vec<u64> = held.outstanding.iter().copied().collect();
        let direct = std::mem::take(&mut held.direct);
        tags.sort_unstable();
        for tag in &tags {
            self.scheduler.cancel_invoke(self.now, channel, *tag);
        }
        direct.into_iter().for_each(|lease| self.give_up(lease, None));
        let Some(held) = self.held(channel, lease) else { return };
        let was_lent = std::mem::replace(&mut held.seat, Seat::Runs) == Seat::Lent;
        let Some((_, lent)) = self.lease(lease) else { return };
        lent.begun = false;
        let runs = lent.runs.take();
        // The last answer, which nobody waits for, comes when there is a slot.
        let needs_slot = was_lent || is_loop && !tags.is_empty();
        self.held(channel, lease).expect("it was found").wants += u32::from(needs_slot);
        if let Some((maker, call)) = runs
            && self.held(maker, call).is_some_and(|held| held.direct.contains(&lease))
        {
            self.direct_answer(maker, call, lease);
            let held = self.held(maker, call).expect("it has the answer");
            let may_call = held.computes() && !held.cancelled;
            if again && may_call && self.free_leases(maker).contains(&lease) {
                self.begin_direct((maker, call), self.mode_of(maker), lease);
            }
        }
        if needs_slot {
            self.ask_for_slot(channel, lease);
        }
        self.settle();
    }

    /// A worker gives a lease back that it runs no call of.
    fn give_back(&mut self, pick: usize) {
        let mut back = self.leases(|lent| lent.recalled && lent.runs.is_none());
        let held = self.channels.values().flat_map(|worker| &worker.held);
        let asks: Vec<CallNumber> =
            held.filter(|held| held.wants > 0).map(|held| held.call).collect();
        back.retain(|lease| !asks.contains(lease));
        let Some(call) = back.get(pick % back.len().max(1)).copied() else { return };
        let (channel, _) = self.lease(call).expect("it was found");
        let worker = self.channels.get_mut(&channel).expect("it is there");
        worker.held.retain(|held| held.call != call);
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
        let invoke = InternalCall {
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
            below: Some(Below { root: CallId::new(tag + 1), depth: 1 }),
        };
        self.told(Event::Invoked(invoke));
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
            let lease = worker.held[place].call;
            self.end_direct(channel, lease, false);
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
        // An event loop answers while direct calls are under way.
        held.direct.into_iter().for_each(|lease| self.give_up(lease, None));
        self.settle();
    }

    /// The handlers of direct calls return, all or one of them.
    fn answer_directly(&mut self, pick: usize, all: bool, again: bool) {
        let running = self.calls(|_, held| held.lease.is_some() && held.computes());
        let leases: Vec<(ChannelKey, CallNumber)> = running
            .into_iter()
            .map(|(channel, place)| (channel, self.channels[&channel].held[place].call))
            .collect();
        let from = pick % leases.len().max(1);
        let most = if all { leases.len() } else { 1 };
        for (channel, lease) in leases.iter().skip(from).chain(&leases[..from]).take(most) {
            let held = self.held(*channel, *lease);
            if held.is_some_and(|held| held.computes()) {
                self.end_direct(*channel, *lease, again);
            }
        }
    }

    /// Handlers of a function call by leases, then as many calls from outside come as take all
    /// slots of it, and more.
    fn flood(&mut self, pick: usize, function: usize, rounds: usize) {
        self.external(function);
        self.all_ready();
        if self.leases(|lent| lent.runs.is_none()).is_empty() {
            self.burst(pick, (function + 1 + pick % 2) % 3);
        }
        for pick in 0..rounds * self.acting().len() {
            self.call_directly(pick);
        }
        for _ in 0..=self.max[function] {
            self.external(function);
        }
        self.all_ready();
    }

    /// Handlers that compute return, so many of them.
    fn drain(&mut self, most: usize) {
        for _ in 0..most {
            let Some(at) = self.busy().first().copied() else { return };
            self.complete_at(at, false);
        }
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
                    // Longer together than any pause, and shorter than any deadline.
                    let goes_on = (0..5).any(|_| {
                        self.advance(250 * MS);
                        !self.busy().is_empty() || !self.asked.is_empty()
                    });
                    if !goes_on {
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
    AnswerDirectly { pick: usize, all: bool, again: bool },
    GiveUp { pick: usize, late: bool },
    Flood { pick: usize, function: usize, rounds: usize },
    Drain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => calls(),
        9 => harms(),
    ];
    proptest::collection::vec(step, 1..200)
}

/// Those in which workers are lent: most calls need that nothing breaks for a while.
fn direct_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => calls(),
        40 => direct_calls(),
        3 => harms(),
    ];
    proptest::collection::vec(step, 1..200)
}

fn calls() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, proptest::option::of(1u64..8000))
            .prop_map(|(function, timeout_ms)| Step::External { function, timeout_ms }),
        5 => (any::<usize>(), 0usize..3, any::<bool>())
            .prop_map(|(pick, function, waits)| Step::Invoke { pick, function, waits }),
        2 => any::<usize>().prop_map(Step::Wait),
        6 => (any::<usize>(), any::<bool>())
            .prop_map(|(pick, fails)| Step::Complete { pick, fails }),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::CancelInvoke),
        3 => Just(Step::Ready),
        1 => Just(Step::AllReady),
        1 => Just(Step::Advance(MS / 10)),
    ]
}

fn direct_calls() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<usize>().prop_map(Step::CallDirectly),
        2 => any::<usize>().prop_map(Step::GiveBack),
        1 => any::<usize>().prop_map(Step::Idle),
        3 => (any::<usize>(), 0usize..3)
            .prop_map(|(pick, function)| Step::Burst { pick, function }),
        3 => (any::<usize>(), 0u8..4, any::<bool>())
            .prop_map(|(pick, all, again)| Step::AnswerDirectly { pick, all: all == 0, again }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, late)| Step::GiveUp { pick, late }),
        3 => (any::<usize>(), 0usize..3, 1usize..4)
            .prop_map(|(pick, function, rounds)| Step::Flood { pick, function, rounds }),
        3 => (1usize..60).prop_map(Step::Drain),
    ]
}

fn harms() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<usize>().prop_map(Step::NotBegun),
        1 => Just(Step::Undeliverable),
        1 => (0usize..3, 1u32..4)
            .prop_map(|(function, max)| Step::Reconfigure { function, max }),
        1 => any::<usize>().prop_map(Step::Kill),
        1 => Just(Step::Fail),
        1 => (0usize..3).prop_map(Step::Renew),
        1 => (any::<usize>(), any::<bool>())
            .prop_map(|(pick, breaks)| Step::Leave { pick, breaks }),
        2 => prop_oneof![Just(20 * MS), Just(1500 * MS), Just(7000 * MS)].prop_map(Step::Advance),
    ]
}

/// What a world is like, and what happens in it.
#[derive(Clone, Debug)]
struct Case {
    steps: Vec<Step>,
    max: [u32; 3],
    loops: [bool; 3],
    quarantine_after: [u32; 3],
    retries: [u32; 3],
    idempotent: bool,
    without_grace: bool,
    is_direct: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    prop_oneof![cases_without_leases(), cases_with_leases()]
}

fn cases_without_leases() -> impl Strategy<Value = Case> {
    let functions = (
        [1u32..3, 1u32..3, 1u32..4],
        any::<[bool; 3]>(),
        [0u32..4, 0u32..3, 0u32..2],
        [0u32..3, 0u32..2, 0u32..4],
    );
    (steps(), functions, any::<[bool; 2]>()).prop_map(|(steps, functions, flags)| {
        let (max, loops, quarantine_after, retries) = functions;
        let [idempotent, without_grace] = flags;
        let is_direct = false;
        Case { steps, max, loops, quarantine_after, retries, idempotent, without_grace, is_direct }
    })
}

/// Workers of functions that run one call at a time, or have a quarantine or retries, are not lent.
fn cases_with_leases() -> impl Strategy<Value = Case> {
    let functions = ([2u32..6, 2u32..6, 2u32..6], any::<[bool; 3]>());
    (direct_steps(), functions, any::<[bool; 2]>()).prop_map(|(steps, functions, flags)| {
        let (max, loops) = functions;
        let [idempotent, without_grace] = flags;
        let (quarantine_after, retries, is_direct) = ([0; 3], [0; 3], true);
        Case { steps, max, loops, quarantine_after, retries, idempotent, without_grace, is_direct }
    })
}

impl Case {
    fn world(&self) -> World {
        let mode = |is_loop| if is_loop { Mode::EventLoop } else { Mode::Threads };
        let mut world = World::new_direct(self.max, self.loops.map(mode), self.is_direct);
        for (function, quarantine_after) in self.quarantine_after.into_iter().enumerate() {
            let spec = spec(NAMES[function], self.max[function]);
            let grace = if self.without_grace { Duration::ZERO } else { spec.grace };
            let spec = Spec {
                quarantine_after: NonZeroU32::new(quarantine_after),
                retries: self.retries[function],
                idempotent: self.idempotent,
                grace,
                ..spec
            };
            world.scheduler.set_spec(world.now, id(function), spec);
        }
        world
    }

    /// Does all steps, and has all calls end.
    fn live(self) -> Result<World, TestCaseError> {
        let mut world = self.world();
        let mut left = HashSet::new();
        for step in self.steps {
            left.extend(step.take(&mut world));
            world.check_counts();
        }
        world.finish();
        prop_assert!(world.clients.is_empty(), "no answer for {:?}", world.clients);
        let held: Vec<&Held> = world.channels.values().flat_map(|worker| &worker.held).collect();
        prop_assert!(held.is_empty(), "they wait for ever: {held:?}");
        prop_assert_eq!(world.scheduler.calls_under_way(), 0);
        for (function, generation) in world.containers.values() {
            let text = "an old container is left, or a new one serves not";
            prop_assert_eq!(&world.kept_up[*function], &[*generation], "{}", text);
        }
        for client in 1..=world.next_client {
            let has_ended = world.ended.contains_key(&client);
            prop_assert!(has_ended != left.contains(&client), "client {}", client);
        }
        let mut told = HashMap::new();
        let cancelled = left.iter().map(|_| Status::Cancelled);
        for status in world.ended.values().copied().chain(cancelled) {
            *told.entry(status).or_default() += 1;
        }
        prop_assert_eq!(world.counted(Origin::External), told);
        prop_assert_eq!(world.counted(Origin::Internal).values().sum::<u64>(), world.invoked);
        for id in world.scheduler.functions().collect::<Vec<_>>() {
            let status = world.scheduler.status(world.now, id);
            prop_assert_eq!((status.queued, status.running, status.waiting), (0, 0, 0));
        }
        Ok(world)
    }
}

impl Step {
    /// Takes the step. Returns the client that left, if one did.
    fn take(self, world: &mut World) -> Option<u64> {
        match self {
            Step::External { function, timeout_ms } => {
                world.external_within(function, timeout_ms.map(Duration::from_millis));
            }
            Step::Invoke { pick, function, waits } => world.invoke(pick, function, waits),
            Step::Wait(pick) => world.wait(pick),
            Step::Complete { pick, fails } => world.complete(pick, fails),
            Step::Cancel(pick) => return world.cancel(pick),
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
            Step::AnswerDirectly { pick, all, again } => world.answer_directly(pick, all, again),
            Step::GiveUp { pick, late } => world.cancel_one(pick, late),
            Step::Flood { pick, function, rounds } => world.flood(pick, function, rounds),
            Step::Drain(most) => world.drain(most),
        }
        None
    }
}

proptest! {
    #[test]
    fn every_call_ends_once_and_max_is_hard(case in cases()) {
        case.live()?;
    }
}

/// Cases of this seed do what is rare, so that what the scheduler does then is tested.
#[test]
fn slots_are_lent_and_asked_for_by_threads_and_event_loops() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[16; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (mut threads, mut loops) = (Reached::default(), Reached::default());
    for _ in 0..300 {
        let case = cases_with_leases().new_tree(&mut runner).expect("a case").current();
        let world = case.live().expect("all holds");
        threads.add(world.threads);
        loops.add(world.loops);
    }
    for reached in [threads, loops] {
        assert!(reached.called > 100, "{reached:?}");
        assert!(reached.lent > 20 && reached.lease_lent > 0, "{reached:?}");
        assert!(reached.asked > 20 && reached.asked_in_vain > 10, "{reached:?}");
        assert!(reached.resumed > 20 && reached.given_up > 5, "{reached:?}");
    }
    assert!(loops.several > 10 && loops.mixed > 10, "{loops:?}");
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
fn every_call_below_one_from_outside_is_told_its_id() {
    let mut world = World::new([4, 4, 4], THREADS);
    let mut ids = HashSet::new();
    for client in 1..=2 {
        world.external(0);
        let call = world.clients[&client];
        let mut held = world.channels.values().flat_map(|worker| &worker.held);
        let root = held.find(|held| held.call == call).and_then(|held| held.root);
        assert!(root.is_some_and(|id| ids.insert(id)), "{root:?} is its own");
        for function in [1, 2, 0] {
            world.invoke(0, function, true);
            world.all_ready();
            let (channel, place) = world.busy()[0];
            let held = &world.channels[&channel].held[place];
            assert_eq!(held.root, root, "a call of {}", NAMES[function]);
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
    let unavailable = |world: &World| {
        world.ended.values().filter(|status| **status == Status::Unavailable).count()
    };
    world.scheduler.set_unavailable(world.now, id(0), "broken");
    world.settle();
    assert_eq!(unavailable(&world), 0, "a process that is ready can be called");
    world.kept_up[0].clear();
    let ready: Vec<ContainerKey> = world.containers.keys().copied().collect();
    for container in ready {
        if world.containers.get(&container).is_some_and(|(function, _)| *function == 0) {
            world.kill(container);
        }
    }
    world.scheduler.set_unavailable(world.now, id(0), "broken");
    world.settle();
    assert_eq!(unavailable(&world), 50);
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
    // Where only a thread has ended the others go on, as soon as a process would be dead.
    world.all_ready();
    (0..2).for_each(|_| world.external(0));
    world.close_channel_of_the_one_that_runs();
    assert_eq!(world.busy(), []);
    let at = world.scheduler.wake_at().expect("it is looked at again");
    assert!(at <= world.now + 50 * MS);
    world.advance(50 * MS);
    assert_eq!(world.busy(), [], "the slot is kept for longer");
    world.finish();
    assert_eq!(world.ended.values().filter(|status| **status == Status::Ok).count(), 6 + 1);
}
