//! Tests of SIGTERM: calls under way finish, no new calls start, and nothing is left behind.

use harness::process;
use harness::workers::{c, event_loop};
use harness::{Connection, Load, Setup, wait_until};
use nix::sys::signal::Signal;
use std::time::Duration;

#[test]
fn calls_under_way_finish_and_new_connections_are_refused() {
    let engine = Setup::new()
        .function("Sleep", &c(), "workers = { max = 3 }")
        .functions(&["Call", "Fork"], &c())
        .start();
    engine.text("Fork", "");
    let idle = engine.connect();
    let mut used = engine.connect();
    assert_eq!(used.call("Call", b"Sleep\n0").text(), "slept 0");
    // Three calls run and the others are queued. Every second one is an internal call.
    let mut clients: Vec<Connection> = (0..8).map(|_| engine.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let (function, body) =
            if number % 2 == 0 { ("Sleep", "300") } else { ("Call", "Sleep\n300") };
        client.send("POST", &format!("/function/{function}"), &[], body.as_bytes()).unwrap();
    }
    wait_until("the calls to be taken", || {
        let sleep = engine.function("Sleep");
        sleep.running + sleep.queued == 8
    });
    engine.terminate();
    wait_until("new connections to be refused", || Connection::try_open(engine.address()).is_err());
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.receive().unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "slept 300"),
            "client {number}"
        );
        assert!(client.is_closed(), "a connection is not kept for another request");
    }
    for mut connection in [idle, used] {
        assert!(connection.is_closed());
    }
    engine.wait_for_end();
}

#[test]
fn a_load_sees_answers_or_the_end_of_its_connection() {
    let engine = Setup::new()
        .functions(&["Call", "Sleep", "LoopForEver"], &c())
        .functions(&["Echo"], &event_loop())
        .start();
    let load = Load::start(engine.address(), 8, "Call", b"Echo\nx");
    let slow = Load::start(engine.address(), 8, "Sleep", b"3");
    wait_until("work to be done", || load.ended() > 100 && slow.ended() > 20);
    let took = engine.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    for outcome in load.stop().into_iter().chain(slow.stop()) {
        assert!(matches!(outcome.status, Some(200) | None), "{outcome:?}");
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let engine = Setup::new().functions(&["LoopForEver"], &c()).start();
    let mut client = engine.connect();
    client.send("POST", "/function/LoopForEver", &[], b"").unwrap();
    wait_until("the call to run", || engine.function("LoopForEver").running == 1);
    engine.terminate();
    wait_until("it to be stopping", || engine.stderr().contains("stopping"));
    engine.terminate();
    // The process has two seconds to end. It is then asked to end, and at last killed.
    let took = engine.wait_for_end();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(client.is_closed() || client.receive().is_ok());
}

#[test]
fn an_idle_engine_ends_at_once() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    let took = engine.stop();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_engine_ends_with_the_shell_of_a_package_manager() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    // This is how `npx nightcore up` starts the engine. npm passes signals on to its shell.
    let engine = home.start_under("sh", &["-c", "npm_command=exec \"$@\"; exit $?", "npx"]);
    let shell = process::find(engine.pid()).unwrap().parent;
    assert_eq!(process::find(shell).unwrap().arguments[0], "sh");
    process::signal(shell, Signal::SIGTERM);
    wait_until("the engine's end", || engine.processes().is_empty());
    assert!(!home.directory().exists(), "it ended in order");
    let told = engine.stderr().contains("stopping: ");
    assert!(told, "{}", engine.stderr());
}
