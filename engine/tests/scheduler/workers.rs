//! Workers and containers that fail, die, or send messages that they may not send.

use super::*;

/// Only the worker that runs a call may send messages about it. Another worker may not, even if it
/// belongs to the same container.
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

/// The engine sees that a dying process closes its channels, one after the other, before it sees
/// that the process is dead.
#[test]
fn queued_calls_are_not_sent_to_a_dying_process() {
    let mut world = World::new([4, 1, 1], THREADS);
    (0..4).for_each(|_| world.external(0));
    world.all_ready();
    (0..3).for_each(|_| world.complete(0, false));
    // Three workers of the function are idle. With the new limit of 1 its only slot is taken.
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
    // If only a thread has ended, the other workers get calls again after the time in which a dead
    // process would have been noticed.
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
