//! The threads of containers and of the engine.

use harness::process::{Thread, threads};
use harness::workers::c;
use harness::{Setup, allow_many_descriptors, wait_for, wait_until};

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
        let idle = |thread: &Thread| thread.reads_from.as_ref().is_some_and(|on| on.contains("/pipe-"));
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
