//! Tests that a token admits only the process for which it was made.

use harness::workers::c;
use harness::{Engine, Setup, process, run, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::process::Command;

/// The functions `EchoC` and `Echo`. From its second process on, `EchoC` writes its environment
/// into the file `environment`, and does not greet the engine before there is a file `go`.
/// `wrapper` runs its worker.
fn late(wrapper: &str) -> Setup {
    let worker = c();
    let worker = worker.display();
    let script = format!(
        "[ -e first ] || {{ touch first; exec {worker}; }}; \
         env >unfinished; mv unfinished environment; \
         until [ -e go ]; do sleep 0.01; done; {wrapper} {worker}"
    );
    Setup::new().command("EchoC", &["sh", "-c", &script], "").functions(&["Echo"], &c())
}

/// Ends the first process of `EchoC`, and waits until the second one runs. Returns its variables
/// for the protocol.
fn second_process(engine: &Engine) -> Vec<(String, String)> {
    process::signal(engine.container("EchoC"), Signal::SIGKILL);
    let path = engine.home().path().join("environment");
    wait_until("the second process to run", || path.exists());
    let text = fs::read_to_string(path).unwrap();
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let ours = variables.filter(|(name, _)| name.starts_with("NIGHTCORE_"));
    ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Lets the second process of `EchoC` greet the engine, and calls it.
fn assert_serves(engine: &Engine) {
    fs::write(engine.home().path().join("go"), "").unwrap();
    assert_eq!(engine.text("EchoC", "its own"), "its own");
    assert_eq!(engine.function("EchoC").restarts, 1);
}

#[test]
fn a_stolen_token_admits_no_other_process() {
    let engine = late("exec").start();
    let mut thief = Command::new(c());
    thief.envs(second_process(&engine));
    let thief = run(&mut thief, b"");
    assert_eq!(thief.code, Some(2), "{}", thief.stderr);
    assert!(thief.stderr.contains("which the engine started for EchoC"), "{}", thief.stderr);
    assert_serves(&engine);
    engine.stop();
}

#[test]
fn a_function_cannot_take_the_place_of_another_one() {
    // The process of the thief is a child of the launcher, as that of its victim is.
    let steal = format!(
        "until [ -e environment ]; do sleep 0.01; done; \
         export $(grep '^NIGHTCORE_' environment); {}",
        c().display()
    );
    let script = format!("({steal}) & exec {}", c().display());
    let engine = late("exec").command("Upper", &["sh", "-c", &script], "").start();
    second_process(&engine);
    engine.wait_for_log("Upper", "which the engine started for EchoC");
    assert_serves(&engine);
    assert_eq!(engine.text("Upper", "its own"), "ITS OWN");
    engine.stop();
}

#[test]
fn a_token_admits_a_descendant_of_the_process() {
    // Two shells are between the launcher and the worker.
    let engine = late("sh -c '\"$0\"; exit $?'").start();
    second_process(&engine);
    assert_serves(&engine);
    engine.stop();
}
