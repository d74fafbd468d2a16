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
    let own = "env = { LISTEN_FDNAMES = \"mine\" }\nenv_inherit = [\"*\"]";
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

#[test]
fn a_function_gets_harmless_variables_and_those_that_its_table_names() {
    let home = told(&c(), "env_inherit = [\"NAMED\", \"BY_ITS_*\", \"NIGHTCORE_TEST_*\"]");
    let set = ["SECRET=1", "NAMED=2", "NAMED_TOO=3", "BY_ITS_BEGINNING=4", "LC_TIME=C", "TZ=UTC"];
    let engine = home.start_under("env", &set);
    let printed = printed(&engine);
    let mut got: Vec<&str> = printed.iter().filter_map(|line| line.strip_prefix("env ")).collect();
    got.retain(|line| set.contains(line));
    got.sort_unstable();
    assert_eq!(got, ["BY_ITS_BEGINNING=4", "LC_TIME=C", "NAMED=2", "TZ=UTC"]);
    assert!(printed.iter().any(|line| line.starts_with("env PATH=")), "{printed:?}");
    engine.stop();
}

#[test]
fn a_build_gets_the_whole_environment() {
    let build = "build = [\"sh\", \"-c\", \"env >built\"]";
    let home = Setup::new().function("Echo", &c(), build).home();
    let engine = home.start_dev_with(&[("SECRET", "1")]);
    let built = std::fs::read_to_string(home.path().join("built")).unwrap();
    assert!(built.lines().any(|line| line == "SECRET=1"), "{built}");
    engine.stop();
}
