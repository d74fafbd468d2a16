//! Tests that a process that has reached a limit of `recycle` is replaced, and that no call is
//! lost.

use harness::process::is_alive;
use harness::workers::c;
use harness::{Load, Setup, wait_until, wait_until_within};
use std::fs;
use std::time::Duration;

/// The time for several checks. The engine checks once a second, and replaces the processes of a
/// function one after the other.
const SEVERAL_LOOKS: Duration = Duration::from_secs(60);

#[test]
fn processes_are_replaced_one_at_a_time_under_load_and_no_call_fails() {
    let keys = "processes = 2\nrecycle = { calls = 100 }";
    let setup = Setup::new().function("Pid", &c(), keys).function("Call", &c(), "");
    let engine = setup.start();
    let load = Load::start(engine.address(), 4, "Call", b"Pid\n");
    let mut most = 0;
    wait_until_within("three processes to be replaced", SEVERAL_LOOKS, || {
        let pid = engine.function("Pid");
        most = most.max(pid.processes.len());
        pid.restarts_by_reason.get("recycled").is_some_and(|count| *count >= 3)
    });
    for outcome in load.stop() {
        assert_eq!(outcome.status, Some(200), "{outcome:?}");
    }
    assert!(most <= 3, "{most} processes at once");
    wait_until("two processes", || engine.function("Pid").processes.len() == 2);
    let text = "is replaced by a new one, as it has run";
    assert!(engine.stderr().contains(text), "{}", engine.stderr());
    let call = engine.function("Call");
    assert_eq!((call.restarts, call.processes.len()), (0, 1));
    engine.stop();
}

#[test]
fn a_process_that_has_grown_is_replaced() {
    let keys = "recycle = { memory = \"40MiB\" }";
    let engine = Setup::new().function("Keep", &c(), keys).start();
    let first = engine.container("Keep");
    engine.text("Keep", "50");
    wait_until_within("it to be replaced", SEVERAL_LOOKS, || !is_alive(first));
    wait_until("the new one to be alone", || {
        let processes = engine.function("Keep").processes;
        processes.len() == 1 && processes[0].pid != first
    });
    let text = format!("Keep: process {first} is replaced by a new one, as it holds ");
    assert!(engine.stderr().contains(&text), "{}", engine.stderr());
    engine.stop();
}

#[test]
fn a_process_that_is_old_is_replaced_and_a_call_in_it_goes_on() {
    let setup = Setup::new().function("WaitForFile", &c(), "");
    let engine = setup.start();
    let file = engine.home().path().join("file");
    let first = engine.container("WaitForFile");
    let mut client = engine.connect();
    client.send("POST", "/function/WaitForFile", &[], file.to_str().unwrap().as_bytes()).unwrap();
    wait_until("the call to run", || engine.function("WaitForFile").running == 1);
    let setup = Setup::new().function("WaitForFile", &c(), "recycle = { age = \"1s\" }");
    fs::write(engine.home().config(), setup.toml()).unwrap();
    assert_eq!(engine.nightcore("reload", &[]).text().trim(), "adjusted: WaitForFile");
    wait_until_within("another one beside it", SEVERAL_LOOKS, || {
        engine.function("WaitForFile").processes.len() == 2
    });
    assert!(is_alive(first), "its call is not over");
    fs::write(&file, "").unwrap();
    assert_eq!(client.receive().unwrap().text(), "found");
    wait_until_within("the old one to leave", SEVERAL_LOOKS, || !is_alive(first));
    engine.stop();
}
