//! The order of calls, and those that are refused.

use super::*;

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
    // The call one level deeper is refused at once, so its caller goes on.
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
