//! Internal calls that are sent again, on a simulated clock: which calls, how often, and which
//! never.

mod simulated;

use nightcore_engine::calls::Outcome;
use nightcore_engine::functions::{Ran, Spec};
use nightcore_engine::ids::{CallNumber, ChannelKey, ContainerKey};
use nightcore_engine::scheduler::Action;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Failure, Status};
use simulated::{Body, Driven, Internal, MS, function as id};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;

const CALLER: u32 = 1;
const CALLEE: u32 = 2;

/// A function that calls another one, each with one container of worker threads.
struct World {
    scheduler: Driven<()>,
    now: u64,
    containers: HashMap<u32, ContainerKey>,
    workers: HashMap<ChannelKey, ContainerKey>,
    asked: VecDeque<ContainerKey>,
    /// The running calls of the caller and of the callee, by function, in the order in which they
    /// were sent.
    open: HashMap<u32, Vec<(ChannelKey, CallNumber, u64)>>,
    /// The results that internal callers received, by tag, and below those of external calls.
    told: Vec<(u64, Status)>,
    answered: Vec<Status>,
    next_tag: u64,
    /// How often a call was sent to the callee.
    sent: u32,
}

fn spec(name: &str) -> Spec {
    simulated::spec(name, 100)
}

fn died() -> Failure {
    Failure::new(Status::ContainerDied, "it died")
}

impl World {
    fn new(retries: u32, idempotent: bool) -> World {
        let mut scheduler = Driven::default();
        assert_eq!(scheduler.add_function(spec("Caller")), id(CALLER));
        assert_eq!(
            scheduler.add_function(Spec { retries, idempotent, ..spec("Callee") }),
            id(CALLEE)
        );
        let mut world = World {
            scheduler,
            now: 1000 * MS,
            containers: HashMap::new(),
            workers: HashMap::new(),
            asked: VecDeque::new(),
            open: HashMap::new(),
            told: Vec::new(),
            answered: Vec::new(),
            next_tag: 0,
            sent: 0,
        };
        world.connect(CALLER);
        world.connect(CALLEE);
        world
    }

    fn connect(&mut self, function: u32) {
        let generation = self.scheduler.newest_generation(id(function));
        let key = self.scheduler.container_connected(
            self.now,
            id(function),
            Some(generation),
            Mode::Threads,
        );
        self.containers.insert(function, key);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            while let Some(action) = self.scheduler.next_action() {
                match action {
                    Action::Dispatch { channel, call, payload, caller, .. } => {
                        let function = caller.map_or(self.function_at(channel), |_| CALLEE);
                        self.sent += u32::from(function == CALLEE);
                        self.open.entry(function).or_default().push((channel, call, payload.0));
                    }
                    Action::Deliver { tag, outcome, .. } => {
                        self.told.push((tag.0, status(&outcome)))
                    }
                    Action::Respond { outcome, .. } => self.answered.push(status(&outcome)),
                    Action::CreateWorker { container } => self.asked.push_back(container),
                    _ => {}
                }
            }
            let Some(container) = self.asked.pop_front() else { return };
            let channel = self.scheduler.worker_ready(self.now, container);
            self.workers.insert(channel, container);
        }
    }

    fn function_at(&self, channel: ChannelKey) -> u32 {
        let of = |function: &u32| self.containers.get(function) == self.workers.get(&channel);
        if of(&CALLEE) { CALLEE } else { CALLER }
    }

    fn open(&self, function: u32) -> Vec<u64> {
        self.open.get(&function).into_iter().flatten().map(|(.., body)| *body).collect()
    }

    /// Makes a client's call.
    fn external(&mut self, function: u32) {
        self.scheduler
            .external(self.now, id(function), None, (Body(0), 1), ())
            .expect("it is accepted");
        self.settle();
    }

    /// Makes the caller's latest handler call the callee and wait. Returns the tag of the call.
    fn invoke(&mut self, body: u64) -> u64 {
        self.next_tag += 1;
        let (channel, parent, _) = *self.open[&CALLER].last().expect("a caller runs");
        let tag = self.next_tag;
        let call = Internal {
            channel,
            parent,
            tag,
            function: Some(id(CALLEE)),
            name: "",
            waits: false,
            payload: Body(body),
            bytes: 1,
        };
        self.scheduler.invoke(self.now, call).expect("an honest worker");
        self.settle();
        tag
    }

    fn end(&mut self, function: u32, outcome: Outcome<Body>) {
        let (channel, call, _) =
            self.open.get_mut(&function).and_then(|open| open.pop()).expect("it runs");
        let ran = Ran { began_at: self.now, ended_at: self.now };
        self.scheduler.complete(self.now, channel, call, ran, outcome).expect("an honest worker");
        self.settle();
    }

    fn die(&mut self, function: u32) {
        let key = self.containers.remove(&function).expect("it is connected");
        self.workers.retain(|_, of| *of != key);
        self.open.remove(&function);
        self.scheduler.container_gone(self.now, key, &died());
        self.settle();
    }

    fn restart(&mut self, function: u32) {
        self.die(function);
        self.connect(function);
    }

    fn advance(&mut self, by: u64) {
        self.now += by;
        self.scheduler.advance(self.now);
        self.settle();
    }

    fn retries(&mut self) -> u64 {
        self.scheduler.status(self.now, id(CALLEE)).counts.retries
    }
}

fn status(outcome: &Outcome<Body>) -> Status {
    outcome.as_ref().map_or_else(|failure| failure.status, |_| Status::Ok)
}

#[test]
fn a_call_whose_process_died_is_sent_again_if_it_may_run_twice() {
    for retries in 1..=3 {
        let mut world = World::new(retries, true);
        world.external(CALLER);
        let tag = world.invoke(7);
        for death in 1..=retries {
            world.restart(CALLEE);
            assert_eq!((world.open(CALLEE), world.told.len()), (vec![7], 0), "after death {death}");
        }
        assert_eq!((world.sent, world.retries()), (retries + 1, u64::from(retries)));
        world.end(CALLEE, Ok(Body(1)));
        assert_eq!(world.told, [(tag, Status::Ok)]);
        world.end(CALLER, Ok(Body(1)));
        assert_eq!((world.answered, world.scheduler.calls_under_way()), (vec![Status::Ok], 0));
    }
}

#[test]
fn it_ends_when_its_retries_are_used_up() {
    let mut world = World::new(2, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    for _ in 0..3 {
        world.restart(CALLEE);
    }
    assert_eq!((world.told.clone(), world.sent), (vec![(tag, Status::ContainerDied)], 3));
    assert!(world.open(CALLEE).is_empty());
    let status = world.scheduler.status(world.now, id(CALLEE));
    assert_eq!((status.queued, status.queued_bytes, status.running, status.waiting), (0, 0, 0, 0));
}

#[test]
fn a_reload_that_takes_retries_away_holds_for_calls_under_way() {
    let mut world = World::new(2, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    let spec = Spec { retries: 0, idempotent: true, ..spec("Callee") };
    world.scheduler.set_spec(world.now, id(CALLEE), spec);
    world.restart(CALLEE);
    assert_eq!((world.told.clone(), world.sent), (vec![(tag, Status::ContainerDied)], 1));
}

#[test]
fn one_that_may_have_begun_is_not_sent_again() {
    let mut world = World::new(3, false);
    world.external(CALLER);
    let tag = world.invoke(7);
    world.restart(CALLEE);
    assert_eq!(
        (world.told.clone(), world.sent, world.retries()),
        (vec![(tag, Status::ContainerDied)], 1, 0)
    );
}

#[test]
fn one_that_surely_did_not_begin_is_sent_again() {
    let mut world = World::new(1, false);
    world.external(CALLER);
    let tag = world.invoke(7);
    let call = world.open[&CALLEE][0].1;
    world.scheduler.not_begun(world.now, call);
    world.restart(CALLEE);
    assert_eq!((world.open(CALLEE), world.sent), (vec![7], 2));
    // The second time, nothing says that the call did not begin.
    world.restart(CALLEE);
    assert_eq!(world.told, [(tag, Status::ContainerDied)]);
}

#[test]
fn without_retries_none_is_sent_again() {
    let mut world = World::new(0, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    let call = world.open[&CALLEE][0].1;
    world.scheduler.not_begun(world.now, call);
    world.restart(CALLEE);
    assert_eq!((world.told.clone(), world.sent), (vec![(tag, Status::ContainerDied)], 1));
}

#[test]
fn a_client_s_call_is_not_sent_again() {
    let mut world = World::new(3, true);
    world.external(CALLEE);
    world.restart(CALLEE);
    assert_eq!((world.answered.clone(), world.sent), (vec![Status::ContainerDied], 1));
}

#[test]
fn a_call_that_its_handler_failed_is_not_sent_again() {
    let mut world = World::new(3, true);
    world.external(CALLER);
    for failure in
        [Status::FunctionFailed, Status::ContainerDied, Status::Unavailable, Status::Overloaded]
    {
        let tag = world.invoke(7);
        world.end(CALLEE, Err(Failure::new(failure, "no")));
        assert_eq!(world.told.last(), Some(&(tag, failure)));
    }
    assert_eq!((world.sent, world.retries()), (4, 0));
}

#[test]
fn a_call_without_a_waiting_caller_is_not_sent_again() {
    // The call was cancelled.
    let mut world = World::new(3, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    let channel = world.open[&CALLER][0].0;
    world.scheduler.cancel_invoke(world.now, channel, tag);
    world.restart(CALLEE);
    assert_eq!((world.told.clone(), world.sent), (vec![(tag, Status::Cancelled)], 1));
    // The caller has died.
    let mut world = World::new(3, true);
    world.external(CALLER);
    world.invoke(7);
    world.restart(CALLER);
    world.restart(CALLEE);
    assert_eq!((world.sent, world.scheduler.calls_under_way()), (1, 0));
    // The deadline of the call has passed.
    let mut world = World::new(3, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    world.advance(5000 * MS);
    world.restart(CALLEE);
    assert_eq!((world.told.clone(), world.sent), (vec![(tag, Status::DeadlineExceeded)], 1));
}

#[test]
fn a_deadline_stays_what_it_was() {
    let mut world = World::new(3, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    world.advance(3000 * MS);
    world.restart(CALLEE);
    assert_eq!(world.open(CALLEE), [7]);
    world.advance(1999 * MS);
    assert_eq!(world.told, []);
    world.advance(MS);
    assert_eq!(world.told, [(tag, Status::DeadlineExceeded)]);
    // The deadline also holds while the call is queued again.
    let mut world = World::new(3, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    world.die(CALLEE);
    assert_eq!(world.scheduler.status(world.now, id(CALLEE)).queued, 1);
    world.advance(5000 * MS);
    assert_eq!(world.told, [(tag, Status::DeadlineExceeded)]);
    assert_eq!(world.scheduler.status(world.now, id(CALLEE)).queued, 0);
}

#[test]
fn one_that_is_sent_again_goes_before_all_others() {
    let mut world = World::new(1, true);
    world.external(CALLER);
    world.invoke(7);
    world.die(CALLEE);
    world.invoke(8);
    world.external(CALLEE);
    world.connect(CALLEE);
    assert_eq!(world.open(CALLEE), [7, 8, 0]);
}

#[test]
fn calls_of_a_handler_that_died_are_cancelled_and_made_again() {
    let mut world = World::new(1, true);
    world.external(CALLER);
    world.invoke(7);
    // The handler calls its own function and waits.
    let (channel, parent, _) = world.open[&CALLEE][0];
    let call = Internal {
        channel,
        parent,
        tag: 99,
        function: Some(id(CALLEE)),
        name: "",
        waits: true,
        payload: Body(9),
        bytes: 1,
    };
    world.scheduler.invoke(world.now, call).expect("an honest worker");
    world.settle();
    assert_eq!(world.open(CALLEE), [7, 9]);
    world.restart(CALLEE);
    assert_eq!(world.open(CALLEE), [7]);
    world.end(CALLEE, Ok(Body(1)));
    let status = world.scheduler.status(world.now, id(CALLEE));
    assert_eq!((status.running, status.waiting, status.queued), (0, 0, 0));
    world.end(CALLER, Ok(Body(1)));
    assert_eq!(world.scheduler.calls_under_way(), 0);
}

#[test]
fn a_crash_loop_ends_what_is_queued_again() {
    let mut world = World::new(10, true);
    world.external(CALLER);
    let tag = world.invoke(7);
    world.die(CALLEE);
    world.scheduler.set_unavailable(world.now, id(CALLEE), "a crash loop");
    world.settle();
    assert_eq!(world.told, [(tag, Status::Unavailable)]);
    assert_eq!(world.scheduler.status(world.now, id(CALLEE)).queued, 0);
}

#[test]
fn a_storm_is_held_to_a_share_of_the_calls() {
    let mut world = World::new(10, true);
    world.external(CALLER);
    for body in 0..50 {
        world.invoke(body);
    }
    for _ in 0..10 {
        world.restart(CALLEE);
    }
    // Ten retries are always allowed, and one more for every five calls. Each death uses up all
    // that are left.
    assert_eq!((world.retries(), world.sent, world.told.len()), (20, 70, 50));
}

#[test]
fn an_input_in_quarantine_is_not_sent_again() {
    let mut world = World::new(10, true);
    let spec = Spec {
        retries: 10,
        idempotent: true,
        quarantine_after: NonZeroU32::new(3),
        ..spec("Callee")
    };
    world.scheduler.set_spec(world.now, id(CALLEE), spec);
    world.external(CALLER);
    let tag = world.invoke(7);
    for _ in 0..3 {
        assert_eq!(world.open(CALLEE), [7]);
        world.restart(CALLEE);
    }
    assert_eq!((world.told.clone(), world.sent), (vec![(tag, Status::FunctionFailed)], 3));
}
