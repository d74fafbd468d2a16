//! Tests that the engine reports each process that ends, and the calls that failed with it.

use harness::workers::c;
use harness::{Engine, Response, Setup, process, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Waits until the engine has written this line.
#[track_caller]
fn wait_for_line(engine: &Engine, line: &str) {
    wait_until(&format!("{line:?}"), || engine.stderr().lines().any(|said| said.ends_with(line)));
}

/// Returns the lines of a function's log that are about this call.
fn log_of(engine: &Engine, function: &str, response: &Response) -> String {
    let call = response.header("x-nightcore-call").expect("each answer names its call");
    engine.nightcore("logs", &[function, "--call", call]).text()
}

/// Waits until the function's process has run long enough to count as started well, so that the
/// next one is started at once when it dies.
#[track_caller]
fn let_it_prove_itself(engine: &Engine, function: &str) -> i32 {
    let pid = engine.container(function);
    let began = std::time::Instant::now();
    wait_until("it to have been ready for long", || began.elapsed().as_millis() > 700);
    pid
}

#[test]
fn a_process_that_a_signal_ended_is_told_with_its_calls() {
    let engine = Setup::new().functions(&["Crash", "Echo", "Call"], &c()).start();
    let pid = let_it_prove_itself(&engine, "Crash");
    let response = engine.call("Crash", "x");
    assert_eq!(response.status, 502);
    // The machine decides whether the kernel dumps core.
    wait_until("its line", || {
        let said = engine.stderr();
        ["", " (core dumped)"].iter().any(|core| {
            said.contains(&format!(
                "nightcore: Crash: process {pid} died of SIGABRT{core}; 1 call failed; \
                 restarted at once\n"
            ))
        })
    });
    wait_until("the call's line", || {
        log_of(&engine, "Crash", &response).contains(&format!("process {pid} died of SIGABRT"))
    });
    engine.wait_for_log("Crash", "; 1 call failed; restarted at once");
    // A call by a function has the call id of the call from outside.
    let response = engine.call("Call", "Crash\nx");
    assert_eq!(response.status, 500, "{}", response.text());
    wait_until("the call's line", || log_of(&engine, "Crash", &response).contains("SIGABRT"));
    let idle = let_it_prove_itself(&engine, "Echo");
    process::signal(idle, Signal::SIGKILL);
    wait_for_line(&engine, &format!("Echo: process {idle} died of SIGKILL; restarted at once"));
    engine.stop();
}

#[test]
fn a_process_that_exits_under_a_call_is_told_in_dev_as_well() {
    let home = Setup::new().functions(&["Leave"], &c()).home();
    let engine = home.start_dev();
    let pid = let_it_prove_itself(&engine, "Leave");
    assert_eq!(engine.call("Leave", "3").status, 502);
    let line =
        format!("Leave: process {pid} ended with exit code 3; 1 call failed; restarted at once");
    wait_for_line(&engine, &line);
    engine.stop();
}

#[test]
fn a_process_that_cannot_be_started_is_told() {
    let home = Setup::new().command("Echo", &["./program"], "").home();
    let program = home.path().join("program");
    fs::write(&program, format!("#!/bin/sh\nexec {}\n", c().display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let engine = home.start();
    // The program exists but cannot be started, which no check can find in advance.
    fs::write(&program, "#!/nowhere/at/all\n").unwrap();
    process::signal(engine.container("Echo"), Signal::SIGKILL);
    wait_until("its line", || {
        engine.stderr().contains("Echo: a process could not be started: No such file")
    });
    engine.stop();
}

#[test]
fn a_process_that_is_replaced_for_a_stuck_handler_is_told_and_counted() {
    let lines = "timeout = \"100ms\"\ngrace = \"100ms\"";
    let engine = Setup::new().function("LoopForEver", &c(), lines).start();
    let pid = engine.container("LoopForEver");
    assert_eq!(engine.call("LoopForEver", "").status, 504);
    wait_for_line(
        &engine,
        &format!(
            "LoopForEver: process {pid} is replaced, as a handler in it went on beyond its grace; \
             another one is started at once"
        ),
    );
    assert_eq!(engine.function("LoopForEver").restarts, 1);
    engine.stop();
}

#[test]
fn the_processes_that_end_with_the_launcher_are_told() {
    let engine = Setup::new().functions(&["Echo", "Upper"], &c()).start();
    let pids = ["Echo", "Upper"].map(|function| engine.container(function));
    process::signal(engine.launcher(), Signal::SIGKILL);
    for (function, pid) in ["Echo", "Upper"].iter().zip(pids) {
        let line = "was killed as the launcher died; restarted at once";
        wait_for_line(&engine, &format!("{function}: process {pid} {line}"));
    }
    engine.stop();
}

#[test]
fn processes_that_were_told_to_end_are_not_told_of() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    let before = engine.container("Echo");
    assert_eq!(engine.nightcore("reload", &["Echo"]).code, Some(0));
    wait_until("the old one to end", || !process::is_alive(before));
    assert_eq!(engine.text("Echo", "x"), "x");
    let said = engine.stderr();
    engine.stop();
    assert!(!said.contains("Echo: process"), "{said}");
}
