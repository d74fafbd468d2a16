//! Tests that a function inherits nothing that its engine, its launcher or a service manager needs.

use harness::workers::c;
use harness::{Home, Setup};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// Creates a home with a function that prints what its process has inherited, and then serves.
fn told(worker: &std::path::Path, lines: &str) -> Arc<Home> {
    let script = format!(
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; env | sed 's/^/env /'; \
         for fd in /proc/$$/fd/*; do [ -e $fd ] && echo \"fd ${{fd##*/}}\"; done; \
         echo told; exec {}",
        worker.display()
    );
    Setup::new().command("Echo", &["sh", "-c", &script], lines).home()
}

/// Returns the lines that the function has printed, once it has printed all of them.
#[track_caller]
fn printed(engine: &harness::Engine) -> Vec<String> {
    engine.wait_for_log("Echo", " told\n");
    assert_eq!(engine.text("Echo", "serves"), "serves");
    let log = engine.nightcore("logs", &["Echo"]).text();
    log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
}

#[test]
fn signals_are_as_in_a_new_login_whatever_the_engine_was_started_with() {
    let home = told(&c(), "");
    // The descriptor on which the engine reports that it is ready may have either number.
    let script = "trap '' INT QUIT USR1 HUP; umask 027; fd=8; [ -e /proc/$$/fd/8 ] && fd=9; \
                  eval \"exec $fd</dev/null\"; exec \"$@\"";
    let engine = home.start_under("sh", &["-c", script, "sh"]);
    let printed = printed(&engine);
    for mask in ["SigBlk", "SigIgn"] {
        let line = printed.iter().find(|line| line.starts_with(mask)).expect("it is printed");
        assert_eq!(line.split_ascii_whitespace().last(), Some("0000000000000000"), "{line}");
    }
    assert!(printed.contains(&"0027".to_owned()), "the user's umask holds: {printed:?}");
    let is_foreign = |line: &&String| {
        let fd = line.strip_prefix("fd ").and_then(|fd| fd.parse::<i32>().ok());
        // The shell itself opens descriptors for the script from 10 on.
        fd.is_some_and(|fd| (3..10).contains(&fd))
    };
    let foreign: Vec<_> = printed.iter().filter(is_foreign).collect();
    assert!(foreign.is_empty(), "descriptors of others: {foreign:?}");
    engine.stop();
}

#[test]
fn variables_of_a_service_manager_are_for_the_engine_alone() {
    let own = "env = { LISTEN_FDNAMES = \"mine\" }";
    let home = told(&c(), own);
    let path = home.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let names = [
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "JOURNAL_STREAM",
        "MEMORY_PRESSURE_WATCH",
    ];
    let of_manager = names.map(|name| format!("{name}={}", path.display()));
    let mut arguments = of_manager.to_vec();
    arguments.push("STATE_DIRECTORY=/kept".to_owned());
    let engine = home.start_under("env", &arguments);
    let printed = printed(&engine);
    let has = |name: &str| printed.iter().find(|line| line.starts_with(&format!("env {name}=")));
    for name in names.iter().filter(|name| **name != "LISTEN_FDNAMES") {
        assert_eq!(has(name), None);
    }
    assert_eq!(has("LISTEN_FDNAMES").map(String::as_str), Some("env LISTEN_FDNAMES=mine"));
    assert_eq!(has("STATE_DIRECTORY").map(String::as_str), Some("env STATE_DIRECTORY=/kept"));
    drop(manager);
    engine.stop();
}
