//! Tests that many faults leave no process, descriptor, memory or file behind.

use harness::process;
use harness::workers::{c, event_loop};
use harness::{Engine, Home, Possessions, Setup, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::time::{Duration, Instant};

/// The environment variable with the number of rounds, for a test with more of them.
const ROUNDS_VARIABLE: &str = "NIGHTCORE_TEST_ROUNDS";
/// The time after its start before which a container that ends counts as failing. Such a container
/// is restarted with growing delays.
const PROVEN_AFTER: Duration = Duration::from_millis(600);

fn rounds() -> usize {
    std::env::var(ROUNDS_VARIABLE).map_or(20, |rounds| rounds.parse().expect("a number of rounds"))
}

#[test]
fn killed_containers_and_launchers_leave_nothing() {
    // The functions are killed in turn, so that each has proven itself in between.
    let threads = ["Echo", "Upper", "Origin", "Metadata"];
    let engine = Setup::new().functions(&threads, &c()).functions(&["Wait"], &event_loop()).start();
    let functions = [threads.as_slice(), &["Wait"]].concat();
    // Each function has a worker, and has had a payload in each direction through the arena.
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
    // The first call creates the log of the function's output.
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

/// Returns the names of Nightcore's files in shared memory.
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
        // The engine starts at once, while processes of the previous engine are still ending.
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
