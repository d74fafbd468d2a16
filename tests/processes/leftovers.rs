//! After many faults there is no more of anything than before.

use harness::process;
use harness::workers::{c, event_loop};
use harness::{Engine, Home, Possessions, Setup, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::time::{Duration, Instant};

/// More rounds, for a deep check.
const ROUNDS_VARIABLE: &str = "NIGHTCORE_TEST_ROUNDS";
/// A container that ends sooner after its start counts as failing, and is started again later and
/// later.
const PROVEN_AFTER: Duration = Duration::from_millis(600);

fn rounds() -> usize {
    std::env::var(ROUNDS_VARIABLE).map_or(20, |rounds| rounds.parse().expect("a number of rounds"))
}

#[test]
fn killed_containers_and_launchers_leave_nothing() {
    // Each is killed in its turn, so that it has proven itself in between.
    let threads = ["Echo", "Upper", "Origin", "Metadata"];
    let engine = Setup::new().functions(&threads, &c()).functions(&["Wait"], &event_loop()).start();
    let functions = [threads.as_slice(), &["Wait"]].concat();
    // Each has a worker, and has had a payload in each direction by the arena.
    let answer = |function: &str| {
        if function != "Wait" {
            assert_eq!(engine.call(function, harness::pattern(100_000)).status, 200, "{function}");
        }
    };
    functions.iter().for_each(|function| answer(function));
    let before = Possessions::of(&engine);
    let mut ready_since = vec![Instant::now(); functions.len()];
    for round in 0..rounds() {
        let index = round % functions.len();
        let function = functions[index];
        wait_until("its container to have proven itself", || {
            ready_since[index].elapsed() > PROVEN_AFTER
        });
        let container = engine.container(function);
        if round % 10 == 9 {
            process::signal(engine.launcher(), Signal::SIGKILL);
            ready_since.fill(Instant::now());
        } else {
            process::signal(container, Signal::SIGKILL);
        }
        wait_until("another container", || {
            let function = engine.function(function);
            function.workers > 0
                && function.processes.iter().all(|process| process.pid != container)
        });
        ready_since[index] = Instant::now();
        answer(function);
    }
    wait_until("every function to be back", || {
        engine.status().functions.iter().all(|function| function.workers == 1)
    });
    functions.iter().for_each(|function| answer(function));
    before.assert_no_more(&engine);
    engine.stop();
}

#[test]
fn clients_that_leave_leave_nothing() {
    let engine = Setup::new().functions(&["Sleep", "Call", "Echo"], &c()).start();
    let warm_up = || {
        assert_eq!(engine.text("Call", "Sleep\n0"), "slept 0");
        assert_eq!(engine.answer("Echo", harness::pattern(100_000)).len(), 100_000);
    };
    let leave = |when_it_runs: bool| {
        let mut client = engine.connect();
        client.send("POST", "/function/Call", &[], b"Sleep\n60000").unwrap();
        if when_it_runs {
            wait_until("the call to run", || engine.function("Sleep").running == 1);
        }
        drop(client);
        wait_until("the call to be cancelled", || {
            let status = engine.status();
            status
                .functions
                .iter()
                .all(|function| function.running + function.waiting + function.queued == 0)
        });
    };
    warm_up();
    // The first one makes the log of what it prints.
    leave(true);
    engine.wait_for_log("Sleep", "cancelled");
    let before = Possessions::of(&engine);
    for round in 0..rounds() {
        leave(round % 2 == 0);
    }
    warm_up();
    before.assert_no_more(&engine);
    engine.stop();
}

/// Names of what is in shared memory and in the folders of engines.
fn shared() -> Vec<String> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("nightcore"))
        .collect()
}

#[test]
fn killed_engines_leave_nothing() {
    let home: std::sync::Arc<Home> = Setup::new().functions(&["Echo", "Fork"], &c()).home();
    let before = shared();
    let mut killed = Vec::new();
    for _ in 0..rounds() / 2 {
        // At once, while what the one before had is still going.
        let mut engine = home.start();
        engine.text("Fork", "");
        assert_eq!(engine.answer("Echo", harness::pattern(100_000)).len(), 100_000);
        engine.kill();
        killed.push(engine);
    }
    killed.iter().for_each(Engine::wait_until_gone);
    let engine = home.start();
    assert_eq!(engine.text("Echo", "clean"), "clean");
    engine.stop();
    assert_eq!(shared(), before);
}
