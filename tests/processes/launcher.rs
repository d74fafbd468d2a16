//! Tests that the launcher goes on to start and reap all functions and to keep their output,
//! whatever they do and whatever happens to their logs.

use harness::process::{self, Process};
use harness::workers::c;
use harness::{Engine, Setup, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::process::{Command, Stdio};

/// A size above the one at which a log is rotated.
const MORE_THAN_A_LOG: usize = 5 << 20;

/// Waits until a process other than `than` serves the function.
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
    // The orphan leaves its process group, and the environment by which it would be found, before
    // the function ends.
    let spill = "rm -f left; echo spilled; setsid env -i sh -c 'touch left; exec yes' & \
                 echo $! > orphan; until [ -e left ]; do :; done; exit 3";
    let home =
        Setup::new().functions(&["Echo"], &c()).command("Spills", &["sh", "-c", spill], "").home();
    let engine = home.start_some();
    let killed = engine.container("Echo");
    process::signal(killed, Signal::SIGKILL);
    wait_for_another(&engine, "Echo", killed);
    let reload = engine.nightcore("reload", &["Echo"]);
    // The reload also restarts the failed function, and reports that it still fails.
    assert_eq!(reload.code, Some(1), "{}", reload.stderr);
    assert!(
        reload.stderr.contains("Spills") && !reload.stderr.contains("Echo"),
        "{}",
        reload.stderr
    );
    assert_eq!(engine.text("Echo", "again"), "again");
    assert_eq!(engine.function("Spills").last_end.as_deref(), Some("exit code 3"));
    // Lines that were printed before the function ended are kept, and its orphans end with their
    // pipe. The function is started again and again, so a new orphan may appear at any time.
    engine.wait_for_log("Spills", "spilled");
    let orphan = wait_for("an orphan", || {
        fs::read_to_string(home.path().join("orphan")).ok()?.trim().parse::<i32>().ok()
    });
    wait_until("the orphan to end", || !process::is_alive(orphan));
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
fn a_new_log_is_started_if_a_full_log_has_lost_its_file() {
    let engine = Setup::new().functions(&["Print", "PrintLong"], &c()).start();
    engine.answer("PrintLong", "3");
    engine.wait_for_log("PrintLong", "after");
    fs::remove_file(engine.home().directory().join("logs/PrintLong.log")).unwrap();
    engine.answer("PrintLong", MORE_THAN_A_LOG.to_string());
    // When the next line comes, the log is full and its file is gone.
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

/// Returns the living `sleep` processes of this engine.
fn sleeping(engine: &Engine) -> Vec<i32> {
    let is_sleep = |process: &Process| process.arguments.first().is_some_and(|a| a == "sleep");
    let sleeping = engine.processes().into_iter().filter(is_sleep).map(|process| process.pid);
    sleeping.filter(|pid| process::is_alive(*pid)).collect()
}

#[test]
fn a_child_in_a_session_of_its_own_ends_with_its_container() {
    // The second child is one level deeper: its parent has ended.
    let leave = format!("setsid sleep 1000 & (setsid sleep 1001 &); exec {}", c().display());
    let engine = Setup::new().command("Echo", &["sh", "-c", &leave], "").start();
    assert_eq!(engine.text("Echo", "x"), "x");
    wait_until("both children", || sleeping(&engine).len() == 2);
    let first = sleeping(&engine);
    let container = engine.container("Echo");
    process::signal(container, Signal::SIGKILL);
    wait_until("their end", || !first.iter().any(|pid| process::is_alive(*pid)));
    wait_for_another(&engine, "Echo", container);
    wait_until("both children of the next one", || sleeping(&engine).len() == 2);
    let second = sleeping(&engine);
    assert_eq!(engine.nightcore("reload", &["Echo"]).code, Some(0));
    wait_until("their end", || !second.iter().any(|pid| process::is_alive(*pid)));
    wait_until("those of the new process to live on", || sleeping(&engine).len() == 2);
    engine.stop();
}

#[test]
fn children_that_an_engine_had_before_it_was_one_are_left_alone() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    // This is how the entry point of an image starts the engine: `exec` keeps the process and its
    // children.
    let entry = "env -i sleep 1000 & echo $! > beside; exec \"$@\"";
    let engine = home.start_under("sh", &["-c", entry, "entry"]);
    let beside = fs::read_to_string(home.path().join("beside")).unwrap();
    let beside: i32 = beside.trim().parse().unwrap();
    let killed = engine.container("Echo");
    process::signal(engine.launcher(), Signal::SIGKILL);
    wait_for_another(&engine, "Echo", killed);
    assert!(process::is_alive(beside), "it is no orphan of the launcher");
    engine.stop();
    assert!(process::is_alive(beside), "it is none of the engine's");
    process::signal(beside, Signal::SIGKILL);
}

#[test]
fn a_launcher_that_dies_while_its_engine_stops_is_not_replaced() {
    let stay = format!("trap '' TERM; {}; exec sleep 1000", c().display());
    let home = Setup::new().command("Echo", &["sh", "-c", &stay], "stop_timeout = \"1m\"").home();
    let engine = home.start();
    let launcher = engine.launcher();
    engine.terminate();
    wait_until("the process to linger", || sleeping(&engine).len() == 1);
    process::signal(launcher, Signal::SIGKILL);
    wait_until("the engine's end", || engine.processes().is_empty());
    assert!(!home.directory().exists(), "it ended in order");
    assert!(!engine.stderr().contains("its containers are restarted"), "{}", engine.stderr());
}

/// Returns the children of a process, including those that are dead.
fn children(parent: i32) -> Vec<i32> {
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let parent_of = |pid: i32| {
        stat(pid)?.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

#[test]
fn an_engine_that_is_init_reaps_orphans_that_came_from_outside() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let namespaces = ["--user", "--map-root-user", "--pid", "--mount-proc"];
    let may = Command::new("unshare").args(namespaces).args(["--fork", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no namespaces can be made here");
        return;
    }
    let up = home.command("up");
    let mut unshare = Command::new("unshare");
    unshare.args(namespaces).args(["--fork", "--kill-child", "--"]);
    unshare.arg(up.get_program()).args(up.get_args()).current_dir(home.path());
    let mut unshare = unshare.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let init = wait_for("the engine", || {
        let found = children(unshare.id() as i32).first().copied();
        found.filter(|_| home.nightcore("ps", &[]).code == Some(0))
    });
    let outside = "(sh -c 'sleep 0.05; touch orphan' &)";
    let entered = Command::new("nsenter")
        .args(["--target", &init.to_string(), "--user", "--preserve-credentials", "--pid", "--"])
        .args(["sh", "-c", outside])
        .current_dir(home.path())
        .status();
    assert!(entered.unwrap().success());
    wait_until("the orphan's work", || home.path().join("orphan").exists());
    wait_until("the orphan to be reaped", || children(init).len() == 1);
    process::signal(init, Signal::SIGTERM);
    assert!(unshare.wait().unwrap().success());
}
