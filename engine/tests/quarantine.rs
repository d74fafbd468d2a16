//! Inputs that kill, on a simulated clock: which inputs are refused, from when on and for how long,
//! and which are never refused.

mod simulated;

use nightcore_engine::functions::admission::quarantine::{
    ALONE_FOR_NS, FORGET_AFTER_NS, MAX_SUSPECTS, REFUSE_FOR_NS,
};
use nightcore_engine::functions::{Ran, Spec};
use nightcore_engine::ids::{CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId};
use nightcore_engine::scheduler::Action;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Failure, Status};
use simulated::{Body, Driven, MS};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

const POISON: Body = Body(666);
/// A thousand inputs that kill no worker.
const INNOCENT: std::ops::Range<u64> = 1000..2000;

/// Returns the fingerprint of `POISON`.
fn poison() -> Fingerprint {
    Fingerprint::new(POISON.0)
}

/// One function, whose containers are started again when they die.
struct World {
    scheduler: Driven<Body>,
    now: u64,
    function: FunctionId,
    mode: Mode,
    connected: Vec<ContainerKey>,
    workers: HashMap<ChannelKey, ContainerKey>,
    asked: VecDeque<ContainerKey>,
    /// The calls under way, in the order in which they were sent.
    open: Vec<(ChannelKey, CallNumber, Body)>,
    /// The ends of calls, in the order in which they ended.
    ended: Vec<(Body, Result<(), Failure>)>,
    quarantined: Vec<(Fingerprint, u32)>,
    deaths: u32,
}

fn spec(quarantine_after: u32) -> Spec {
    let timeout = Duration::from_secs(30);
    Spec {
        direct: true,
        timeout,
        queue_calls: 5000,
        quarantine_after: NonZeroU32::new(quarantine_after),
        ..simulated::spec("Foo", 16)
    }
}

impl World {
    fn new(quarantine_after: u32, containers: usize, mode: Mode) -> World {
        let mut scheduler = Driven::default();
        let function = scheduler.add_function(spec(quarantine_after));
        let mut world = World {
            scheduler,
            now: 1000 * MS,
            function,
            mode,
            connected: Vec::new(),
            workers: HashMap::new(),
            asked: VecDeque::new(),
            open: Vec::new(),
            ended: Vec::new(),
            quarantined: Vec::new(),
            deaths: 0,
        };
        (0..containers).for_each(|_| world.connect());
        world
    }

    fn connect(&mut self) {
        let generation = self.scheduler.newest_generation(self.function);
        let key = self.scheduler.container_connected(
            self.now,
            self.function,
            Some(generation),
            self.mode,
        );
        self.connected.push(key);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            while let Some(action) = self.scheduler.next_action() {
                match action {
                    Action::Dispatch { channel, call, payload, .. } => {
                        self.open.push((channel, call, payload));
                    }
                    Action::Respond { reply, outcome } => {
                        self.ended.push((reply, outcome.map(drop)))
                    }
                    Action::CreateWorker { container } => self.asked.push_back(container),
                    Action::Quarantined { input, deaths, .. } => {
                        self.quarantined.push((input, deaths))
                    }
                    _ => {}
                }
            }
            let Some(container) = self.asked.pop_front() else { return };
            let channel = self.scheduler.worker_ready(self.now, container);
            self.workers.insert(channel, container);
        }
    }

    fn call(&mut self, body: Body) {
        if let Err(failure) =
            self.scheduler.external(self.now, self.function, None, (body, 1), body)
        {
            self.ended.push((body, Err(failure)));
        }
        self.settle();
    }

    fn running(&self) -> Vec<Body> {
        self.open.iter().map(|(.., body)| *body).collect()
    }

    /// Lets a handler answer the call with this body, or fail it.
    fn answer(&mut self, body: Body, fails: bool) {
        let at = self.open.iter().position(|(.., running)| *running == body).expect("it runs");
        let (channel, call, _) = self.open.remove(at);
        let outcome =
            if fails { Err(Failure::new(Status::FunctionFailed, "no")) } else { Ok(body) };
        let ran = Ran { began_at: self.now, ended_at: self.now };
        self.scheduler.complete(self.now, channel, call, ran, outcome).expect("an honest worker");
        self.settle();
    }

    fn container_of(&self, body: Body) -> ContainerKey {
        let (channel, ..) =
            self.open.iter().find(|(.., running)| *running == body).expect("it runs");
        self.workers[channel]
    }

    /// Kills the container that runs this body, and starts another one. With `by_channel`, the
    /// engine first sees that the channels are closed.
    fn die_of(&mut self, body: Body, by_channel: bool) {
        let key = self.container_of(body);
        let failure = Failure::new(Status::ContainerDied, "it died");
        let mut channels: Vec<ChannelKey> = self
            .workers
            .iter()
            .filter(|(_, of)| **of == key)
            .map(|(channel, _)| *channel)
            .collect();
        channels.sort_unstable();
        for channel in channels {
            self.open.retain(|(on, ..)| *on != channel);
            self.workers.remove(&channel);
            if by_channel {
                self.scheduler.worker_gone(self.now, channel, &failure);
                self.settle();
            }
        }
        self.now += MS;
        self.scheduler.container_gone(self.now, key, &failure);
        self.open.retain(|(on, ..)| self.workers.contains_key(on));
        self.connected.retain(|other| *other != key);
        self.deaths += 1;
        self.settle();
        self.connect();
    }

    fn advance(&mut self, by: u64) {
        self.now += by;
        self.scheduler.advance(self.now);
        self.settle();
    }

    /// Advances to the time at which the scheduler wants to be woken.
    fn advance_to_next_wake(&mut self) {
        let at = self.scheduler.wake_at().expect("something is to come");
        self.advance(at.saturating_sub(self.now));
    }

    /// Returns how the last call with this body ended.
    fn last(&self, body: Body) -> Result<(), Status> {
        let last = self.ended.iter().rev().find(|(of, _)| *of == body).expect("it has ended");
        last.1.clone().map_err(|failure| failure.status)
    }

    fn refused(&mut self) -> u64 {
        self.scheduler.status(self.now, self.function).counts.quarantine_refused
    }
}

const MODES: [Mode; 2] = [Mode::Threads, Mode::EventLoop];

#[test]
fn an_input_is_refused_after_so_many_deaths_and_no_other() {
    for mode in MODES {
        for after in 1..=4 {
            let mut world = World::new(after, 1, mode);
            for death in 1..=after {
                world.call(POISON);
                assert_eq!(world.quarantined.len(), 0, "refused before death {death}");
                world.die_of(POISON, false);
                assert_eq!(world.last(POISON), Err(Status::ContainerDied));
            }
            assert_eq!(world.quarantined, [(poison(), after)]);
            world.call(POISON);
            assert_eq!(world.last(POISON), Err(Status::FunctionFailed));
            let text = &world.ended.last().unwrap().1.as_ref().unwrap_err().message;
            let expected = format!(
                "this input was under way at {after} deaths of processes of Foo, and is refused \
                 for another 600 s"
            );
            assert_eq!(*text, expected);
            world.call(Body(1));
            world.answer(Body(1), false);
            assert_eq!((world.last(Body(1)), world.deaths, world.refused()), (Ok(()), after, 1));
            let status = world.scheduler.status(world.now, world.function);
            let [one] = &status.quarantined[..] else { panic!("{status:?}") };
            assert_eq!((one.input, one.deaths, one.refused), (poison(), after, 1));
        }
    }
}

#[test]
fn without_a_quarantine_it_goes_on_dying() {
    let mut world = World::new(0, 1, Mode::Threads);
    for _ in 0..20 {
        world.call(POISON);
        world.die_of(POISON, false);
    }
    assert_eq!((world.deaths, world.refused(), world.quarantined.len()), (20, 0, 0));
}

#[test]
fn queued_calls_of_a_refused_input_end_without_another_death() {
    let mut world = World::new(3, 1, Mode::Threads);
    for _ in 0..40 {
        world.call(POISON);
    }
    for _ in 0..100 {
        if world.running().is_empty() {
            break;
        }
        world.die_of(POISON, false);
    }
    assert_eq!(world.deaths, 3, "all that were under way at a death are one input");
    assert_eq!(world.ended.len(), 40);
    assert!(world.refused() > 0);
}

#[test]
fn innocents_that_are_always_there_are_never_refused() {
    for (mode, by_channel) in
        [(Mode::Threads, false), (Mode::Threads, true), (Mode::EventLoop, true)]
    {
        for after in 1..=3 {
            let mut world = World::new(after, 1, mode);
            let innocents: Vec<Body> = INNOCENT.take(8).map(Body).collect();
            for round in 0..200 {
                // Every innocent input is called in each round and answered, alternately with
                // success and with failure. A call that died is made again in the next round.
                for innocent in &innocents {
                    world.call(*innocent);
                }
                world.call(POISON);
                while !world.running().is_empty() {
                    // The poison kills as soon as it runs.
                    if world.running().contains(&POISON) {
                        world.die_of(POISON, by_channel);
                    } else {
                        let first = world.running()[0];
                        world.answer(first, round % 2 == 0);
                    }
                }
            }
            let refused: Vec<Fingerprint> =
                world.quarantined.iter().map(|(input, _)| *input).collect();
            assert_eq!(refused, [poison()], "{mode:?} after {after}");
            // An input one death from the quarantine had run alone. If one death is enough, the
            // input had not run alone yet, so a second death had to show which input kills.
            assert_eq!(world.deaths, after.max(2), "{mode:?} after {after}");
            assert!(innocents.iter().all(|innocent| world.last(*innocent).is_ok() || after == 1));
        }
    }
}

#[test]
fn an_input_one_death_from_quarantine_runs_alone_for_some_time() {
    for mode in MODES {
        let mut world = World::new(2, 1, mode);
        world.call(POISON);
        world.die_of(POISON, false);
        world.call(Body(1));
        world.call(POISON);
        world.call(Body(2));
        assert_eq!(
            world.running(),
            [Body(1)],
            "it waits until nothing else runs, and nothing overtakes it"
        );
        world.answer(Body(1), false);
        assert_eq!(world.running(), [POISON]);
        assert!(world.scheduler.wake_at().is_some_and(|at| at <= world.now + ALONE_FOR_NS));
        world.advance(ALONE_FOR_NS - 1);
        assert_eq!(world.running(), [POISON]);
        world.advance(1);
        assert_eq!(world.running(), [POISON, Body(2)], "what waits for it waits no longer");
        // The input was no longer alone, so this death does not convict it. It runs alone for
        // longer the next time.
        world.die_of(POISON, false);
        assert_eq!(world.quarantined, []);
        world.call(POISON);
        world.call(Body(3));
        world.advance(ALONE_FOR_NS);
        assert_eq!(world.running(), [POISON]);
        world.die_of(POISON, false);
        assert_eq!(world.quarantined, [(poison(), 3)]);
        assert_eq!(world.running(), [Body(3)]);
    }
}

#[test]
fn an_input_waits_for_a_limited_time_to_run_alone() {
    let mut world = World::new(2, 1, Mode::Threads);
    world.call(POISON);
    world.die_of(POISON, false);
    world.call(Body(1));
    world.call(POISON);
    let since = world.now;
    while world.running() == [Body(1)] {
        world.advance_to_next_wake();
        assert!(world.now <= since + ALONE_FOR_NS);
    }
    assert_eq!(world.running(), [Body(1), POISON]);
    world.die_of(POISON, false);
    assert_eq!(world.quarantined, [], "nobody knows which of them it was");
}

#[test]
fn one_that_waits_to_be_alone_takes_a_container_in_which_nothing_runs() {
    let mut world = World::new(2, 2, Mode::Threads);
    world.call(POISON);
    world.die_of(POISON, false);
    world.call(Body(1));
    world.call(POISON);
    world.call(Body(2));
    world.call(Body(3));
    assert_eq!(world.running(), [Body(1), POISON, Body(2), Body(3)]);
    assert_eq!(world.container_of(Body(1)), world.container_of(Body(2)));
    assert_eq!(world.container_of(Body(1)), world.container_of(Body(3)));
    assert_ne!(world.container_of(Body(1)), world.container_of(POISON));
}

#[test]
fn an_answer_clears_an_input_of_all_deaths() {
    for fails in [false, true] {
        let mut world = World::new(3, 1, Mode::Threads);
        for _ in 0..10 {
            for _ in 0..2 {
                world.call(Body(1));
                world.die_of(Body(1), false);
            }
            world.call(Body(1));
            world.answer(Body(1), fails);
        }
        assert_eq!((world.deaths, world.refused()), (20, 0));
    }
}

#[test]
fn a_refused_input_may_try_again_after_a_time_and_is_refused_again_at_the_next_death() {
    let mut world = World::new(3, 1, Mode::Threads);
    for _ in 0..3 {
        world.call(POISON);
        world.die_of(POISON, false);
    }
    world.advance(REFUSE_FOR_NS - 2 * MS);
    world.call(POISON);
    assert_eq!(world.refused(), 1);
    world.advance(2 * MS);
    world.call(POISON);
    assert_eq!(world.running(), [POISON]);
    world.die_of(POISON, false);
    assert_eq!(world.quarantined, [(poison(), 3), (poison(), 4)]);
    // An input whose call succeeds after the refusal is treated like any other input.
    world.advance(REFUSE_FOR_NS);
    world.call(POISON);
    world.answer(POISON, false);
    world.call(POISON);
    world.die_of(POISON, false);
    assert_eq!(world.quarantined.len(), 2);
    assert_eq!(world.refused(), 1);
}

#[test]
fn deaths_are_forgotten_after_a_time() {
    let mut world = World::new(2, 1, Mode::Threads);
    for _ in 0..5 {
        world.call(POISON);
        world.die_of(POISON, false);
        world.advance(FORGET_AFTER_NS + MS);
    }
    assert_eq!((world.deaths, world.refused(), world.quarantined.len()), (5, 0, 0));
}

#[test]
fn other_code_is_given_a_chance() {
    let mut world = World::new(2, 1, Mode::Threads);
    for _ in 0..2 {
        world.call(POISON);
        world.die_of(POISON, false);
    }
    world.call(POISON);
    assert_eq!(world.refused(), 1);
    // A change of other settings does not end the refusal, as long as there is a quarantine.
    world.scheduler.set_spec(world.now, world.function, Spec { max: Some(3), ..spec(2) });
    world.call(POISON);
    assert_eq!(world.refused(), 2);
    world.scheduler.begin_generation(world.now, world.function);
    world.call(POISON);
    assert_eq!(world.refused(), 3, "the new code does not serve yet");
    world.connect();
    world.call(POISON);
    assert_eq!((world.refused(), world.running()), (3, vec![POISON]));
    assert!(world.scheduler.status(world.now, world.function).quarantined.is_empty());
}

#[test]
fn switching_it_off_lets_all_in_again() {
    let mut world = World::new(1, 1, Mode::Threads);
    world.call(POISON);
    world.die_of(POISON, false);
    world.call(POISON);
    assert_eq!(world.refused(), 1);
    world.scheduler.set_spec(world.now, world.function, spec(0));
    world.call(POISON);
    assert_eq!((world.refused(), world.running()), (1, vec![POISON]));
    assert!(world.scheduler.status(world.now, world.function).quarantined.is_empty());
}

#[test]
fn no_call_is_sent_to_a_dying_container_and_blamed_for_its_death() {
    let mut world = World::new(2, 1, Mode::Threads);
    world.call(Body(1));
    world.call(POISON);
    world.answer(Body(1), false);
    world.die_of(POISON, true);
    // The second time the input runs alone, in a container with another worker that is idle.
    world.call(Body(1));
    world.call(Body(2));
    world.answer(Body(1), false);
    world.answer(Body(2), false);
    world.call(POISON);
    world.call(Body(3));
    assert_eq!(world.running(), [POISON]);
    world.die_of(POISON, true);
    assert_eq!(world.quarantined, [(poison(), 2)]);
    assert_eq!(world.running(), [Body(3)], "it was not sent to die there, too");
}

#[test]
fn an_end_that_the_engine_brought_about_is_no_death() {
    for by_channel in [false, true] {
        let mut world = World::new(1, 1, Mode::Threads);
        for _ in 0..3 {
            world.call(POISON);
            // The deadline and the grace period of the call pass, so its handler counts as stuck.
            world.advance(30_000 * MS);
            assert_eq!(world.last(POISON), Err(Status::DeadlineExceeded));
            world.advance(5_000 * MS);
            assert_eq!(world.scheduler.status(world.now, world.function).containers.set_aside, 1);
            world.die_of(POISON, by_channel);
        }
        assert_eq!((world.refused(), world.quarantined.len()), (0, 0));
    }
}

#[test]
fn the_table_is_bounded_and_keeps_those_that_matter() {
    let mut world = World::new(2, 1, Mode::EventLoop);
    for _ in 0..2 {
        world.call(POISON);
        world.die_of(POISON, false);
    }
    world.call(Body(1));
    world.die_of(Body(1), false);
    world.call(Body(1));
    world.call(Body(2));
    world.advance(ALONE_FOR_NS);
    world.die_of(Body(1), false);
    assert_eq!(world.quarantined, [(poison(), 2)]);
    // Many more inputs were each present at one death.
    for input in 0..2 * MAX_SUSPECTS as u64 {
        world.call(Body(10_000 + input));
        world.die_of(Body(10_000 + input), false);
    }
    world.call(POISON);
    assert_eq!(world.refused(), 1, "what is refused stays so");
    world.call(Body(1));
    world.die_of(Body(1), false);
    assert_eq!(
        world.quarantined.last(),
        Some(&(Fingerprint::new(1), 3)),
        "two deaths count more than one"
    );
}
