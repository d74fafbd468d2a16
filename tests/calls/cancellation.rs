//! Tests of a handler's code that runs when its request is cancelled.

use harness::workers::cancel;
use harness::{Engine, Setup, process::threads, wait_until};

fn engine(functions: &[&str]) -> Engine {
    functions
        .iter()
        .fold(Setup::new(), |setup, name| setup.function(name, &cancel(), "workers = { max = 1 }"))
        .start()
}

/// Cancels two requests: the client of one leaves while the handler waits, and the deadline of the
/// other passes.
fn cancel_twice(engine: &Engine, function: &str) {
    let mut client = engine.connect();
    client.send("POST", &format!("/function/{function}"), &[], b"").unwrap();
    engine.wait_for_log(function, "waiting");
    drop(client);
    wait_until("the handler to end", || engine.function(function).running == 0);
    let late = engine.connect().request(
        "POST",
        &format!("/function/{function}"),
        &[("x-timeout-ms", "50")],
        b"",
    );
    assert_eq!(late.problem().error, "DEADLINE_EXCEEDED");
    wait_until("the handler to end", || engine.function(function).running == 0);
}

/// Returns the lines that the function has printed, without times and pids.
fn printed(engine: &Engine, function: &str) -> Vec<String> {
    let log = engine.nightcore("logs", &[function]).text();
    log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(str::to_owned).collect()
}

#[test]
fn it_runs_once_or_not_at_all_and_never_behind_the_handlers_back() {
    let expected = [
        ("Once", "ran 1 on another thread"),
        ("TooLate", "ran 1 on this thread"),
        ("Freed", "ran 0"),
        ("FreedMeanwhile", "its code had ended"),
        ("Token", "stopped"),
    ];
    let engine = engine(&expected.map(|(function, _)| function));
    for (function, said) in expected {
        cancel_twice(&engine, function);
        let all = ["waiting", said, "waiting", said];
        wait_until("all to be printed", || printed(&engine, function).len() >= all.len());
        assert_eq!(printed(&engine, function), all, "{function}");
        assert_eq!(engine.function(function).restarts, 0, "{function}");
    }
    engine.stop();
}

#[test]
fn a_handler_that_leaves_its_watch_ends_after_its_code() {
    let engine = engine(&["Left"]);
    let mut client = engine.connect();
    client.send("POST", "/function/Left", &[], b"").unwrap();
    engine.wait_for_log("Left", "waiting");
    drop(client);
    assert_eq!(engine.text("Left", ""), "its code had ended");
    engine.stop();
}

#[test]
fn it_does_not_run_for_requests_that_are_answered_and_has_one_thread() {
    let engine = engine(&["Answered"]);
    let container = engine.container("Answered");
    let watching = || threads(container).iter().filter(|thread| thread.name == "nc-cancel").count();
    assert_eq!(watching(), 0, "nobody has asked for it");
    for _ in 0..100 {
        assert_eq!(engine.text("Answered", ""), "ran 0");
    }
    assert_eq!(watching(), 1);
    engine.stop();
}
