//! Tests that a worker that exceeds its limits is stopped, and harms nothing else.

use harness::process;
use harness::workers::c;
use harness::{Engine, Setup, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::path::PathBuf;

/// Returns the control groups that an engine's launcher has made. There are none if the launcher
/// may not make any.
fn groups(engine: &Engine) -> Vec<PathBuf> {
    groups_of(engine.launcher())
}

fn groups_of(launcher: i32) -> Vec<PathBuf> {
    let name = format!("nightcore-{launcher}");
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() == name.as_str() {
                found.push(entry.path());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
        }
    }
    found
}

/// Returns whether there are control groups with one of these files.
fn can_limit(engine: &Engine, files: [&str; 2]) -> bool {
    let groups = groups(engine);
    let containers =
        groups.iter().flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten());
    let found = containers
        .map(|entry| entry.path())
        .any(|path| files.iter().any(|file| path.join(file).exists()));
    if !found {
        println!("skipped: control groups cannot be made here: {}", files[0]);
    }
    found
}

#[test]
fn memory() {
    let engine = Setup::new()
        .function("Allocate", &c(), "limits = { memory = \"256MiB\" }")
        .functions(&["Echo", "TryCall"], &c())
        .start();
    let has_groups = can_limit(&engine, ["memory.limit_in_bytes", "memory.max"]);
    assert_eq!(engine.text("Allocate", "100"), "1");
    let response = engine.call("Allocate", "400");
    if has_groups {
        assert_eq!((response.status, response.problem().error.as_str()), (502, "CONTAINER_DIED"));
        wait_until("the reason to be known", || {
            engine.function("Allocate").last_end.as_deref() == Some("its limit of memory")
        });
    } else {
        assert_eq!(response.status, 500, "{}", response.text());
    }
    assert_eq!(engine.text("Echo", "on"), "on");
    wait_until("it to serve again", || engine.call("Allocate", "1").text() == "1");
    engine.stop();
}

#[test]
fn processor_time() {
    let engine = Setup::new().function("Compute", &c(), "limits = { cpus = 0.2 }").start();
    if can_limit(&engine, ["cpu.cfs_quota_us", "cpu.max"]) {
        let used_ticks = || {
            let stat =
                fs::read_to_string(format!("/proc/{}/stat", engine.container("Compute"))).unwrap();
            let fields: Vec<&str> =
                stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        let before = used_ticks();
        engine.text("Compute", "2000");
        let used = used_ticks() - before;
        // It may use 40 of the 200 ticks in two seconds.
        assert!((10..=80).contains(&used), "{used} ticks");
    }
    engine.stop();
}

#[test]
fn tasks_and_open_files() {
    let limits = "limits = { tasks = 12, open_files = 100 }";
    let engine = Setup::new().function("Fork", &c(), limits).functions(&["Pid"], &c()).start();
    let open_files = |function: &str| {
        let limits =
            fs::read_to_string(format!("/proc/{}/limits", engine.container(function))).unwrap();
        let line =
            limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        line.split_ascii_whitespace().skip(3).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(open_files("Fork"), ["100", "100"]);
    assert_ne!(open_files("Pid"), open_files("Fork"));
    if can_limit(&engine, ["pids.max", "pids.max"]) {
        let forked = (0..20).take_while(|_| engine.call("Fork", "").status == 200).count();
        assert!((1..12).contains(&forked), "{forked} children");
        assert!(engine.call("Fork", "").text().contains("cannot fork"));
    }
    engine.stop();
}

#[test]
fn groups_end_with_what_they_hold() {
    let engine = Setup::new()
        .function("Fork", &c(), "limits = { tasks = 100 }")
        .function("Pid", &c(), "limits = { memory = \"1GiB\", cpus = 2 }")
        .start();
    if !can_limit(&engine, ["pids.max", "pids.max"]) {
        return;
    }
    let count = |engine: &Engine| {
        let of = |group: PathBuf| fs::read_dir(group).into_iter().flatten().flatten();
        groups(engine).into_iter().flat_map(of).filter(|entry| entry.path().is_dir()).count()
    };
    let before = count(&engine);
    engine.text("Fork", "");
    for function in ["Fork", "Pid"] {
        let old = engine.container(function);
        process::signal(old, Signal::SIGKILL);
        wait_until("another one", || {
            engine.function(function).processes.iter().any(|p| p.pid != old)
        });
    }
    wait_until("the old groups to be gone", || count(&engine) == before);

    let killed = engine.launcher();
    process::signal(killed, Signal::SIGKILL);
    wait_until("another launcher", || {
        engine.launcher() != killed && engine.function("Pid").workers == 1
    });
    wait_until("the old launcher's groups to be gone", || groups_of(killed).is_empty());

    let launcher = engine.launcher();
    process::signal(engine.pid(), Signal::SIGKILL);
    wait_until("all groups to be gone", || groups_of(launcher).is_empty());
}
