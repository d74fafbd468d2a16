//! Tests of the builds of functions by `nightcore dev`: the first build, and those after a change.
//!
//! The build in these tests is a shell script. The program that it makes runs the worker with the
//! content of `source.c` in a variable, so that a process shows which source it was built from.

use harness::workers::c;
use harness::{Engine, Home, Setup, process, wait_until};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// The part of the build script that makes `app`. Tests add lines before and after it.
const MAKE: &str = "
echo run >> runs
if grep broken source.c; then echo 'source.c: syntax error'; exit 3; fi
{ echo '#!/bin/sh'; echo \"SOURCE=$(cat source.c) exec $WORKER\"; } > app.new
chmod +x app.new && mv app.new app
";
/// Returns the lines of a function that is built in the folder `app`.
fn built() -> String {
    format!(
        "cwd = \"app\"\nbuild = [\"sh\", \"build.sh\"]\nenv = {{ WORKER = \"{}\" }}",
        c().display()
    )
}

/// Returns a setup with the function `Pid`, which is built.
fn setup() -> Setup {
    Setup::new().function("Pid", "./app/app".as_ref(), &built())
}

/// Creates a home like a fresh clone, which has sources but no program.
fn cloned(setup: &Setup, before: &str, after: &str) -> Arc<Home> {
    let home = setup.home();
    fs::create_dir(home.path().join("app")).unwrap();
    fs::write(home.path().join("app/build.sh"), format!("{before}\n{MAKE}\n{after}\n")).unwrap();
    fs::write(home.path().join("app/source.c"), "1").unwrap();
    home
}

fn path(engine: &Engine, name: &str) -> PathBuf {
    engine.home().path().join("app").join(name)
}

/// Saves a file in one step, as an editor does.
fn save(engine: &Engine, name: &str, text: &str) {
    let new = path(engine, "saved.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path(engine, name)).unwrap();
}

/// Returns the number of builds that were started.
fn runs(engine: &Engine) -> usize {
    fs::read_to_string(path(engine, "runs")).unwrap_or_default().lines().count()
}

/// Whether the program that serves a function was built from this source.
fn serves(engine: &Engine, function: &str, source: &str) -> bool {
    let response = engine.call(function, "");
    let pid = response.text().parse().ok();
    process::with_variable("SOURCE", source).iter().any(|process| Some(process.pid) == pid)
}

#[track_caller]
fn wait_until_serves(engine: &Engine, source: &str) {
    wait_until(&format!("source {source} to serve"), || serves(engine, "Pid", source));
}

/// Returns how often the engine has shown a text.
fn shown(engine: &Engine, text: &str) -> usize {
    engine.stderr().matches(text).count()
}

#[track_caller]
fn wait_until_shown(engine: &Engine, text: &str) {
    wait_until(&format!("{text:?}"), || engine.stderr().contains(text));
}

#[test]
fn a_fresh_clone_is_built_and_then_follows_its_sources() {
    let home = cloned(&setup(), "echo compiling for $WORKER", "");
    let up = home.up_in_vain();
    assert_eq!(up.code, Some(2));
    assert!(up.stderr.contains("command not found"), "{}", up.stderr);
    assert!(up.stderr.contains("run \"sh build.sh\" in "), "{}", up.stderr);
    assert!(up.stderr.contains("nightcore dev"), "{}", up.stderr);

    let engine = home.start_dev();
    assert!(serves(&engine, "Pid", "1"));
    assert!(shown(&engine, "Pid: building: sh build.sh") == 1, "{}", engine.stderr());
    assert!(shown(&engine, "Pid: built in ") == 1, "{}", engine.stderr());
    engine.wait_for_log("Pid", &format!("compiling for {}", c().display()));
    for (run, source) in ["2", "3"].into_iter().enumerate() {
        save(&engine, "source.c", source);
        wait_until_serves(&engine, source);
        assert_eq!(runs(&engine), run + 2);
        wait_until("that to be told", || shown(&engine, "Pid: the new version serves") == run + 1);
    }
    assert_eq!(shown(&engine, "Pid: source.c has changed, building: sh build.sh"), 2);
    // A new file in a new folder starts a build, too.
    fs::create_dir(path(&engine, "lib")).unwrap();
    save(&engine, "lib/part.h", "");
    wait_until("a build for it", || runs(&engine) == 4);
    fs::remove_file(path(&engine, "lib/part.h")).unwrap();
    wait_until("a build without it", || runs(&engine) == 5);
    engine.stop();

    // The program that was built serves without `nightcore dev`, which alone builds.
    let engine = home.start();
    assert!(serves(&engine, "Pid", "3"));
    assert_eq!(runs(&engine), 5);
    engine.stop();
}

#[test]
fn a_mistake_is_shown_once_and_the_old_version_serves_on() {
    let home = cloned(&setup(), "", "");
    let engine = home.start_dev();
    let old = engine.container("Pid");
    save(&engine, "source.c", "broken");
    wait_until_shown(&engine, "Pid: the build failed after ");
    wait_until_shown(&engine, "exit code 3; the old version of Pid serves on");
    let ps = engine.nightcore("ps", &[]).text();
    assert!(ps.contains("the old ones serve on: its build failed: exit code 3"), "{ps}");
    assert_eq!((engine.container("Pid"), serves(&engine, "Pid", "1")), (old, true));
    // The source is saved once more without a change, so there is nothing to build.
    save(&engine, "source.c", "broken");
    save(&engine, "source.c", "2");
    wait_until_serves(&engine, "2");
    assert_eq!((runs(&engine), shown(&engine, "syntax error")), (3, 1), "{}", engine.stderr());
    assert_eq!(engine.function("Pid").failing, None);
    engine.stop();
}

#[test]
fn a_function_whose_first_build_fails_says_so_and_comes_up_later() {
    let home = cloned(&setup().functions(&["Echo"], &c()), "", "");
    fs::write(home.path().join("app/source.c"), "broken").unwrap();
    let engine = home.start_dev();
    assert!(engine.ready_line().contains("failed: Pid"), "{}", engine.ready_line());
    let response = engine.call("Pid", "");
    let reason = "its build failed: exit code 3; see `nightcore logs Pid`";
    assert_eq!(response.status, 503);
    assert!(response.text().contains(reason), "{}", response.text());
    assert_eq!(engine.function("Pid").failing.as_deref(), Some(reason));
    wait_until_shown(&engine, "; Pid cannot be called until it is built");
    assert_eq!(engine.text("Echo", "on"), "on");
    engine.wait_for_log("Pid", "source.c: syntax error");
    save(&engine, "source.c", "2");
    wait_until_serves(&engine, "2");
    assert_eq!((runs(&engine), shown(&engine, "syntax error")), (2, 1));
    engine.stop();
}

#[test]
fn a_build_that_makes_no_program_has_failed() {
    let home = cloned(&setup(), "if [ ! -e source.h ]; then exit 0; fi", "");
    let engine = home.start_dev();
    let said = format!("it has not made {}", path(&engine, "app").canonicalize_parent().display());
    assert!(engine.stderr().contains(&said), "{}", engine.stderr());
    save(&engine, "source.h", "");
    wait_until_serves(&engine, "1");
    engine.stop();
}

trait CanonicalizeParent {
    fn canonicalize_parent(&self) -> PathBuf;
}

impl CanonicalizeParent for PathBuf {
    /// Returns the path as the engine names it. The file does not have to exist.
    fn canonicalize_parent(&self) -> PathBuf {
        let parent = self.parent().unwrap().canonicalize().unwrap();
        parent.join(self.file_name().unwrap())
    }
}

#[test]
fn a_build_that_generates_sources_does_not_cause_builds_without_end() {
    let home = cloned(&setup(), "cp source.c generated.h", "");
    let engine = home.start_dev();
    // The first build generates the file, and the second one generates it with the same content.
    wait_until("the generated source to be built", || runs(&engine) == 2);
    for (source, count) in [("2", 4), ("3", 6)] {
        save(&engine, "source.c", source);
        wait_until_serves(&engine, source);
        wait_until("the generated source to be built", || runs(&engine) == count);
    }
    assert_eq!(engine.nightcore("reload", &["Pid"]).code, Some(0));
    assert_eq!(runs(&engine), 7, "{}", engine.stderr());
    engine.stop();

    // Here each build generates other content.
    let home = cloned(&setup(), "wc -l runs > generated.h", "");
    let engine = home.start_dev();
    wait_until_shown(&engine, "generated.h changed during each of several builds in a row");
    assert_eq!(runs(&engine), 3, "{}", engine.stderr());
    for source in ["2", "3", "4"] {
        let before = runs(&engine);
        save(&engine, "source.c", source);
        wait_until_serves(&engine, source);
        assert_eq!(runs(&engine), before + 1);
    }
    engine.stop();
}

/// Starts an engine, and a second build that waits for a line in a named pipe, the gate. Later
/// builds do not wait if the pipe was removed.
fn with_build_at_the_gate() -> (Engine, PathBuf) {
    let wait = "if [ -p gate ]; then exec 9<>gate; echo at the gate; read -r line <&9; fi";
    let engine = cloned(&setup(), "", wait).start_dev();
    let gate = path(&engine, "gate");
    mkfifo(&gate, Mode::S_IRWXU).unwrap();
    save(&engine, "source.c", "2");
    wait_until_shown(&engine, "at the gate");
    (engine, gate)
}

#[test]
fn a_change_during_a_build_has_one_more_build_run_after_it() {
    let (engine, gate) = with_build_at_the_gate();
    for source in ["3", "4", "5"] {
        save(&engine, "source.c", source);
    }
    assert!(serves(&engine, "Pid", "1"), "the build is not over");
    let mut opened = OpenOptions::new().write(true).open(&gate).unwrap();
    fs::remove_file(&gate).unwrap();
    writeln!(opened, "go").unwrap();
    wait_until_serves(&engine, "5");
    assert_eq!((runs(&engine), shown(&engine, "at the gate")), (3, 1), "{}", engine.stderr());
    engine.stop();
}

#[test]
fn functions_that_share_a_build_are_built_once() {
    let setup = setup().function("Echo", "./app/app".as_ref(), &built());
    let home = cloned(&setup, "echo compiling", "");
    let engine = home.start_dev();
    let echo_runs = |source: &str| {
        let processes = engine.function("Echo").processes;
        let built = process::with_variable("SOURCE", source);
        processes.iter().all(|of_it| built.iter().any(|process| process.pid == of_it.pid))
    };
    assert!(serves(&engine, "Pid", "1") && echo_runs("1"));
    save(&engine, "source.c", "2");
    wait_until_serves(&engine, "2");
    wait_until("the other one", || echo_runs("2"));
    assert_eq!((runs(&engine), shown(&engine, "compiling")), (2, 2), "{}", engine.stderr());
    assert_eq!(shown(&engine, "Pid, Echo: built in"), 2);
    engine.stop();
}

/// Starts an engine with a build that does not end by itself, has a child in a session of its own,
/// and runs `on_term` on SIGTERM.
fn with_hanging_build(on_term: &str) -> Engine {
    let hang = format!(
        "if grep hang source.c; then trap '{on_term}' TERM; setsid sleep 1000 & \
         echo $$ > hanging; echo hangs; while :; do sleep 1000; done; fi"
    );
    let home = cloned(&setup().functions(&["Echo"], &c()), &hang, "");
    let engine = home.start_dev();
    save(&engine, "source.c", "hang");
    wait_until_shown(&engine, "hangs");
    assert_eq!(engine.text("Echo", "on"), "on", "others do not mind");
    assert!(serves(&engine, "Pid", "1"));
    engine
}

#[test]
fn a_build_that_hangs_ends_with_the_engine() {
    let engine = with_hanging_build("echo > cleaned; exit 1");
    let home = engine.home().clone();
    engine.stop();
    assert!(home.path().join("app/cleaned").exists(), "it had the time to end well");
    // This build ignores SIGTERM.
    with_hanging_build("").stop();
    let mut engine = with_hanging_build("");
    engine.kill();
    engine.wait_until_gone();
}

#[test]
fn a_build_that_hangs_is_replaced_by_a_reload_of_its_function() {
    let engine = with_hanging_build("");
    save(&engine, "source.c", "2");
    let finished = engine.nightcore("reload", &["Pid"]);
    assert_eq!((finished.code, finished.text().trim()), (Some(0), "restarted: Pid"));
    assert!(serves(&engine, "Pid", "2"), "reload waits for the build");
    assert_eq!(shown(&engine, "the build failed"), 0, "{}", engine.stderr());
    engine.stop();
}

#[test]
fn a_reload_builds_what_is_new_or_changed_and_waits_for_it() {
    let none = Setup::new().functions(&["Echo"], &c());
    let home = cloned(&none, "", "");
    let engine = home.start_dev();
    let write = |setup: &Setup| {
        // The file is written in place. The watch reloads as well, with the same result.
        fs::write(engine.home().config(), setup.toml()).unwrap();
        engine.nightcore("reload", &[])
    };
    assert_eq!(write(&setup()).code, Some(0));
    assert!(serves(&engine, "Pid", "1"));
    let other = "cwd = \"app\"\nbuild = [\"sh\", \"other.sh\"]";
    save(&engine, "other.sh", "echo other; exit 4");
    let changed = Setup::new().function("Pid", "./app/app".as_ref(), other);
    let finished = write(&changed);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("its build failed: exit code 4"), "{}", finished.stderr);
    assert!(serves(&engine, "Pid", "1"));
    engine.stop();
}

#[test]
fn a_build_whose_program_is_not_there_fails_with_the_reason() {
    let lines = "build = [\"no-such-compiler\", \"-o\", \"app\"]";
    let engine = Setup::new().function("Pid", "./app".as_ref(), lines).home().start_dev();
    let said = engine.stderr();
    assert!(said.contains("command not found: \"no-such-compiler\" is not in PATH"), "{said}");
    let text = engine.call("Pid", "").text();
    assert!(text.contains("no-such-compiler") && !text.contains("nightcore logs"), "{text}");
    assert!(said.contains("Pid: the build failed: it cannot be started"), "{said}");
    engine.stop();
}

#[test]
fn a_build_that_fails_leaves_a_good_version_alone_that_is_starting() {
    // The program that is built waits for a line before it serves.
    let wait = "sed -i '1a if [ -p hold ]; then read -r line < hold; fi' app";
    let home = cloned(&Setup::new().functions(&["Echo"], &c()), "", wait);
    let engine = home.start_dev();
    let hold = path(&engine, "hold");
    mkfifo(&hold, Mode::S_IRWXU).unwrap();
    fs::write(engine.home().config(), setup().toml()).unwrap();
    wait_until_shown(&engine, "Pid: built in");
    save(&engine, "source.c", "broken");
    wait_until_shown(&engine, "exit code 3; the version of Pid that is starting stays");
    assert_eq!(engine.function("Pid").failing, None);
    let mut opened = OpenOptions::new().write(true).open(&hold).unwrap();
    writeln!(opened, "go").unwrap();
    wait_until_serves(&engine, "1");
    engine.stop();
}

#[test]
fn a_reload_after_a_first_build_that_failed_waits_for_the_next_one() {
    let home = cloned(&setup(), "if [ ! -e repaired ]; then exit 5; fi", "");
    let engine = home.start_dev();
    assert!(engine.call("Pid", "").text().contains("exit code 5"));
    // This file is not a source.
    fs::write(path(&engine, "repaired"), "").unwrap();
    let finished = engine.nightcore("reload", &["Pid"]);
    assert_eq!((finished.code, finished.text().trim()), (Some(0), "restarted: Pid"));
    assert!(serves(&engine, "Pid", "1"));
    engine.stop();
}

#[test]
fn a_build_runs_again_when_the_launcher_dies() {
    let (engine, gate) = with_build_at_the_gate();
    fs::remove_file(&gate).unwrap();
    process::signal(engine.launcher(), Signal::SIGKILL);
    wait_until_serves(&engine, "2");
    assert_eq!(shown(&engine, "the build failed"), 0, "{}", engine.stderr());
    engine.stop();
}

#[test]
fn builds_that_share_a_folder_do_not_cause_each_other_without_end() {
    let write = "echo run >> runs; wc -l runs > version.h";
    let other = "cwd = \"app\"\nbuild = [\"sh\", \"version.sh\"]";
    let setup = setup().function("Echo", &c(), other);
    let home = cloned(&setup, write, "");
    fs::write(home.path().join("app/version.sh"), write).unwrap();
    let engine = home.start_dev();
    for function in ["Pid", "Echo"] {
        wait_until_shown(
            &engine,
            &format!("{function}: version.h changed during each of several builds"),
        );
        wait_until_shown(&engine, &format!("if it was you, run `nightcore reload {function}`"));
    }
    save(&engine, "source.c", "2");
    wait_until_serves(&engine, "2");
    engine.stop();
}

#[test]
fn no_more_builds_run_at_once_than_there_are_cores() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let names: Vec<String> = (0..3 * cores).map(|number| format!("F{number}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let variable = gate.display().to_string();
    let lines =
        format!("build = [\"flock\", \"{variable}\", \"true\"]\nenv = {{ GATE = \"{variable}\" }}");
    let mut setup = Setup::new();
    for name in &names {
        setup = setup.function(name, &c(), &format!("cwd = \"{name}\"\n{lines}"));
    }
    let home = setup.home();
    names.iter().for_each(|name| fs::create_dir(home.path().join(name)).unwrap());
    let locked = fs::File::create(&gate).unwrap();
    locked.lock().unwrap();
    // The engine is started on this thread, because the thread that starts it must live as long as
    // it does.
    let unlocking = std::thread::spawn(move || {
        let at_work = || process::with_variable("GATE", &variable).len();
        wait_until("builds on all cores", || at_work() >= cores);
        locked.unlock().unwrap();
    });
    let engine = home.start_dev();
    unlocking.join().unwrap();
    let (mut running, mut most) = (0, 0);
    for line in engine.stderr().lines() {
        running += usize::from(line.contains(": building: "));
        running -= usize::from(line.contains(": built in "));
        most = most.max(running);
    }
    assert_eq!((running, most), (0, cores), "{}", engine.stderr());
    engine.stop();
}

#[test]
fn another_build_in_a_folder_begins_when_the_one_before_has_ended() {
    // This build runs until it is killed.
    let engine = with_hanging_build("");
    let other = "if kill -0 $(cat hanging); then echo together; else echo alone; fi > runs";
    let lines = format!("cwd = \"app\"\nbuild = [\"sh\", \"-c\", \"{other}\"]");
    let other = Setup::new().functions(&["Echo"], &c()).function("Pid", &c(), &lines);
    fs::write(engine.home().config(), other.toml()).unwrap();
    // The engine sees that the file has changed, perhaps before it is told to reload.
    assert_eq!(engine.nightcore("reload", &[]).code, Some(0));
    let said = || fs::read_to_string(path(&engine, "runs")).unwrap_or_default();
    wait_until("the other build", || ["alone\n", "together\n"].contains(&said().as_str()));
    assert_eq!(said(), "alone\n");
    engine.stop();
}
