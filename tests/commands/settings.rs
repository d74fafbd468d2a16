//! Tests of one configuration file for several engines, and of secrets outside of it.

use harness::workers::c;
use harness::{Engine, Finished, Home, Setup, run, wait_until};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const SECRET: &str = "hunter2 with $ and \\ and spaces";

/// Starts an engine with these values of `--set` and these environment variables.
fn start_with(home: &Arc<Home>, variables: &[&str], settings: &[&str]) -> Engine {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let words: Vec<&str> = settings.collect();
    let script = format!("exec \"$@\" {}", words.join(" "));
    let arguments = variables.iter().copied().chain(["sh", "-c", &script, "sh"]);
    home.start_under("env", &arguments.collect::<Vec<_>>())
}

fn check(home: &Home, arguments: &[&str]) -> Finished {
    let mut command = Command::new(harness::nightcore());
    run(command.arg("check").arg("--config").arg(home.config()).args(arguments), b"")
}

fn write(home: &Home, name: &str, text: &str) {
    fs::write(home.path().join(name), text).unwrap();
}

/// Creates a home with a function that prints its variables, some of which are from `secrets.env`.
fn with_secrets() -> Arc<Home> {
    let table = "env_file = \"secrets.env\"\nenv = { URL = \"db://${USER_NAME:-nobody}\" }\n\
                 timeout = \"${TIMEOUT:-7s}\"";
    let home = Setup::new().function("Variable", &c(), table).home();
    write(&home, "secrets.env", &format!("PASSWORD='{SECRET}'\n"));
    home
}

#[test]
fn two_engines_of_one_file_have_values_of_their_own() {
    let first = with_secrets();
    let second = with_secrets();
    fs::remove_file(second.config()).unwrap();
    symlink(first.config(), second.config()).unwrap();
    write(&second, "secrets.env", "PASSWORD=other\n");
    let one = first.start();
    let other = start_with(
        &second,
        &["USER_NAME=shop", "TIMEOUT=9s"],
        &["functions.Variable.env.OWN=set", "functions.Variable.processes=2"],
    );
    let values =
        |engine: &Engine| ["URL", "PASSWORD", "OWN"].map(|name| engine.text("Variable", name));
    assert_eq!(values(&one), ["db://nobody", SECRET, "(none)"]);
    assert_eq!(values(&other), ["db://shop", "other", "set"]);
    assert_eq!(one.function("Variable").processes.len(), 1);
    wait_until("both processes", || other.function("Variable").processes.len() == 2);

    // A reload keeps the values of `--set` and of the environment, and reads the files of variables
    // again.
    let before = other.container("Variable");
    let same = other.nightcore("reload", &[]);
    assert_eq!(
        (same.code, same.text().trim()),
        (Some(0), "nothing has changed"),
        "{}",
        same.stderr
    );
    assert_eq!(other.container("Variable"), before);
    write(&second, "secrets.env", "PASSWORD=new\n");
    let reloaded = other.nightcore("reload", &[]);
    assert!(reloaded.text().contains("restarted: Variable"), "{reloaded:?}");
    assert_eq!(values(&other), ["db://shop", "new", "set"]);
    one.stop();
    other.stop();
}

#[test]
fn no_command_prints_a_secret() {
    let home = with_secrets();
    let engine = start_with(&home, &[&format!("USER_NAME={SECRET}")], &[]);
    assert_eq!(engine.text("Variable", "PASSWORD"), SECRET);
    let outputs = [
        engine.nightcore("ps", &[]),
        engine.nightcore("ps", &["--json"]),
        engine.nightcore("logs", &["--json"]),
        engine.nightcore("reload", &["--all"]),
        check(&home, &["--print"]),
        check(&home, &["--print", "--set", "gateway.listen=127.0.0.1:0"]),
    ];
    for output in &outputs {
        assert_eq!(output.code, Some(0), "{output:?}");
        let shown = format!("{}{}", output.text(), output.stderr);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    // The printed file is equivalent to the one that was read.
    let printed = check(&home, &["--print"]).stdout;
    let again = Home::new("");
    fs::write(again.config(), printed).unwrap();
    symlink(home.path().join("secrets.env"), again.path().join("secrets.env")).unwrap();
    let checked = check(&again, &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);

    write(&home, "secrets.env", "PASSWORD=hunter2\nhunter2 without a name\n");
    for failed in [check(&home, &[]), engine.nightcore("reload", &[])] {
        assert_ne!(failed.code, Some(0));
        assert!(failed.stderr.contains("secrets.env"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
    }
    assert_eq!(engine.text("Variable", "PASSWORD"), SECRET);
    engine.stop();
    assert_no_secret_below(&home.directory());
}

/// Checks that the engine's directory, with its logs, is gone or contains no secret.
fn assert_no_secret_below(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            assert_no_secret_below(&entry.path());
        } else if let Ok(text) = fs::read(entry.path()) {
            assert!(!String::from_utf8_lossy(&text).contains("hunter2"), "{:?}", entry.path());
        }
    }
}

#[test]
fn development_sees_new_variables_in_a_file() {
    let home = with_secrets();
    let engine = home.start_dev();
    assert_eq!(engine.text("Variable", "PASSWORD"), SECRET);
    write(&home, "secrets.env", "PASSWORD=new\n");
    wait_until("the new value", || engine.text("Variable", "PASSWORD") == "new");
    engine.stop();
}
