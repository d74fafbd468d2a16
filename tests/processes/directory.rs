//! Tests that files in an engine's directory may vanish while the engine runs, and that the engine
//! never touches the files of another engine.

use harness::process;
use harness::workers::c;
use harness::{Engine, Setup, wait_until};
use nix::sys::signal::Signal;
use std::fs;

/// Kills the function's process, and waits until another one serves.
#[track_caller]
fn assert_restarts(engine: &Engine, function: &str, container: i32) {
    process::signal(container, Signal::SIGKILL);
    wait_until("the end of the process", || !process::is_alive(container));
    // One more call may be sent to the dead process, and fail with it.
    wait_until("another process to serve", || engine.call(function, "AGAIN").status == 200);
}

#[test]
fn an_engine_creates_its_directory_and_sockets_again() {
    // Each round has its own function: a process that dies soon after its start is not restarted at
    // once.
    let rounds: [(&str, &[&str]); 3] =
        [("Echo", &[""]), ("Upper", &["control.sock", "logs"]), ("EchoC", &["admin.sock"])];
    let engine = Setup::new().functions(&["Echo", "Upper", "EchoC", "Print"], &c()).start();
    let directory = engine.home().directory();
    for (function, names) in rounds {
        let container = engine.container(function);
        for name in names {
            let path = directory.join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        assert_restarts(&engine, function, container);
        wait_until("the engine to be found", || engine.nightcore("ps", &[]).code == Some(0));
        // A missing log is noticed after a while. Lines until then are lost.
        wait_until("a line to be kept", || {
            engine.answer("Print", "a line\n");
            engine.nightcore("logs", &["Print"]).text().contains("a line")
        });
    }
    engine.stop();
}

#[test]
fn an_engine_whose_directory_another_one_has_taken_leaves_it_alone() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let first = home.start();
    // The first engine is stopped, because it would create the directory again.
    process::signal(first.pid(), Signal::SIGSTOP);
    fs::remove_dir_all(home.directory()).unwrap();
    let second = home.start();
    process::signal(first.pid(), Signal::SIGCONT);
    wait_until("the first one to say so", || first.stderr().contains("an engine runs already"));
    assert_eq!(first.text("Echo", "first"), "first");
    first.terminate();
    first.wait_for_end_beside_another();
    let container = second.container("Echo");
    assert_restarts(&second, "Echo", container);
    second.stop();
}
