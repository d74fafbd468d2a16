//! Whatever functions do, and whatever becomes of their logs, the launcher goes on to start, reap
//! and keep the output of all of them.

use harness::process::{self, Process};
use harness::workers::c;
use harness::{Engine, Setup, wait_until};
use nix::sys::signal::Signal;
use std::fs;

/// More than a log holds before it is set aside.
const MORE_THAN_A_LOG: usize = 5 << 20;

/// Waits until another process than this one serves the function.
#[track_caller]
fn wait_for_another(engine: &Engine, function: &str, than: i32) {
    wait_until("another process", || {
        let of = engine.function(function);
        of.workers > 0 && of.processes.iter().all(|process| process.pid != than)
    });
    assert_eq!(engine.text(function, "again"), "again");
}

#[test]
fn an_orphan_that_prints_without_end_occupies_nothing() {
    let spill = "echo spilled; setsid yes & exit 3";
    let home =
        Setup::new().functions(&["Echo"], &c()).command("Spills", &["sh", "-c", spill], "").home();
    let engine = home.start_some();
    let killed = engine.container("Echo");
    process::signal(killed, Signal::SIGKILL);
    wait_for_another(&engine, "Echo", killed);
    let reload = engine.nightcore("reload", &["Echo"]);
    // It starts what fails anew as well, and says that it still does.
    assert_eq!(reload.code, Some(1), "{}", reload.stderr);
    assert!(
        reload.stderr.contains("Spills") && !reload.stderr.contains("Echo"),
        "{}",
        reload.stderr
    );
    assert_eq!(engine.text("Echo", "anew"), "anew");
    assert_eq!(engine.function("Spills").last_end.as_deref(), Some("exit code 3"));
    // What was printed before the function ended is kept, and its orphans end with their pipe. The
    // function is tried again and again, so there may be a new one at any time.
    engine.wait_for_log("Spills", "spilled");
    let orphans = || -> Vec<i32> {
        let is_orphan = |process: &Process| process.arguments.first().is_some_and(|a| a == "yes");
        engine.processes().iter().filter(|process| is_orphan(process)).map(|p| p.pid).collect()
    };
    let these = orphans();
    wait_until("the orphans to end", || !these.iter().any(|pid| process::is_alive(*pid)));
    engine.stop();
}

#[test]
fn a_process_that_a_real_time_signal_ended_is_replaced() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    let killed = engine.container("Echo");
    // SAFETY: kill takes two numbers and touches no memory; the process is a container of this
    // test's engine.
    assert_eq!(unsafe { libc::kill(killed, libc::SIGRTMIN() + 3) }, 0);
    wait_for_another(&engine, "Echo", killed);
    assert_eq!(engine.function("Echo").last_end.as_deref(), Some("signal SIGRTMIN+3"));
    engine.stop();
}

#[test]
fn a_log_that_is_gone_when_it_is_full_is_begun_anew() {
    let engine = Setup::new().functions(&["Print", "PrintLong"], &c()).start();
    engine.answer("PrintLong", "3");
    engine.wait_for_log("PrintLong", "after");
    fs::remove_file(engine.home().directory().join("logs/PrintLong.log")).unwrap();
    engine.answer("PrintLong", MORE_THAN_A_LOG.to_string());
    // The next line finds the log full, and the file gone.
    wait_until("its log to go on", || {
        engine.answer("PrintLong", "3");
        engine.nightcore("logs", &["PrintLong"]).text().ends_with(" after\n")
    });
    engine.stop();
}

#[test]
fn logs_go_on_in_a_new_folder_when_theirs_is_removed() {
    let engine = Setup::new().functions(&["Print"], &c()).start();
    engine.answer("Print", "before\n");
    engine.wait_for_log("Print", "before");
    fs::remove_dir_all(engine.home().directory().join("logs")).unwrap();
    wait_until("its log to go on", || {
        engine.answer("Print", "after\n");
        engine.nightcore("logs", &["Print"]).text().ends_with(" after\n")
    });
    engine.stop();
}
