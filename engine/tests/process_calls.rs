//! Calls that processes make outside of any request, on a simulated clock.

mod simulated;

use nightcore_engine::functions::{Ran, Spec};
use nightcore_engine::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use nightcore_engine::scheduler::Action;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;
use nightcore_runtime::protocol::{Broken, Failure, Status};
use simulated::{Body, Driven, MS};

/// The calling function and the called one, each with a process of one worker.
struct World {
    scheduler: Driven<u64>,
    caller: ChannelKey,
    calling: (FunctionId, ContainerKey),
    called: (FunctionId, ContainerKey),
}

fn start() -> World {
    let mut scheduler = Driven::default();
    let [calling, called] = ["Calling", "Called"].map(|name| {
        // Only functions may call the other function.
        let spec = Spec { external: name == "Calling", ..simulated::spec(name, 4) };
        let function = scheduler.add_function(spec);
        let first = Some(Generation::FIRST);
        let container = scheduler.container_connected(0, function, first, Mode::Threads);
        scheduler.worker_ready(0, container);
        (function, container)
    });
    let caller = scheduler.caller_ready(0, calling.1);
    while scheduler.next_action().is_some() {}
    World { scheduler, caller, calling, called }
}

impl World {
    fn call(&mut self, tag: u64) {
        self.scheduler.call_alone(1, (self.caller, tag), "Called", None).unwrap();
    }

    /// Returns the worker and the number of the call that was sent.
    fn sent(&mut self) -> (ChannelKey, CallNumber) {
        let calling = self.calling.0;
        match self.scheduler.next_action() {
            Some(Action::Dispatch { channel, call, root: Some(_), depth: 0, caller, .. }) => {
                assert_eq!(caller, Some(calling));
                (channel, call)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Returns how the process's call with this tag has ended.
    fn ended(&mut self, tag: u64) -> Result<Body, Status> {
        let actions = std::iter::from_fn(|| self.scheduler.next_action());
        let mut ends = actions.filter_map(|action| match action {
            Action::Deliver { channel, tag, outcome, .. } => Some((channel, tag.0, outcome)),
            _ => None,
        });
        let (channel, told, outcome) = ends.next().expect("an end");
        assert_eq!((channel, told), (self.caller, tag));
        outcome.map_err(|failure| failure.status)
    }
}

#[test]
fn a_process_call_is_a_tree_of_its_own_and_is_answered() {
    let mut world = start();
    world.call(1);
    let (channel, call) = world.sent();
    let ran = Ran { began_at: 2, ended_at: 3 };
    world.scheduler.complete(4, channel, call, ran, Ok(Body(9))).unwrap();
    assert_eq!(world.ended(1), Ok(Body(9)));
    let counts = world.scheduler.status(5, world.called.0).counts;
    assert_eq!((counts.external, counts.internal), (0, 1));
}

#[test]
fn a_process_call_ends_by_its_deadline_and_by_the_callees_timeout() {
    let mut world = start();
    let timeout = u64::try_from(simulated::spec("Called", 4).timeout.as_nanos()).unwrap();
    for (tag, asked, ends) in [(1, Some(5 * MS), 5 * MS), (2, Some(u64::MAX), 1 + timeout)] {
        world.scheduler.call_alone(1, (world.caller, tag), "Called", asked).unwrap();
        world.scheduler.advance(ends - 1);
        assert!(!world.scheduler.pending().any(|a| matches!(a, Action::Deliver { .. })));
        world.scheduler.advance(ends);
        assert_eq!(world.ended(tag), Err(Status::DeadlineExceeded));
    }
}

#[test]
fn a_process_takes_its_calls_back_one_by_one_and_all_of_them_by_its_death() {
    let mut world = start();
    for tag in 1..=3 {
        world.call(tag);
    }
    world.sent();
    world.scheduler.cancel_invoke(2, world.caller, 1);
    assert_eq!(world.ended(1), Err(Status::Cancelled));
    // The next call is queued.
    world.scheduler.cancel_invoke(3, world.caller, 2);
    assert_eq!(world.ended(2), Err(Status::Cancelled));
    let failure = Failure::new(Status::ContainerDied, "the process died");
    world.scheduler.container_gone(4, world.calling.1, &failure);
    let told = std::iter::from_fn(|| world.scheduler.next_action());
    let told = told.filter(|action| matches!(action, Action::Deliver { .. }));
    assert_eq!(told.count(), 0, "nobody is there to be told");
    assert_eq!(world.scheduler.status(5, world.called.0).queued, 0);
}

#[test]
fn a_process_call_fails_with_the_process_that_runs_it() {
    let mut world = start();
    world.call(1);
    world.sent();
    let failure = Failure::new(Status::ContainerDied, "the process died");
    world.scheduler.container_gone(2, world.called.1, &failure);
    assert_eq!(world.ended(1), Err(Status::ContainerDied));
}

#[test]
fn a_process_that_uses_a_number_twice_breaks_the_protocol() {
    let mut world = start();
    world.call(1);
    let again = world.scheduler.call_alone(2, (world.caller, 1), "Called", None);
    assert_eq!(again, Err(Broken::Invoke(1)));
    let (channel, call) = world.sent();
    let ran = Ran { began_at: 3, ended_at: 4 };
    world.scheduler.complete(5, channel, call, ran, Ok(Body(9))).unwrap();
    assert_eq!(world.ended(1), Ok(Body(9)));
    world.call(1);
    world.sent();
}

#[test]
fn calls_that_cannot_be_made_are_refused_at_once() {
    let mut world = start();
    world.scheduler.call_alone(1, (world.caller, 1), "Nobody", None).unwrap();
    assert_eq!(world.ended(1), Err(Status::NotFound));
    let most = MAX_OUTSTANDING as u64;
    for tag in 2..most + 2 {
        world.call(tag);
    }
    while world.scheduler.next_action().is_some() {}
    world.call(most + 2);
    assert_eq!(world.ended(most + 2), Err(Status::Overloaded));
    world.scheduler.end_process_calls();
    world.call(most + 3);
    assert_eq!(world.ended(most + 3), Err(Status::Unavailable));
}
