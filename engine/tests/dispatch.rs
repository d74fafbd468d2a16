//! The dispatcher on a simulated clock: whatever happens in whatever order, every call ends exactly once, `max` is
//! never passed, and nothing is left.

use nightcore_engine::dispatch::{Action, CallId, ChannelKey, ContainerKey, Dispatch, Invoke, Spec};
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Failure, Status};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const MS: u64 = 1_000_000;
const NAMES: [&str; 3] = ["A", "B", "C"];

fn spec(name: &str, max: u32) -> Spec {
    Spec {
        name: name.into(),
        processes: 1,
        min: 1,
        max: Some(max),
        timeout: Duration::from_secs(5),
        grace: Duration::from_secs(1),
        queue_calls: 50,
        queue_bytes: 10_000,
        max_depth: 6,
        external: true,
    }
}

/// A call that a simulated worker holds.
#[derive(Debug)]
struct Held {
    call: CallId,
    /// Internal calls it has under way, by tag.
    outstanding: HashSet<u64>,
    /// Whether it runs nothing until an answer comes.
    blocked: bool,
    answers: u64,
}

#[derive(Default)]
struct World {
    dispatch: Dispatch<Vec<u8>, u64>,
    now: u64,
    containers: HashMap<ContainerKey, usize>,
    channels: HashMap<ChannelKey, (ContainerKey, Option<Held>)>,
    retired: HashSet<ChannelKey>,
    /// Containers beside which another one was started.
    replaced: HashSet<ContainerKey>,
    /// Clients that wait for an answer.
    clients: HashMap<u64, CallId>,
    ended: HashMap<u64, Status>,
    next_client: u64,
    next_tag: u64,
    max: [u32; 3],
}

impl World {
    fn new(max: [u32; 3]) -> World {
        let mut world = World { now: MS, max, ..World::default() };
        for (name, max) in NAMES.iter().zip(max) {
            world.dispatch.add_function(spec(name, max));
        }
        for function in 0..3 {
            world.connect(function);
        }
        world
    }

    fn connect(&mut self, function: usize) {
        let key = self.dispatch.container_connected(function as u32 + 1, Mode::Threads, false);
        self.containers.insert(key, function);
        self.settle();
    }

    /// Carries out all actions, and checks each.
    fn settle(&mut self) {
        let (mut ended, mut replaced) = (Vec::new(), Vec::new());
        while let Some(action) = self.dispatch.next_action() {
            match action {
                Action::Dispatch { channel, call, .. } => {
                    assert!(!self.retired.contains(&channel), "a retired worker got a call");
                    let (_, held) =
                        self.channels.get_mut(&channel).expect("a call for a worker that is gone");
                    assert!(held.is_none(), "a thread got a second call");
                    *held = Some(Held { call, outstanding: HashSet::new(), blocked: false, answers: 0 });
                }
                Action::Deliver { channel, tag, .. } => {
                    // Of two workers of a container that died, one had called the other.
                    let Some((_, held)) = self.channels.get_mut(&channel) else { continue };
                    let held = held.as_mut();
                    let held =
                        held.filter(|held| held.outstanding.contains(&tag)).expect("an answer to nothing");
                    held.outstanding.remove(&tag);
                    held.blocked = false;
                    held.answers += 1;
                }
                Action::Respond { reply, outcome } => {
                    self.clients.remove(&reply);
                    let status = outcome.map_or_else(|failure| failure.status, |_| Status::Ok);
                    assert!(self.ended.insert(reply, status).is_none(), "a client got two answers");
                }
                Action::CreateWorker { container } => {
                    let channel = self.dispatch.worker_ready(self.now, container);
                    self.channels.insert(channel, (container, None));
                    self.retired.remove(&channel);
                }
                Action::Retire { channel } => {
                    assert!(self.channels[&channel].1.is_none(), "a busy worker was retired");
                    self.retired.insert(channel);
                }
                Action::Cancel { .. } => {}
                Action::Replace { container } => {
                    assert!(self.replaced.insert(container), "it was replaced already");
                    replaced.push(self.containers[&container]);
                }
                Action::End { container } => ended.push(container),
            }
            self.check();
        }
        for function in replaced {
            self.connect(function);
        }
        for container in ended {
            self.kill(container);
        }
    }

    /// No function runs more than its `max`; a worker counts as running unless it is blocked.
    fn check(&self) {
        for (function, (name, max)) in NAMES.iter().zip(self.max).enumerate() {
            let running = self.channels.values().filter(|(container, held)| {
                self.containers.get(container) == Some(&function)
                    && held.as_ref().is_some_and(|held| !held.blocked)
            });
            let running = running.count() as u32;
            assert!(running <= max, "{running} run of {name}");
        }
    }

    fn external(&mut self, function: usize) {
        self.next_client += 1;
        let client = self.next_client;
        match self.dispatch.external(self.now, function as u32 + 1, vec![0; 10], 10, client) {
            Ok(call) => drop(self.clients.insert(client, call)),
            Err(failure) => drop(self.ended.insert(client, failure.status)),
        }
        self.settle();
    }

    /// Workers whose handler computes.
    fn busy(&self) -> Vec<ChannelKey> {
        let busy =
            self.channels.iter().filter(|(_, (_, held))| held.as_ref().is_some_and(|held| !held.blocked));
        let mut busy: Vec<ChannelKey> = busy.map(|(channel, _)| *channel).collect();
        busy.sort_unstable();
        busy
    }

    fn pick(&mut self, pick: usize) -> Option<(ChannelKey, &mut Held)> {
        let busy = self.busy();
        let channel = *busy.get(pick % busy.len().max(1))?;
        Some((channel, self.channels.get_mut(&channel)?.1.as_mut()?))
    }

    fn invoke(&mut self, pick: usize, function: usize, waits: bool) {
        self.next_tag += 1;
        let tag = self.next_tag;
        let Some((channel, held)) = self.pick(pick) else { return };
        held.outstanding.insert(tag);
        held.blocked = waits;
        let (parent, name) = (held.call, NAMES[function]);
        let invoke =
            Invoke { parent, tag, function: 0, name, waits, deadline: 0, payload: vec![0; 5], bytes: 5 };
        self.dispatch.invoke(self.now, channel, invoke).expect("an honest worker");
        self.settle();
    }

    /// The handler waits for any of its calls.
    fn wait(&mut self, pick: usize) {
        let Some((channel, held)) = self.pick(pick) else { return };
        if held.outstanding.is_empty() {
            return;
        }
        held.blocked = true;
        let (call, answers) = (held.call, held.answers);
        self.dispatch.wait(self.now, channel, call, answers).expect("an honest worker");
        self.settle();
    }

    fn complete(&mut self, pick: usize, fails: bool) {
        let Some((channel, _)) = self.pick(pick) else { return };
        let held = self.channels.get_mut(&channel).and_then(|(_, held)| held.take()).expect("it was picked");
        let outcome = if fails { Err(Failure::new(Status::FunctionFailed, "no")) } else { Ok(vec![1]) };
        self.dispatch.complete(self.now, channel, held.call, outcome).expect("an honest worker");
        self.settle();
    }

    fn kill(&mut self, container: ContainerKey) {
        let Some(function) = self.containers.remove(&container) else { return };
        self.channels.retain(|_, (of, _)| *of != container);
        let failure = Failure::new(Status::ContainerDied, "killed");
        self.dispatch.container_gone(self.now, container, &failure);
        self.settle();
        if !self.replaced.remove(&container) {
            self.connect(function);
        }
    }

    fn cancel(&mut self, pick: usize) -> Option<u64> {
        let mut clients: Vec<u64> = self.clients.keys().copied().collect();
        clients.sort_unstable();
        let client = *clients.get(pick % clients.len().max(1))?;
        let call = self.clients.remove(&client)?;
        self.dispatch.cancel(self.now, call);
        self.settle();
        Some(client)
    }

    fn advance(&mut self, by: u64) {
        self.now += by;
        self.dispatch.advance(self.now);
        self.settle();
    }

    /// Handlers return as soon as they can: everything must end, without any deadline's help.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            if self.busy().is_empty() {
                self.advance(2 * MS);
                if self.busy().is_empty() {
                    return;
                }
            }
            self.complete(0, false);
        }
        panic!("calls hang: {:?}", self.clients);
    }
}

#[derive(Clone, Debug)]
enum Step {
    External(usize),
    Invoke { pick: usize, function: usize, waits: bool },
    Wait(usize),
    Complete { pick: usize, fails: bool },
    Cancel(usize),
    Kill(usize),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..3).prop_map(Step::External),
        5 => (any::<usize>(), 0usize..3, any::<bool>())
            .prop_map(|(pick, function, waits)| Step::Invoke { pick, function, waits }),
        2 => any::<usize>().prop_map(Step::Wait),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(pick, fails)| Step::Complete { pick, fails }),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Kill),
        2 => prop_oneof![Just(MS / 10), Just(20 * MS), Just(1500 * MS), Just(7000 * MS)].prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn every_call_ends_once_and_max_is_hard(steps in steps(), max in [1u32..3, 1u32..3, 1u32..4]) {
        let mut world = World::new(max);
        let mut left = HashSet::new();
        for step in steps {
            match step {
                Step::External(function) => world.external(function),
                Step::Invoke { pick, function, waits } => world.invoke(pick, function, waits),
                Step::Wait(pick) => world.wait(pick),
                Step::Complete { pick, fails } => world.complete(pick, fails),
                Step::Cancel(pick) => left.extend(world.cancel(pick)),
                Step::Kill(pick) => {
                    let mut containers: Vec<ContainerKey> = world.containers.keys().copied().collect();
                    containers.sort_unstable();
                    world.kill(containers[pick % containers.len()]);
                }
                Step::Advance(by) => world.advance(by),
            }
        }
        world.finish();
        prop_assert!(world.clients.is_empty(), "no answer for {:?}", world.clients);
        prop_assert!(world.channels.values().all(|(_, held)| held.is_none()), "a worker waits for ever");
        prop_assert_eq!(world.dispatch.calls_under_way(), 0);
        for client in 1..=world.next_client {
            prop_assert!(world.ended.contains_key(&client) != left.contains(&client), "client {}", client);
        }
        for id in world.dispatch.functions().collect::<Vec<_>>() {
            let status = world.dispatch.status(world.now, id);
            prop_assert_eq!((status.queued, status.running, status.waiting), (0, 0, 0));
        }
    }
}

#[test]
fn calls_start_in_the_order_they_came() {
    let mut world = World::new([1, 1, 1]);
    for _ in 0..20 {
        world.external(0);
    }
    let mut order = Vec::new();
    while let Some((_, held)) = world.pick(0) {
        order.push(held.call >> 32);
        world.complete(0, false);
    }
    assert_eq!(order.len(), 20);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_function_that_calls_itself_ends_with_max_1() {
    let mut world = World::new([1, 1, 1]);
    world.external(0);
    for _ in 0..6 {
        world.invoke(0, 0, true);
    }
    // One deeper is refused at once, so the caller goes on.
    let before = world.busy();
    world.invoke(0, 0, true);
    assert_eq!(world.busy(), before);
    world.finish();
    assert_eq!(world.ended[&1], Status::Ok);
}

#[test]
fn the_deadline_passes_on_time_and_a_late_answer_is_dropped() {
    let mut world = World::new([1, 1, 1]);
    world.external(0);
    world.invoke(0, 1, true);
    assert!(world.dispatch.next_wake(world.now).is_some_and(|at| at <= world.now + 5000 * MS));
    world.advance(5000 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    world.finish();
    assert_eq!(world.ended.len(), 1);
}

#[test]
fn a_full_queue_and_an_unavailable_function_refuse_at_once() {
    let mut world = World::new([1, 1, 1]);
    for _ in 0..60 {
        world.external(0);
    }
    let refused = world.ended.values().filter(|status| **status == Status::Overloaded).count();
    assert_eq!(refused, 60 - 51);
    world.dispatch.set_unavailable(world.now, 1, "broken");
    world.settle();
    assert_eq!(world.ended.values().filter(|status| **status == Status::Unavailable).count(), 50);
}
