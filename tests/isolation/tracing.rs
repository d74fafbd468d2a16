//! Tests that processes of the engine's user can trace the engine and its launcher only if the
//! engine was told to allow it.

use harness::workers::c;
use harness::{Finished, Setup, run};
use std::process::Command;

/// Runs a program without the privileges of root to trace all processes and to read their memory.
const UNPRIVILEGED: [&str; 2] = ["setpriv", "--bounding-set=-sys_ptrace,-perfmon,-sys_admin"];

/// Reads the environment of a process. The system allows this to a process that may read the memory
/// of the other one.
fn environment_of(pid: i32) -> Finished {
    let [program, argument] = UNPRIVILEGED;
    run(Command::new(program).arg(argument).arg("cat").arg(format!("/proc/{pid}/environ")), b"")
}

#[test]
fn the_engine_and_its_launcher_cannot_be_traced_and_functions_can() {
    let [program, argument] = UNPRIVILEGED;
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let engine = home.start_untraced(program, &[argument]);
    for pid in [engine.pid(), engine.launcher()] {
        let read = environment_of(pid);
        assert!(read.stderr.contains("Permission denied"), "{} {}", read.text(), read.stderr);
    }
    let read = environment_of(engine.container("Echo"));
    assert!(read.text().contains("NIGHTCORE_FUNCTION=Echo"), "{}", read.stderr);
    assert_eq!(engine.text("Echo", "serves"), "serves");
    engine.stop();
}

#[test]
fn the_engine_and_its_launcher_can_be_traced_if_the_user_says_so() {
    let [program, argument] = UNPRIVILEGED;
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let script = "exec \"$@\" --trace";
    let engine = home.start_untraced(program, &[argument, "sh", "-c", script, "sh"]);
    for pid in [engine.pid(), engine.launcher()] {
        let read = environment_of(pid);
        assert!(read.text().contains("NIGHTCORE_TEST_HOME="), "{}", read.stderr);
    }
    engine.stop();
}
