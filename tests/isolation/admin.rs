//! Tests that the admin socket serves people, and no processes of functions.

use harness::workers::c;
use harness::{Setup, wait_until};
use std::fs;

/// A shell command that runs a subcommand of `nightcore` for the engine of the folder that it runs
/// in, and writes the output and the exit code into a file.
fn asks(file: &str, subcommand: &str, arguments: &str) -> String {
    format!(
        "{} {subcommand} --dir \"$PWD/engine\" {arguments} >{file}.new 2>&1; \
         echo \"exit $?\" >>{file}.new; mv {file}.new {file}",
        harness::nightcore().display()
    )
}

#[test]
fn a_function_gets_nothing_from_the_admin_socket() {
    let commands =
        [("ps", ""), ("invoke", "Echo -d body"), ("reload", ""), ("attach", "Echo -- true")];
    let scripts: Vec<String> =
        commands.iter().map(|(name, arguments)| asks(name, name, arguments)).collect();
    let script = format!("{}; exec {}", scripts.join("; "), c().display());
    let engine =
        Setup::new().command("Upper", &["sh", "-c", &script], "").functions(&["Echo"], &c());
    let engine = engine.start();
    for (name, _) in commands {
        let path = engine.home().path().join(name);
        wait_until("the command to end", || path.exists());
        let told = fs::read_to_string(path).unwrap();
        assert!(told.contains("descends from this engine"), "{name}: {told}");
        assert!(told.contains("functions call each other with the library"), "{name}: {told}");
        assert!(told.ends_with("exit 2\n"), "{name}: {told}");
    }
    assert_eq!(engine.function("Echo").answered, 0, "no call was made");
    engine.stop();
}

#[test]
fn an_orphan_of_a_function_gets_nothing_either() {
    // It has left its session, and its parent has ended, so the launcher has become its parent.
    let ask = asks("orphan", "ps", "");
    let orphan = format!("until [ -e go ]; do sleep 0.01; done; {ask}");
    let script = format!("(setsid sh -c '{orphan}' &); exec {}", c().display());
    let engine = Setup::new().command("Upper", &["sh", "-c", &script], "").start();
    // A process that has another environment is not found as what the function has left behind.
    let told = engine.home().path().join("orphan");
    fs::write(engine.home().path().join("go"), "").unwrap();
    wait_until("the command to end", || told.exists());
    let told = fs::read_to_string(told).unwrap();
    assert!(told.contains("descends from this engine"), "{told}");
    engine.stop();
}

#[test]
fn a_process_that_is_older_than_the_engine_is_answered() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    // The shell starts a process and then becomes the engine, as scripts in images do.
    let watcher = asks("watcher", "ps", "");
    let script =
        format!("(until [ -e go ]; do sleep 0.01; done; {watcher}) >&- 2>&- & exec \"$@\"");
    let engine = home.start_under("sh", &["-c", &script, "sh"]);
    fs::write(home.path().join("go"), "").unwrap();
    let told = home.path().join("watcher");
    wait_until("the command to end", || told.exists());
    let told = fs::read_to_string(told).unwrap();
    assert!(told.contains("Echo") && told.ends_with("exit 0\n"), "{told}");
    engine.stop();
}
