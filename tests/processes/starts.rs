//! Tests that every start ends within a time limit, and that a function stays available when one of
//! its processes cannot start.

use harness::workers::c;
use harness::{Home, Setup, process, wait_for, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// Much less than the timeout of a call. A call that waits for its deadline takes longer.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_full_pipe_for_the_ready_line_holds_nobody_up() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let fd = writer.as_raw_fd();
    // SAFETY: F_GETPIPE_SZ only returns a size.
    let room = unsafe { libc::fcntl(fd, libc::F_GETPIPE_SZ) };
    writer.write_all(&vec![b'x'; room as usize]).unwrap();
    let mut up = home.command("up");
    up.args(["--ready-fd", &fd.to_string()])
        .stderr(File::create(home.path().join("said")).unwrap());
    // SAFETY: the closure makes only system calls, which is allowed between fork and exec.
    unsafe {
        up.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            libc::fcntl(fd, libc::F_SETFD, 0);
            Ok(())
        });
    }
    let mut up = up.spawn().unwrap();
    drop(writer);
    let said = || std::fs::read_to_string(home.path().join("said")).unwrap();
    wait_until("the line on standard error", || said().contains("ready: "));
    let answered = home.nightcore("invoke", &["Echo", "-d", "x"]);
    assert_eq!(answered.text(), "x", "{}", answered.stderr);
    let mut line = vec![0; room as usize];
    reader.read_exact(&mut line).unwrap();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.ends_with(", 1 functions\n"), "{line:?}");
    process::signal(up.id() as i32, Signal::SIGTERM);
    assert!(wait_for("the end of the engine", || up.try_wait().unwrap()).success());
}

#[test]
fn a_function_is_available_while_one_of_its_processes_is_ready() {
    // The first process creates the folder, and each other process ends at once.
    let script = format!("mkdir taken || exit 1; exec {}", c().display());
    let lines = "processes = 2\n";
    let home = Setup::new().command("Echo", &["sh", "-c", &script], lines).home();
    let engine = home.start();
    wait_until("the other one to have failed often", || engine.function("Echo").restarts >= 4);
    let echo = engine.function("Echo");
    assert_eq!(echo.unavailable, None);
    assert!(echo.failing.is_some_and(|reason| reason.contains("exit code 1")));
    assert_eq!(engine.text("Echo", "served"), "served");
    let ps = engine.nightcore("ps", &[]).text();
    assert!(ps.contains("some of its processes do not come to be, the others serve"), "{ps}");
    let ready = engine.container("Echo");
    harness::process::signal(ready, nix::sys::signal::Signal::SIGKILL);
    wait_until("it to be unavailable when none is left", || {
        engine.function("Echo").unavailable.is_some()
    });
    let refused = engine.call("Echo", "x");
    assert_eq!(refused.status, 503, "{}", refused.text());
    fs::remove_dir(home.path().join("taken")).unwrap();
    wait_until("it to come back", || engine.call("Echo", "x").status == 200);
    assert_eq!(engine.function("Echo").unavailable, None);
    engine.stop();
}

#[test]
fn a_process_that_does_not_become_ready_is_ended_and_said_to_be() {
    let lines = "start_timeout = \"300ms\"\nexpose_errors = true";
    let home =
        Setup::new().functions(&["Echo"], &c()).command("Sleeps", &["sleep", "1000"], lines).home();
    let began = Instant::now();
    let engine = home.start_some();
    assert!(engine.ready_line().contains("failed: Sleeps"), "{}", engine.ready_line());
    let refused = engine.call("Sleeps", "x");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("300ms (start_timeout)"), "{}", refused.text());
    let line = "was ended, as it was not ready within 300ms (start_timeout); restarted in";
    wait_until("the line", || engine.stderr().contains(line));
    let reload = engine.nightcore("reload", &["Sleeps"]);
    assert_eq!(reload.code, Some(1));
    assert!(reload.stderr.contains("start_timeout"), "{}", reload.stderr);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(engine.text("Echo", "served"), "served");
    engine.stop();
}

#[test]
fn a_reload_whose_processes_do_not_become_ready_says_so() {
    let setup =
        |command: &[&str]| Setup::new().command("Echo", command, "start_timeout = \"500ms\"");
    let worker = c();
    let worker = worker.to_str().unwrap();
    let home = setup(&[worker]).home();
    let engine = home.start();
    fs::write(home.config(), setup(&["sleep", "1000"]).toml()).unwrap();
    let reload = engine.nightcore("reload", &[]);
    assert_eq!(reload.code, Some(1));
    assert!(reload.stderr.contains("the processes that it had serve on"), "{}", reload.stderr);
    assert_eq!(engine.text("Echo", "served"), "served");
    engine.stop();
}

#[test]
fn a_start_order_that_is_too_large_is_an_error_at_once() {
    // Each variable is as large as one may be, and both together are too large for an order.
    let large = "x".repeat(120 * 1024);
    let env = format!("env = {{ LARGE = \"{large}\", OTHER = \"{large}\" }}");
    let lines = format!("{env}\nexpose_errors = true");
    let home = Setup::new().functions(&["Upper"], &c()).function("Echo", &c(), &lines).home();
    let engine = home.start_some();
    assert!(engine.ready_line().contains("failed: Echo"), "{}", engine.ready_line());
    let refused = engine.call("Echo", "x");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("Echo cannot be started"), "{}", refused.text());
    assert_eq!(engine.text("Upper", "x"), "X");
    fs::write(home.config(), Setup::new().functions(&["Upper", "Echo"], &c()).toml()).unwrap();
    assert_eq!(engine.nightcore("reload", &[]).code, Some(0));
    assert_eq!(engine.text("Echo", "x"), "x");
    engine.stop();
}

#[test]
fn a_folder_whose_name_is_not_text_is_a_folder() {
    let home = Home::new(&Setup::new().functions(&["Echo"], &c()).toml());
    let script = "bad=$(printf 'b\\377d'); mkdir $bad; cp nightcore.toml $bad; program=$1; \
                  shift 4; exec \"$program\" up --config $bad/nightcore.toml \"$@\"";
    let engine = home.start_under("sh", &["-c", script, "sh"]);
    assert!(!engine.ready_line().contains("failed"), "{}", engine.ready_line());
    assert_eq!(engine.text("Echo", "served"), "served");
    engine.stop();
}

#[test]
fn calls_that_wait_for_a_start_are_answered_when_it_fails() {
    let lines = "start_timeout = \"400ms\"";
    let home = Setup::new().command("Sleeps", &["sleep", "1000"], lines).home();
    let engine = home.start_some();
    // The start is tried again. Until that fails as well, the function stays unavailable.
    wait_until_within("a second try", SOON, || engine.function("Sleeps").restarts >= 2);
    assert_eq!(engine.call("Sleeps", "x").status, 503);
    engine.stop();
}

/// Returns a setup whose function is ready while the file `ready` exists in the home.
fn with_check(lines: &str) -> Setup {
    let lines = format!("ready_path = \"/ready\"\n{lines}");
    Setup::new().function("Ready", &c(), &lines).function("Echo", &c(), "")
}

#[test]
fn a_process_gets_no_calls_before_it_has_answered_its_ready_path() {
    for processes in [1, 3] {
        let home = with_check(&format!("processes = {processes}\nstart_timeout = \"20s\"")).home();
        let file = home.path().join("ready");
        fs::write(&file, "").unwrap();
        let engine = home.start();
        let is_ready = || engine.connect().request("GET", "/readyz", &[], b"").status == 200;
        assert!(is_ready());
        let of = || engine.function("Ready");
        let before: Vec<String> = of().processes.iter().map(|p| p.pid.to_string()).collect();
        assert_eq!(before.len(), processes);
        fs::remove_file(&file).unwrap();
        assert_eq!(engine.nightcore("reload", &["--no-wait", "Ready"]).code, Some(0));
        wait_until("the new ones to be there", || of().processes.len() == 2 * processes);
        let probes = of().external;
        wait_until("them to be asked", || of().external > probes + 3);
        for _ in 0..10 {
            assert!(before.contains(&engine.text("Ready", "")), "a new one serves");
        }
        assert!(is_ready() && of().serving == 1);
        fs::write(&file, "").unwrap();
        wait_until("the new ones to serve", || of().serving == 2);
        assert!(!before.contains(&engine.text("Ready", "")), "an old one serves");
        assert!(is_ready());
        engine.stop();
    }
}

#[test]
fn a_readiness_check_that_never_passes_is_a_failed_start() {
    let home = with_check("start_timeout = \"300ms\"\nexpose_errors = true").home();
    let engine = home.start_some();
    assert!(engine.ready_line().contains("failed: Ready"), "{}", engine.ready_line());
    let why = "300ms (start_timeout), by its ready_path: it answered with 503";
    let refused = engine.call("Ready", "");
    assert!(refused.status == 503 && refused.text().contains(why), "{}", refused.text());
    let health = engine.connect().request("GET", "/readyz", &[], b"");
    assert!(health.status == 503 && health.text().contains(why), "{}", health.text());
    let reload = engine.nightcore("reload", &["Ready"]);
    assert_eq!(reload.code, Some(1));
    assert!(reload.stderr.contains(why), "{}", reload.stderr);
    // The check goes on, and then passes.
    fs::write(home.path().join("ready"), "").unwrap();
    wait_until("it to be ready", || engine.call("Ready", "").status == 200);
    // Where other processes serve, they go on.
    fs::remove_file(home.path().join("ready")).unwrap();
    let serving = engine.text("Ready", "");
    let reload = engine.nightcore("reload", &["Ready"]);
    assert_eq!(reload.code, Some(1));
    assert!(reload.stderr.contains("the processes that it had serve on"), "{}", reload.stderr);
    assert_eq!(engine.text("Ready", ""), serving);
    engine.stop();
}
