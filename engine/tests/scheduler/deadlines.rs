//! Deadlines and grace periods.

use super::*;

#[test]
fn the_deadline_passes_on_time_and_a_late_answer_is_dropped() {
    let mut world = World::new([1, 1, 1], THREADS);
    world.external(0);
    let call = world.clients[&1];
    world.invoke(0, 1, true);
    assert!(world.scheduler.wake_at().is_some_and(|at| at <= world.now + 5000 * MS));
    world.advance(5000 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    // The client leaves before it has read its answer.
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
    // The worker of the earlier call is idle again.
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
    // This call takes the slot that the first one lends, and keeps it.
    world.external(0);
    world.all_ready();
    world.advance(1000 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    // Twice the grace period has passed, but the first handler cannot go on.
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
    // A handler that has its slot and does not end is stuck.
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
    // This call takes the slot that the first one lends, and keeps it.
    world.external(0);
    world.all_ready();
    // The engine goes on, although the first handler cannot end.
    world.advance(999 * MS);
    world.advance(2 * MS);
    assert_eq!(world.ended[&1], Status::DeadlineExceeded);
    assert!(world.replaced.is_empty(), "its process is replaced through no fault of its own");
    assert!(world.scheduler.wake_at().is_some_and(|at| at > world.now), "it is looked at at once");
    world.finish();
}
