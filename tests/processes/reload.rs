//! Tests that functions are changed, added and removed while the engine runs, without losing a
//! call.

use harness::process::{self, is_alive};
use harness::wait::LONG;
use harness::workers::{Language, c};
use harness::{Connection, Engine, Load, Outcome, Setup, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The number of changes of the code under load.
const RELOADS: usize = 100;
const CLIENTS: usize = 4;

/// Starts an engine with copies of the worker's program under these names in its home.
fn start_with(setup: &Setup, names: &[&str]) -> Engine {
    let home = setup.home();
    for name in names {
        fs::copy(c(), home.path().join(name)).unwrap();
    }
    home.start()
}

/// Replaces the configuration of a running engine.
fn write(engine: &Engine, setup: &Setup) {
    fs::write(engine.home().config(), setup.toml()).unwrap();
}

/// Replaces a program in the engine's home by a new file, as a build or an install does.
fn install(engine: &Engine, name: &str) {
    let (new, place) = (engine.home().path().join("new"), engine.home().path().join(name));
    fs::copy(c(), &new).unwrap();
    fs::rename(new, place).unwrap();
}

#[track_caller]
fn reload(engine: &Engine, arguments: &[&str]) -> String {
    let finished = engine.nightcore("reload", arguments);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.text().trim().to_owned()
}

fn p99(outcomes: &[Outcome]) -> Duration {
    let mut times: Vec<Duration> = outcomes.iter().map(|o| o.ended - o.began).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[test]
fn code_changes_a_hundred_times_under_load_and_no_call_fails() {
    let setup = Setup::new().function("Pid", "./pid".as_ref(), "processes = 2");
    let engine = start_with(&setup.function("Call", "./call".as_ref(), ""), &["pid", "call"]);
    let quiet = Load::start(engine.address(), CLIENTS, "Call", b"Pid\n");
    wait_until("a load without reloads", || quiet.ended() > 5000);
    let quiet = quiet.stop();
    let load = Load::start(engine.address(), CLIENTS, "Call", b"Pid\n");
    for number in 0..RELOADS {
        let name = ["pid", "call"][number % 2];
        let function = ["Pid", "Call"][number % 2];
        let before = engine.container(function);
        install(&engine, name);
        assert_eq!(reload(&engine, &[]), format!("restarted: {function}"));
        let of = engine.function(function);
        assert_eq!((of.serving, of.generation), (number as u32 / 2 + 2, number as u32 / 2 + 2));
        wait_until("the old process to have left", || !is_alive(before));
        let ended = load.ended();
        wait_until("calls to go on", || load.ended() > ended);
    }
    let during = load.stop();
    for outcome in &during {
        assert_eq!(outcome.status, Some(200), "{outcome:?}");
    }
    println!(
        "reload: {RELOADS} reloads, {} calls, 0 failed; p99 {:?} without and {:?} during reloads",
        during.len(),
        p99(&quiet),
        p99(&during)
    );
    let pid = engine.function("Pid");
    assert_eq!((pid.restarts, pid.processes.len()), (0, 2));
    engine.stop();
}

#[test]
fn calls_stay_where_they_are_and_new_ones_go_to_new_processes() {
    let setup = Setup::new().functions(&["WaitForFile", "Pid"], &c());
    let engine = setup.start();
    let file = engine.home().path().join("file");
    let mut client = engine.connect();
    client.send("POST", "/function/WaitForFile", &[], file.to_str().unwrap().as_bytes()).unwrap();
    wait_until("the call to run", || engine.function("WaitForFile").running == 1);
    let old = engine.container("WaitForFile");
    let other = engine.container("Pid");
    assert_eq!(reload(&engine, &["WaitForFile"]), "restarted: WaitForFile");
    assert_eq!(engine.container("Pid"), other, "the other function goes on");
    wait_until("both to be there", || engine.function("WaitForFile").processes.len() == 2);
    assert_eq!(engine.text("WaitForFile", "/"), "found");
    assert!(is_alive(old), "its call is not over");
    fs::write(file, "").unwrap();
    assert_eq!(client.receive().unwrap().text(), "found");
    wait_until("the old one to leave", || !is_alive(old));
    wait_until("the engine to see that", || engine.function("WaitForFile").processes.len() == 1);
    let of = engine.function("WaitForFile");
    assert_eq!((of.restarts, of.last_end), (0, None));
    engine.stop();
}

#[test]
fn functions_come_and_go() {
    let first = Setup::new().functions(&["Call", "Echo"], &c());
    let engine = first.start();
    assert_eq!(engine.text("Call", "Echo\n1"), "1");
    let more = first.clone().function("Upper", &c(), "route = \"/shout\"");
    write(&engine, &more);
    assert_eq!(reload(&engine, &[]), "added: Upper");
    assert_eq!(engine.connect().request("POST", "/shout", &[], b"hey").text(), "HEY");
    assert_eq!(engine.text("Call", "Upper\nhey"), "HEY");

    let echo = engine.container("Echo");
    let less = Setup::new().function("Call", &c(), "").function("Upper", &c(), "timeout = \"7s\"");
    write(&engine, &less);
    assert_eq!(reload(&engine, &[]), "adjusted: Upper; removed: Echo");
    // By now the caller knows the callee by its number.
    assert!(engine.call("Call", "Echo\n2").text().contains("NOT_FOUND"));
    assert_eq!(engine.call("Echo", "2").status, 404);
    assert_eq!(engine.connect().request("POST", "/shout", &[], b"hey").status, 404);
    wait_until("its process to leave", || !is_alive(echo));

    write(&engine, &more);
    assert_eq!(reload(&engine, &[]), "added: Echo; adjusted: Upper");
    assert_eq!(engine.text("Call", "Echo\n3"), "3");
    assert_eq!(reload(&engine, &[]), "nothing has changed");
    engine.stop();
}

#[test]
fn a_function_that_did_not_start_may_be_removed_and_come_back() {
    let without = Setup::new().functions(&["Echo"], &c());
    let engine = without.start();
    write(&engine, &without.clone().function("Upper", "/bin/false".as_ref(), ""));
    assert_eq!(engine.nightcore("reload", &[]).code, Some(1));
    write(&engine, &without);
    assert_eq!(reload(&engine, &[]), "removed: Upper");
    write(&engine, &without.clone().functions(&["Upper"], &c()));
    assert_eq!(reload(&engine, &[]), "added: Upper");
    assert_eq!(engine.text("Upper", "back"), "BACK");
    assert_eq!(engine.function("Upper").failing, None);
    engine.stop();
}

#[test]
fn a_removed_function_ends_what_it_has() {
    let first = Setup::new()
        .function("WaitForFile", &c(), "workers = { max = 1 }")
        .functions(&["Echo"], &c());
    let engine = first.start();
    let file = engine.home().path().join("file");
    let mut clients: Vec<Connection> = (0..3).map(|_| engine.connect()).collect();
    for client in &mut clients {
        client
            .send("POST", "/function/WaitForFile", &[], file.to_str().unwrap().as_bytes())
            .unwrap();
    }
    wait_until("them to be taken", || {
        let of = engine.function("WaitForFile");
        (of.running, of.queued) == (1, 2)
    });
    let old = engine.container("WaitForFile");
    write(&engine, &Setup::new().functions(&["Echo"], &c()));
    assert_eq!(reload(&engine, &[]), "removed: WaitForFile");
    assert_eq!(engine.call("WaitForFile", "/").status, 404);
    fs::write(file, "").unwrap();
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().text(), "found");
    }
    wait_until("its process to leave", || !is_alive(old));
    engine.stop();
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let setup = Setup::new().functions(&["Echo"], &c());
    let engine = setup.start();
    let pid = engine.container("Echo");
    let wrong = setup.clone().function("Upper", &c(), "timeot = \"1s\"").toml();
    for (toml, told) in [
        (wrong, "did you mean \"timeout\""),
        (setup.clone().gateway("max_body = \"1MiB\"").toml(), "takes a restart"),
        (setup.clone().admin().toml(), "[admin] has changed, which takes a restart"),
        ("".to_owned(), "there is no function in it"),
    ] {
        fs::write(engine.home().config(), toml).unwrap();
        let finished = engine.nightcore("reload", &["--all"]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains(told), "{}", finished.stderr);
        assert_eq!(engine.text("Echo", "on"), "on");
    }
    write(&engine, &setup);
    assert_eq!(engine.nightcore("reload", &["Nobody"]).code, Some(2));
    assert_eq!(engine.container("Echo"), pid);
    engine.stop();
}

#[test]
fn new_code_that_does_not_start_leaves_the_old_serving() {
    let setup = |program: &std::path::Path| {
        Setup::new().function("Echo", program, "").functions(&["Call"], &c())
    };
    let engine = setup(&c()).start();
    let old = engine.container("Echo");
    // One program ends at once each time, and the other has no handler for the function.
    for (program, told) in
        [("/bin/false".as_ref(), "soon after its start"), (&*Language::C.hello(), "no handler")]
    {
        write(&engine, &setup(program));
        let finished = engine.nightcore("reload", &[]);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(told), "{}", finished.stderr);
        assert!(finished.stderr.contains("serve on"), "{}", finished.stderr);
        let shown = engine.nightcore("ps", &[]).text();
        assert!(
            shown.contains("Echo: its new processes do not come to be, the old ones serve on: "),
            "{shown}"
        );
        assert_eq!(engine.text("Call", "Echo\non"), "on");
        assert_eq!(engine.container("Echo"), old);
    }
    // Meanwhile, the old code is restarted if it dies.
    process::signal(old, Signal::SIGKILL);
    wait_until("the old code to be started again", || engine.call("Echo", "on").status == 200);
    write(&engine, &setup(&c()));
    assert_eq!(reload(&engine, &[]), "restarted: Echo");
    assert_eq!(engine.text("Echo", "new"), "new");
    assert_eq!(engine.function("Echo").processes.len(), 1);
    engine.stop();
}

#[test]
fn a_hangup_reloads() {
    let setup = Setup::new().functions(&["Echo"], &c());
    let engine = setup.start();
    write(&engine, &setup.clone().functions(&["Upper"], &c()));
    process::signal(engine.pid(), Signal::SIGHUP);
    wait_until("the new function to answer", || engine.call("Upper", "a").text() == "A");
    assert!(engine.stderr().contains("reloaded: added: Upper"), "{}", engine.stderr());
    fs::write(engine.home().config(), "[functions").unwrap();
    process::signal(engine.pid(), Signal::SIGHUP);
    wait_until("it to be told", || engine.stderr().contains("not reloaded"));
    assert_eq!(engine.text("Upper", "b"), "B");
    engine.stop();
}

#[test]
fn a_watched_function_follows_its_files() {
    let setup = Setup::new().function("Pid", "./pid".as_ref(), "watch = true");
    let setup = setup.function("Other", "./other".as_ref(), "env = { ALSO = \"Other\" }");
    let engine = start_with(&setup, &["pid", "other"]);
    for _ in 0..3 {
        let before = engine.text("Pid", "");
        // Only the function that sets `watch` is restarted, although both programs have changed.
        install(&engine, "other");
        install(&engine, "pid");
        wait_until("the new program to serve", || engine.text("Pid", "") != before);
    }
    assert_eq!(engine.function("Other").generation, 1);
    assert_eq!(reload(&engine, &[]), "restarted: Other");
    engine.stop();
}

#[test]
fn dev_follows_scripts_what_they_use_and_the_configuration() {
    let setup = Setup::new().command("Pid", &["sh", "./start.sh"], "");
    let home = setup.home();
    let folder = home.path().join("lib");
    fs::create_dir(&folder).unwrap();
    fs::write(home.path().join("start.sh"), ". ./lib/part.sh\n").unwrap();
    fs::write(folder.join("part.sh"), format!("exec {}\n", c().display())).unwrap();
    let engine = home.start_dev();
    let mut before = engine.text("Pid", "");
    let mut changes = |path: std::path::PathBuf, text: String| {
        fs::write(path, text).unwrap();
        wait_until("what has changed to be seen", || engine.text("Pid", "") != before);
        before = engine.text("Pid", "");
    };
    changes(folder.join("part.sh"), format!("exec  {}\n", c().display()));
    changes(home.path().join("start.sh"), ". ./lib/part.sh # again\n".to_owned());
    // New folders are watched, too.
    fs::create_dir_all(folder.join("more/yet")).unwrap();
    changes(folder.join("part.sh"), format!("exec {} # and more\n", c().display()));
    changes(folder.join("more/yet/new.sh"), "".to_owned());
    changes(home.config(), setup.clone().toml().replace("./start.sh", "start.sh"));
    fs::write(home.config(), setup.functions(&["Upper"], &c()).toml()).unwrap();
    wait_until("the new function", || engine.call("Upper", "a").text() == "A");
    engine.stop();
}

#[test]
fn a_file_that_is_written_all_the_time_keeps_no_change_from_being_served() {
    // A start takes longer than the watch waits for further changes.
    const START: &str = "sleep 2.5\n. ./part.sh\n";
    let setup = Setup::new().command("Pid", &["sh", "./start.sh"], "");
    let home = setup.home();
    let part = |version: u32| {
        let new = home.path().join("new");
        fs::write(&new, format!("VERSION={version} exec {}\n", c().display())).unwrap();
        fs::rename(new, home.path().join("part.sh")).unwrap();
    };
    fs::write(home.path().join("start.sh"), START).unwrap();
    part(1);
    let engine = home.start_dev();
    let noise = home.path().join("noise.sh");
    let is_over = AtomicBool::new(false);
    let serves = |version: &str| {
        let pid = engine.call("Pid", "").text().parse().ok();
        process::with_variable("VERSION", version).iter().any(|process| Some(process.pid) == pid)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let until = Instant::now() + 2 * LONG;
            wait_until_within("the end", 2 * LONG, || {
                fs::write(&noise, format!("{:?}", until)).unwrap();
                is_over.load(Ordering::Relaxed)
            });
        });
        part(2);
        wait_until("the change to be served", || serves("2"));
        is_over.store(true, Ordering::Relaxed);
    });
    let said = engine.stderr();
    assert!(said.contains("restarted: Pid (noise.sh)"), "{said}");
    engine.stop();
}
