//! Tests that `nightcore check` finds in advance the errors that would prevent a start, and says
//! how to correct them.

use harness::{Finished, Home, Setup, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// Creates a home whose only function has this table.
fn home(table: &str) -> Arc<Home> {
    Home::new(&format!("[gateway]\nlisten = \"127.0.0.1:0\"\n[functions.Foo]\n{table}\n"))
}

fn write(home: &Home, file: &str, content: &str) {
    let path = home.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[track_caller]
fn check(home: &Home) -> Finished {
    let mut command = std::process::Command::new(harness::nightcore());
    run(command.arg("check").current_dir(home.path()), b"")
}

/// Checks that a check fails with one error that contains all of these words.
#[track_caller]
fn refuses(home: &Home, words: &[&str]) {
    let checked = check(home);
    assert_eq!((checked.code, checked.text().as_str()), (Some(2), ""), "{}", checked.stderr);
    assert!(!checked.stderr.contains("warning: "), "{}", checked.stderr);
    for word in words {
        assert!(checked.stderr.contains(word), "no {word:?} in {}", checked.stderr);
    }
}

/// Checks that a check gives one warning that contains all of these words.
#[track_caller]
fn warns(home: &Home, words: &[&str]) {
    let checked = check(home);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.text().ends_with("ok, 1 functions\n"), "{}", checked.text());
    assert_eq!(checked.stderr.matches("warning: ").count(), 1, "{}", checked.stderr);
    for word in words {
        assert!(checked.stderr.contains(word), "no {word:?} in {}", checked.stderr);
    }
}

#[track_caller]
fn accepts(home: &Home) {
    let checked = check(home);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_script_that_is_not_there_is_an_error_at_its_word() {
    let absent = home("command = [\"sh\", \"-e\", \"./nofile.sh\"]");
    refuses(&absent, &["nightcore.toml:4:24: sh finds no file ", "/nofile.sh\n"]);
    // An engine refuses to start with this configuration, and a running one keeps its own.
    let up = absent.up_in_vain();
    assert_eq!(up.code, Some(2));
    assert!(up.stderr.contains("nofile.sh"), "{}", up.stderr);

    let misspelled = home("command = [\"sh\", \"./app.sh\"]");
    write(&misspelled, "apps.sh", "");
    refuses(&misspelled, &["did you mean \"./apps.sh\"?"]);
    write(&misspelled, "app.sh", "");
    accepts(&misspelled);

    let elsewhere = home("command = [\"sh\", \"web/app.sh\"]\ncwd = \"web\"");
    write(&elsewhere, "web/app.sh", "");
    refuses(&elsewhere, &["/web/web/app.sh; the program runs in cwd", "the path is \"app.sh\""]);

    for fine in [
        "command = [\"sh\", \"-c\", \"./nofile.sh\"]",
        "command = [\"sh\"]",
        "command = [\"echo\", \"./nofile.sh\"]",
        // A shell also searches PATH.
        "command = [\"sh\", \"env\"]",
    ] {
        accepts(&home(fine));
    }
}

#[test]
fn interpreters_of_other_languages_are_known() {
    // The interpreters need not be installed, because stand-ins replace them.
    for (interpreter, options, file) in [
        ("python3", "\"-u\", ", "app.py"),
        ("python3.12", "\"-X\", \"dev\", ", "app.py"),
        ("node", "\"--enable-source-maps\", ", "app.mjs"),
        ("ruby", "\"-I\", \"lib\", ", "app.rb"),
        ("perl", "\"-w\", ", "app.pl"),
        ("php", "", "app.php"),
    ] {
        let home = home(&format!("command = [\"./{interpreter}\", {options}\"{file}\"]"));
        write(&home, interpreter, "#!/bin/sh\n");
        refuses(&home, &[&format!("{interpreter} finds no file "), file]);
        write(&home, file, "");
        accepts(&home);
    }
    // Node adds an extension itself.
    let node = home("command = [\"./node\", \"app\"]");
    write(&node, "node", "#!/bin/sh\n");
    write(&node, "app.js", "");
    accepts(&node);
}

#[test]
fn unexpanded_words_are_reported_with_a_correction() {
    for table in [
        "command = [\"sh\", \"$HOME/nofile.sh\"]",
        "command = [\"$HOME/nofile\"]",
        "command = [\"true\"]\ncwd = \"$HOME/nofolder\"",
        "command = [\"~/nofile\"]",
        "command = [\"true\"]\ncwd = \"~/nofolder\"",
    ] {
        refuses(&home(table), &["no shell expands ", "${HOME}"]);
    }
    for table in [
        "command = [\"echo\", \"--data=$HOME/data\"]",
        "command = [\"echo\", \"~/data\"]",
        "command = [\"echo\", \"x\"]\nenv = { DATA = \"$HOME/data\" }",
        "command = [\"echo\"]\nenv = { WAY = \"here\" }\n[functions.Foo.limits]\n\
         [defaults]\nenv = { DATA = \"~/data\" }",
    ] {
        warns(&home(table), &["no shell expands ", "${HOME}"]);
    }
    let path = home("command = [\"/bin/echo\"]\nenv = { PATH = \"/opt/bin:$PATH\" }");
    warns(&path, &["no shell expands $PATH here; write ${PATH}"]);
    for fine in [
        "command = [\"sh\", \"-c\", \"echo $HOME && ls ~/\"]",
        "command = [\"grep\", \"^a$\"]",
        "command = [\"echo\"]\nenv = { PASSWORD = \"pa$$word$1\" }",
    ] {
        accepts(&home(fine));
    }
}

#[test]
fn words_for_a_shell_are_told() {
    refuses(
        &home("command = [\"sh run.sh\"]"),
        &["write each word on its own: [\"sh\", \"run.sh\"]"],
    );
    refuses(&home("command = [\"PORT=1\", \"sh\"]"), &["env = { \"PORT\" = \"1\" }"]);
    warns(&home("command = [\"echo\", \"a\", \"&&\", \"b\"]"), &["[\"sh\", \"-c\", \"...\"]"]);
}

#[test]
fn a_program_that_the_system_cannot_start_is_an_error() {
    let home = home("command = [\"./run\"]");
    for (script, words) in [
        ("#!/bin/sh\r\necho\r\n", &["carriage return"][..]),
        (
            "#!/opt/no/python3\n",
            &["the interpreter of ", "/run is not there", "\"/opt/no/python3\""],
        ),
        ("#!/usr/bin/env no-such-python\n", &["\"no-such-python\" is not in PATH"]),
        ("#!/usr/bin/env sh -e\n", &["write \"#!/usr/bin/env -S sh -e\""]),
    ] {
        write(&home, "run", script);
        refuses(&home, words);
    }
    write(&home, "run", "import sys\n");
    warns(&home, &["so /bin/sh runs it"]);
    for fine in ["#!/bin/sh\n", "#!/usr/bin/env -S sh -e\n", "#! /usr/bin/env sh\n"] {
        write(&home, "run", fine);
        accepts(&home);
    }
    fs::set_permissions(home.path().join("run"), fs::Permissions::from_mode(0o644)).unwrap();
    refuses(&home, &["not executable: "]);
}

#[test]
fn a_program_is_relative_to_the_file_whatever_its_cwd() {
    let home = home("command = [\"./run\"]\ncwd = \"web\"");
    write(&home, "web/run", "#!/bin/sh\n");
    refuses(&home, &["relative to this file, not to cwd: write \"./web/run\""]);
    write(&home, "run", "#!/bin/sh\n");
    accepts(&home);
}

#[test]
fn a_route_or_address_claimed_twice_is_an_error() {
    let toml = |first: &str, second: &str| {
        format!(
            "[gateway]\nlisten = \"127.0.0.1:8080\"\n[admin]\nlisten = \"{first}\"\n\
             [functions.A]\ncommand = [\"true\"]\nroute = \"/shop\"\n\
             [functions.B]\ncommand = [\"true\"]\nroute = \"{second}\"\n"
        )
    };
    refuses(&Home::new(&toml("127.0.0.1:9464", "/shop/")), &["\"A\" has this route already"]);
    for shared in ["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080"] {
        let home = Home::new(&toml(shared, "/other"));
        refuses(&home, &["nightcore.toml:4:10: listen: the gateway listens on 127.0.0.1:8080"]);
    }
    assert_eq!(check(&Home::new(&toml("127.0.0.2:8080", "/other"))).code, Some(0));
}

#[test]
fn variables_of_the_engine_and_words_that_are_too_long_are_errors() {
    for name in ["NIGHTCORE_SOCKET", "NIGHTCORE_TOKEN", "NIGHTCORE_FUNCTION", "NIGHTCORE_LOG_KEY"] {
        let table = format!("command = [\"true\"]\nenv = {{ {name} = \"x\" }}");
        refuses(&home(&table), &[&format!("{name} is for the engine to set")]);
    }
    let long = "x".repeat(128 * 1024);
    refuses(&home(&format!("command = [\"true\", \"{long}\"]")), &["at most 128 KiB in one word"]);
    let table = format!("command = [\"true\"]\nenv = {{ LONG = \"{long}\" }}");
    refuses(&home(&table), &["at most 128 KiB in one word"]);
}

#[test]
fn an_engine_tells_warnings_and_runs() {
    let doubtful = "env = { DATA = \"$HOME/data\" }";
    let worker = harness::workers::c();
    let engine = Setup::new().function("Echo", &worker, doubtful).start();
    let warning = "env.DATA: no shell expands $HOME here";
    assert!(engine.stderr().contains(warning), "{}", engine.stderr());
    let reloaded = engine.nightcore("reload", &[]);
    assert_eq!(reloaded.code, Some(0));
    assert!(reloaded.stderr.contains(warning), "{}", reloaded.stderr);
    assert_eq!(engine.text("Echo", "x"), "x");
    engine.stop();
}
