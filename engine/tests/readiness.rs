//! Tests containers of a function with a readiness check, on a simulated clock.

mod simulated;

use nightcore_engine::functions::{Ran, Spec};
use nightcore_engine::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use nightcore_engine::scheduler::Action;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Failure, Status};
use simulated::{Body, Driven};

/// The tag of a client's call.
const CALL: u64 = 1;
/// The tag of a probe.
const PROBE: u64 = 2;
/// The time after which a container that has lost a worker gets calls again, in ns.
const SECOND: u64 = 1_000_000_000;

/// Returns a function with a readiness check, and its first container, which has one worker.
fn start(mode: Mode) -> (Driven<u64>, FunctionId, ContainerKey) {
    let mut scheduler = Driven::default();
    let ready_path = Some("/ready".to_owned());
    let function = scheduler.add_function(Spec { ready_path, ..simulated::spec("Foo", 4) });
    let container = scheduler.container_connected(0, function, Some(Generation::FIRST), mode);
    scheduler.worker_ready(0, container);
    assert!(takes_check(&mut scheduler, container));
    (scheduler, function, container)
}

/// Returns whether the actions that were not taken yet include one check of the container.
fn takes_check(scheduler: &mut Driven<u64>, container: ContainerKey) -> bool {
    let actions = std::iter::from_fn(|| scheduler.next_action());
    actions.filter(|a| matches!(a, Action::Check { container: at } if *at == container)).count()
        == 1
}

/// Returns the calls that were sent to workers by the actions that were not taken yet.
fn sent(scheduler: &mut Driven<u64>) -> Vec<(ChannelKey, CallNumber)> {
    let actions = std::iter::from_fn(|| scheduler.next_action());
    let sent = actions.filter_map(|action| match action {
        Action::Dispatch { channel, call, .. } => Some((channel, call)),
        _ => None,
    });
    sent.collect()
}

fn answer(scheduler: &mut Driven<u64>, (channel, call): (ChannelKey, CallNumber)) {
    let ran = Ran { began_at: 2, ended_at: 3 };
    scheduler.complete(4, channel, call, ran, Ok(Body(0))).unwrap();
}

#[test]
fn a_container_runs_nothing_but_the_probe_until_it_has_passed() {
    for mode in [Mode::Threads, Mode::EventLoop] {
        let (mut scheduler, function, container) = start(mode);
        scheduler.external(1, function, None, (Body(1), 1), CALL).unwrap();
        assert!(sent(&mut scheduler).is_empty());
        assert!(!scheduler.is_ready(function));
        assert!(scheduler.probe(2, container, PROBE));
        let probe = sent(&mut scheduler);
        assert_eq!(probe.len(), 1);
        answer(&mut scheduler, probe[0]);
        assert!(sent(&mut scheduler).is_empty() && !scheduler.is_ready(function));
        scheduler.passed(5, container);
        assert!(scheduler.is_ready(function));
        assert_eq!(sent(&mut scheduler).len(), 1, "the queued call runs now");
        assert!(!scheduler.probe(6, container, PROBE), "the container has already passed");
    }
}

#[test]
fn a_newer_container_serves_when_it_has_passed_and_the_older_one_until_then() {
    let (mut scheduler, function, old) = start(Mode::Threads);
    scheduler.passed(1, old);
    let newest = scheduler.begin_generation(2, function);
    let new = scheduler.container_connected(2, function, Some(newest), Mode::Threads);
    scheduler.worker_ready(3, new);
    assert!(takes_check(&mut scheduler, new));
    assert_eq!(scheduler.serving_generation(function), Generation::FIRST);
    assert!(scheduler.is_ready(function));
    scheduler.passed(4, new);
    assert_eq!(scheduler.serving_generation(function), newest);
    scheduler.next_action();
    // A container of an old generation that connects late is not probed.
    scheduler.begin_generation(5, function);
    let late = scheduler.container_connected(6, function, Some(Generation::FIRST), Mode::Threads);
    scheduler.worker_ready(7, late);
    assert!(!scheduler.probe(8, late, PROBE));
}

#[test]
fn after_a_worker_dies_during_its_probe_the_next_worker_is_probed() {
    let (mut scheduler, function, container) = start(Mode::Threads);
    assert!(scheduler.probe(1, container, PROBE));
    let (channel, _) = sent(&mut scheduler)[0];
    assert!(!scheduler.probe(1, container, PROBE), "its worker is busy");
    let failure = Failure::new(Status::ContainerDied, "the worker died");
    scheduler.worker_gone(2, channel, &failure);
    assert!(!scheduler.probe(2, container, PROBE));
    scheduler.worker_ready(3, container);
    assert!(takes_check(&mut scheduler, container));
    scheduler.container_gone(4, container, &failure);
    scheduler.passed(5, container);
    assert!(!scheduler.is_ready(function));
}

#[test]
fn a_probe_that_ends_with_its_process_is_no_failed_call() {
    // The scheduler may learn of the end of the worker before that of its process.
    for worker_first in [false, true] {
        let (mut scheduler, function, container) = start(Mode::EventLoop);
        assert!(scheduler.probe(1, container, PROBE));
        let (channel, _) = sent(&mut scheduler)[0];
        let failure = Failure::new(Status::ContainerDied, "the process died");
        if worker_first {
            scheduler.worker_gone(2, channel, &failure);
        }
        scheduler.container_gone(3, container, &failure);
        assert_eq!(scheduler.take_failed_calls().count(), 0);

        // A probe of a process that serves later does not count as one of its failed calls either.
        let generation = Some(Generation::FIRST);
        let next = scheduler.container_connected(4, function, generation, Mode::EventLoop);
        let first = scheduler.worker_ready(4, next);
        assert!(scheduler.probe(4, next, PROBE));
        scheduler.worker_gone(5, first, &failure);
        scheduler.worker_ready(6, next);
        scheduler.passed(SECOND, next);
        scheduler.external(SECOND, function, None, (Body(1), 1), CALL).unwrap();
        scheduler.container_gone(SECOND + 1, next, &failure);
        assert_eq!(scheduler.take_failed_calls().count(), 1);
    }
}

#[test]
fn a_function_is_available_when_a_container_is_ready_though_another_failed_meanwhile() {
    let mut scheduler = Driven::<u64>::default();
    let function = scheduler.add_function(Spec { processes: 2, ..simulated::spec("Foo", 4) });
    let generation = Some(Generation::FIRST);
    let container = scheduler.container_connected(0, function, generation, Mode::Threads);
    // No container is ready yet, and the other process fails once more.
    scheduler.set_unavailable(1, function, "ended 4 times");
    scheduler.worker_ready(2, container);
    assert_eq!(scheduler.status(3, function).unavailable, None);
    assert!(scheduler.external(3, function, None, (Body(1), 1), CALL).is_ok());
}

#[test]
fn calls_wait_for_a_new_generation_after_one_that_failed() {
    let mut scheduler = Driven::<u64>::default();
    let function = scheduler.add_function(simulated::spec("Foo", 4));
    scheduler.set_unavailable(1, function, "its build failed");
    assert!(scheduler.external(2, function, None, (Body(1), 1), CALL).is_err());
    let generation = Some(scheduler.begin_generation(3, function));
    assert_eq!(scheduler.status(3, function).unavailable, None);
    assert!(scheduler.external(4, function, None, (Body(1), 1), CALL).is_ok());
    let container = scheduler.container_connected(5, function, generation, Mode::Threads);
    scheduler.worker_ready(6, container);
    assert_eq!(sent(&mut scheduler).len(), 1);
}
