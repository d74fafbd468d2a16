//! Tests of the threads of containers and of the engine.

use harness::process::{self, Thread, threads};
use harness::workers::{c, event_loop};
use harness::{Load, Setup, allow_many_descriptors, wait_for, wait_until};

#[test]
fn a_container_has_a_launching_thread_and_its_workers_which_wait_in_a_pipe() {
    const WORKERS: usize = 5;
    let engine = Setup::new()
        .function("Echo", &c(), &format!("workers = {{ min = {WORKERS}, max = 8 }}"))
        .functions(&["Upper"], &c())
        .start();
    wait_until("the workers to be ready", || engine.function("Echo").workers == WORKERS);
    assert_eq!(engine.text("Echo", "once"), "once");

    for (function, workers) in [("Echo", WORKERS), ("Upper", 1)] {
        let container = engine.container(function);
        let idle =
            |thread: &Thread| thread.reads_from.as_ref().is_some_and(|on| on.contains("/pipe-"));
        let all = wait_for("the workers to be idle", || {
            let all = threads(container);
            (all.iter().filter(|thread| idle(thread)).count() == workers).then_some(all)
        });
        assert_eq!(all.len(), 1 + workers, "{all:#?}");
        assert_eq!(all[0].id, container);
        assert!(!idle(&all[0]), "the launching thread is on the control socket: {:?}", all[0]);
        for thread in &all[1..] {
            assert!(thread.name.starts_with("nc-worker-"), "{thread:?}");
        }
    }
    engine.stop();
}

#[test]
fn connections_cost_the_engine_no_threads() {
    const CONNECTIONS: usize = 1000;
    allow_many_descriptors();
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    let mut first = engine.connect();
    assert_eq!(first.call("Echo", b"one").text(), "one");
    let before = threads(engine.pid()).len();
    let mut more: Vec<_> = (1..CONNECTIONS).map(|_| engine.connect()).collect();
    for connection in &mut more {
        assert_eq!(connection.call("Echo", b"more").text(), "more");
    }
    let sockets = || {
        let all = harness::process::descriptors(engine.pid());
        all.iter().filter(|descriptor| descriptor.starts_with("socket:")).count()
    };
    assert!(sockets() >= CONNECTIONS, "{} sockets", sockets());
    assert_eq!(threads(engine.pid()).len(), before);
    assert_eq!(first.call("Echo", b"still").text(), "still");
    engine.stop();
}

/// Returns a body that makes as many calls at once as a worker may have. A pipe or a ring holds
/// eight messages of such a call.
fn fan_out() -> Vec<u8> {
    [b"Echo 1024\n".as_slice(), &[b'x'; 900]].concat()
}

#[test]
fn a_thread_that_does_not_read_its_answers_stops_nobody_and_loses_none() {
    let engine = Setup::new()
        .functions(&["FanOut", "Upper"], &c())
        .functions(&["Echo"], &event_loop())
        .start();
    let (caller, echo) = (engine.container("FanOut"), engine.container("Echo"));
    // The callee does not read its calls. Later, the caller does not read its answers.
    process::freeze(echo);
    let mut client = engine.connect();
    client.send("POST", "/function/FanOut", &[], &fan_out()).unwrap();
    wait_until("all calls to be under way", || engine.function("Echo").running == 1024);
    process::freeze(caller);
    assert_eq!(engine.text("Upper", "others go on"), "OTHERS GO ON");
    process::thaw(echo);
    wait_until("all calls to be answered", || engine.function("Echo").answered == 1024);
    assert_eq!(engine.text("Upper", "others go on"), "OTHERS GO ON");
    process::thaw(caller);
    assert_eq!(client.receive().unwrap().text(), "1024");
    engine.stop();
}

#[test]
fn workers_that_find_no_room_wait_for_the_engine_and_lose_nothing() {
    const ROUNDS: usize = 20;
    let engine =
        Setup::new().functions(&["FanOut"], &c()).functions(&["Echo"], &event_loop()).start();
    let workers = [engine.container("FanOut"), engine.container("Echo")];
    let load = Load::start(engine.address(), 1, "FanOut", &fan_out());
    for round in 0..ROUNDS {
        wait_until("calls to be answered", || load.ended() > round);
        // The engine is stopped at any point. The workers go on until they have to wait for it.
        process::freeze(engine.pid());
        wait_until("all to wait for the engine", || {
            workers.iter().all(|worker| process::all_sleep(*worker))
        });
        process::thaw(engine.pid());
    }
    for outcome in load.stop() {
        assert_eq!((outcome.status, outcome.text.as_str()), (Some(200), "1024"), "{outcome:?}");
    }
    engine.stop();
}
