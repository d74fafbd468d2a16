//! Tests that with `max = 1` the next call begins only when the process that ran the previous call
//! is gone.

mod simulated;

use nightcore_engine::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use nightcore_engine::scheduler::{Action, Event, ProcessFate};
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Failure, Status};
use simulated::{Body, Driven, MS, spec};

/// A function with one slot and two containers, of which one runs a call and another call waits.
struct World {
    scheduler: Driven<()>,
    function: FunctionId,
    busy: (ChannelKey, ContainerKey),
    began: Vec<CallNumber>,
}

impl World {
    fn new() -> World {
        let mut scheduler = Driven::default();
        let function = scheduler.add_function(simulated_spec());
        let generation = Some(scheduler.newest_generation(function));
        let mut workers = Vec::new();
        for _ in 0..2 {
            let container = scheduler.container_connected(0, function, generation, Mode::Threads);
            workers.push((scheduler.worker_ready(0, container), container));
        }
        let mut world = World { scheduler, function, busy: workers[0], began: Vec::new() };
        for _ in 0..2 {
            let called = world.scheduler.external(MS, function, None, (Body(0), 1), ());
            called.expect("it is accepted");
        }
        let channel = world.settle().expect("the first one begins");
        world.busy = workers.into_iter().find(|(of, _)| *of == channel).expect("a worker");
        assert_eq!(world.began.len(), 1, "the second one waits");
        world
    }

    /// Carries out the scheduler's actions. Returns the worker of the call that began last, if one
    /// did.
    fn settle(&mut self) -> Option<ChannelKey> {
        let mut last = None;
        while let Some(action) = self.scheduler.next_action() {
            if let Action::Dispatch { channel, call, .. } = action {
                self.began.push(call);
                last = Some(channel);
            }
        }
        last
    }

    fn tell(&mut self, now: u64, event: Event<'_, Body>) {
        self.scheduler.event(now, event).expect("no worker's message");
        self.settle();
    }
}

fn simulated_spec() -> nightcore_engine::functions::Spec {
    nightcore_engine::functions::Spec { processes: 2, ..spec("Foo", 1) }
}

fn died() -> Failure {
    Failure::new(Status::ContainerDied, "killed")
}

#[test]
fn a_channel_that_closes_does_not_free_the_slot_and_the_death_does() {
    let mut world = World::new();
    let (channel, container) = world.busy;
    let failure = &died();
    world.tell(2 * MS, Event::WorkerGone { channel, failure });
    assert_eq!(world.began.len(), 1);
    world.tell(3 * MS, Event::ContainerGone { container, failure, process: ProcessFate::Died });
    assert_eq!(world.began.len(), 2);
}

#[test]
fn a_process_that_was_only_a_thread_less_frees_the_slot_within_two_seconds() {
    let mut world = World::new();
    let (channel, _) = world.busy;
    world.tell(2 * MS, Event::WorkerGone { channel, failure: &died() });
    let mut now = 0;
    while world.began.len() < 2 && now < 2000 * MS {
        now = world.scheduler.wake_at().expect("it looks again");
        world.tell(now, Event::Tick);
    }
    // On a busy machine, a killed process was seen to live on for more than 50 ms.
    assert!(world.began.len() == 2 && now >= 900 * MS, "{now} ns: {:?}", world.began);
}

#[test]
fn a_process_that_has_left_frees_the_slot_when_it_has_ended() {
    let mut world = World::new();
    let (_, container) = world.busy;
    let failure = &died();
    world.tell(2 * MS, Event::ContainerGone { container, failure, process: ProcessFate::Lives });
    world.tell(900 * MS, Event::Tick);
    assert_eq!(world.began.len(), 1);
    assert!(world.scheduler.is_dying(container));
    world.tell(901 * MS, Event::ProcessEnded { container });
    assert_eq!(world.began.len(), 2);
    assert!(!world.scheduler.is_dying(container));
    let containers = world.scheduler.status(902 * MS, world.function).containers;
    assert_eq!(containers.ready, 1);
}
