//! Tests that errors are reported clearly, with the right exit code, and never by a hang.

use harness::workers::{Language, c};
use harness::{Home, Setup, process, run, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Checks that `up` with this configuration ends with exit code 2. Returns its standard error.
fn refused(toml: &str) -> String {
    let up = Home::new(toml).up_in_vain();
    assert_eq!(up.code, Some(2), "{}", up.stderr);
    assert!(up.stderr.starts_with("nightcore: cannot use "), "{}", up.stderr);
    up.stderr
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_malformed_configuration_is_told_with_its_place() {
    let said = refused(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n\n[functions.Foo]\ncommand = [\"/bin/true\"\n",
    );
    assert_says(&said, &["nightcore.toml:5:", "command = [", "array"]);
    let said = refused("[functions.Foo]\ncommand = [\"true\"]\ntimeout = \"5 parsecs\"\n");
    assert_says(&said, &["nightcore.toml:3:11:", "timeout", "5 parsecs"]);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    let said = refused("[functions.Foo]\ncommand = [\"true\"]\ntiemout = \"5s\"\n");
    assert_says(&said, &["nightcore.toml:3:1:", "tiemout", "timeout"]);
    let said = refused("[gatway]\nlisten = \"127.0.0.1:0\"\n");
    assert_says(&said, &["nightcore.toml:1:", "gatway", "[gateway]"]);
}

#[test]
fn a_command_that_is_not_there_is_told() {
    let said = refused("[functions.Foo]\ncommand = [\"./no-such-program\"]\n");
    assert_says(&said, &["nightcore.toml:2:", "command not found", "no-such-program"]);
    let said = refused("[functions.Foo]\ncommand = [\"no-such-program\"]\n");
    assert_says(&said, &["command not found: \"no-such-program\" is not in PATH"]);
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let home = Setup::new().home();
    std::fs::remove_file(home.config()).unwrap();
    for subcommand in ["up", "check"] {
        let mut command = Command::new(harness::nightcore());
        let ended = run(command.arg(subcommand).arg("--config").arg(home.config()), b"");
        assert_eq!(ended.code, Some(2));
        assert_says(&ended.stderr, &["nightcore.toml", "no such file"]);
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home =
        Setup::new().gateway(&format!("listen = \"{address}\"")).functions(&["Echo"], &c()).home();
    let up = home.up_in_vain();
    assert_eq!(up.code, Some(2), "{}", up.stderr);
    assert_says(&up.stderr, &[&address.to_string(), "[gateway]", "in use", "name another port"]);
    assert!(!home.directory().exists(), "nothing was begun");
}

#[test]
fn a_second_engine_in_a_directory_is_refused_with_the_first_one_s_pid() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    let second = engine.home().up_in_vain();
    assert_eq!(second.code, Some(2), "{}", second.stderr);
    assert_says(&second.stderr, &["runs already", &format!("pid {}", engine.pid())]);
    assert_eq!(engine.text("Echo", "unharmed"), "unharmed");
    engine.stop();
}

#[test]
fn only_one_of_the_engines_started_at_once_in_a_directory_runs() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let mut ups: Vec<_> = (0..5)
        .map(|_| {
            let mut up = home.command("up");
            up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let mut ended = Vec::new();
    wait_until("all but one to be refused", || {
        ups.retain_mut(|up| match up.try_wait().unwrap() {
            Some(status) => {
                ended.push(status.code());
                false
            }
            None => true,
        });
        ups.len() == 1
    });
    assert_eq!(ended, [Some(2); 4]);
    wait_until("it to serve", || home.nightcore("invoke", &["Echo", "-d", "x"]).text() == "x");
    process::signal(ups[0].id() as i32, Signal::SIGTERM);
    wait_until("it to end", || ups[0].try_wait().unwrap().is_some());
    assert!(!home.directory().exists());
}

#[test]
fn a_directory_with_a_long_path_is_refused() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let long = home.path().join("d".repeat(100));
    let mut up = Command::new(harness::nightcore());
    let up = run(up.args(["up", "--config"]).arg(home.config()).arg("--dir").arg(&long), b"");
    assert_eq!(up.code, Some(2));
    assert_says(&up.stderr, &["too long", "--dir"]);
}

#[test]
fn a_function_that_is_not_there_is_not_found() {
    let engine = Setup::new().functions(&["TryCall", "Echo"], &c()).start();
    let unknown = engine.call("Nobody", "");
    let problem = unknown.problem();
    assert_eq!((unknown.status, problem.error.as_str()), (404, "NOT_FOUND"));
    assert_says(&problem.detail, &["Nobody"]);
    let inner = engine.text("TryCall", "Nobody\n");
    assert_says(&inner, &["NOT_FOUND\n", "Nobody"]);
    let elsewhere = engine.connect().request("GET", "/", &[], b"");
    assert_says(&elsewhere.problem().detail, &["/function/NAME"]);
    engine.stop();
}

#[test]
fn a_container_that_exits_at_once_makes_its_function_unavailable_and_no_other() {
    let home = Setup::new()
        .command("Broken", &["sh", "-c", "echo no luck; exit 7"], "expose_errors = true")
        .functions(&["Echo"], &c())
        .home();
    let engine = home.start_some();
    assert_says(engine.ready_line(), &["1 of 2 functions", "failed: Broken"]);
    let began = Instant::now();
    let response = engine.call("Broken", "");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let problem = response.problem();
    assert_eq!((response.status, problem.error.as_str()), (503, "UNAVAILABLE"));
    assert_says(&problem.detail, &["Broken", "exit code 7", "nightcore logs Broken"]);
    assert!(response.header("retry-after").is_some());
    assert_says(&engine.nightcore("logs", &["Broken"]).text(), &["no luck"]);
    assert_eq!(engine.text("Echo", "fine"), "fine");

    let ready = engine.connect().request("GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 503);
    assert_says(&ready.text(), &["Broken", "exit code 7"]);
    let broken = engine.function("Broken");
    assert_eq!(broken.last_end.as_deref(), Some("exit code 7"));
    assert!(broken.unavailable.is_some() && broken.restarts >= 3, "{broken:?}");
    engine.stop();
}

#[test]
fn clients_are_not_told_why_a_function_cannot_be_started() {
    let program = harness::workers::LANGUAGES[0].hello();
    let home = Setup::new()
        .command("Exits", &["sh", "-c", "exit 7"], "")
        .command("Echo", &["./program"], "")
        .function("NoHandler", &program, "")
        .functions(&["TryCall"], &c())
        .home();
    let script = home.path().join("program");
    fs::write(&script, format!("#!/bin/sh\nexec {}\n", c().display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let engine = home.start_some();
    fs::write(&script, "#!/nowhere/at/all\n").unwrap();
    process::signal(engine.container("Echo"), Signal::SIGKILL);
    let path = program.parent().unwrap().display().to_string();
    let reasons =
        [("Exits", "exit code 7"), ("Echo", "No such file"), ("NoHandler", path.as_str())];
    for (function, reason) in reasons {
        wait_until("its reason", || {
            let unavailable = engine.function(function).unavailable;
            unavailable.is_some_and(|told| told.contains(reason))
        });
        let problem = engine.call(function, "").problem();
        assert_eq!(problem.error, "UNAVAILABLE");
        let inner = engine.text("TryCall", format!("{function}\n"));
        let ready = engine.connect().request("GET", "/readyz", &[], b"").text();
        for told in [problem.detail, inner, ready] {
            assert!(told.contains("nightcore ps says why") && !told.contains(reason), "{told}");
        }
        assert!(engine.nightcore("ps", &[]).text().contains(reason));
    }
    engine.stop();
}

#[test]
fn a_call_that_waits_for_a_container_that_never_comes_ends() {
    // The function needs some time to fail three times, and this call comes before that.
    let home = Setup::new()
        .command("Broken", &["sh", "-c", "sleep 0.2; exit 1"], "")
        .functions(&["Call"], &c())
        .home();
    let engine = home.start_some();
    let response = engine.call("Call", "Broken\n");
    assert_eq!(response.problem().cause[0].error, "UNAVAILABLE");
    engine.stop();
}

#[test]
fn a_missing_handler_is_told_once_with_those_there_are() {
    for language in harness::workers::LANGUAGES {
        let program = language.hello();
        let exposes = "expose_errors = true";
        let setup = Setup::new().function("Baz", &program, exposes);
        let home = setup.functions(&["Bar"], &program).home();
        let engine = home.start_some();
        let problem = engine.call("Baz", "").problem();
        assert_eq!(problem.error, "UNAVAILABLE");
        let expected = format!("no handler \"Baz\" in {}; it has: Foo, Bar", program.display());
        assert_eq!(problem.detail, expected);
        assert_says(&engine.stderr(), &[&expected]);
        engine.wait_for_log("Baz", &expected);
        wait_until_within("its end to be known", Duration::from_secs(1), || {
            engine.function("Baz").last_end.as_deref() == Some("exit code 2")
        });
        // This is three times the delay of a restart.
        let end = Instant::now() + Duration::from_millis(300);
        wait_until_within("a restart, which must not be", Duration::from_secs(1), || {
            assert_eq!(engine.function("Baz").restarts, 0, "{}", engine.stderr());
            Instant::now() > end
        });
        assert_eq!(engine.text("Bar", "x"), "From function Bar: x");
        engine.stop();
    }
}

#[test]
fn a_worker_of_another_protocol_version_is_told_what_to_upgrade() {
    let raw = env!("CARGO_BIN_EXE_nightcore-test-raw-worker");
    for (version, upgrade) in [("99", "upgrade nightcore"), ("0", "upgrade the worker's library")] {
        let home = Setup::new().command("Echo", &[raw, version], "expose_errors = true").home();
        let engine = home.start_some();
        let problem = engine.call("Echo", "").problem();
        assert_eq!(problem.error, "UNAVAILABLE");
        let ours = format!("the engine version {}", nightcore_runtime::protocol::VERSION);
        assert_says(&problem.detail, &[&format!("version {version} "), &ours, upgrade]);
        engine.wait_for_log("Echo", &format!("Refused: {}", problem.detail));
        engine.stop();
    }
}

#[test]
fn a_worker_that_breaks_the_protocol_is_ended_and_harms_nobody() {
    let raw = env!("CARGO_BIN_EXE_nightcore-test-raw-worker");
    let engine =
        Setup::new().command("Echo", &[raw, "garbage"], "").functions(&["Upper"], &c()).start();
    let response = engine.call("Echo", "");
    assert_eq!((response.status, response.problem().error.as_str()), (502, "CONTAINER_DIED"));
    assert_says(&response.text(), &["broke the protocol"]);
    assert_says(&engine.stderr(), &["Echo: a worker broke the protocol, its process is ended"]);
    assert_eq!(engine.text("Upper", "fine"), "FINE");
    engine.stop();
}

#[test]
fn a_token_admits_one_process() {
    // The processes that a worker starts inherit its environment, which has the token.
    let worker = c();
    let worker = worker.to_str().unwrap();
    let both = format!("{worker} & {worker}; wait");
    let engine = Setup::new().command("Echo", &["sh", "-c", &both], "").start();
    engine.wait_for_log("Echo", "this process inherited another worker's token");
    assert_eq!(engine.text("Echo", "one serves"), "one serves");
    assert_eq!(engine.function("Echo").processes.len(), 1);
    engine.stop();
}

#[test]
fn a_program_that_nobody_started_says_how_to() {
    for language in harness::workers::LANGUAGES {
        let ended = run(&mut Command::new(language.hello()), b"");
        assert_eq!(ended.code, Some(2), "{language:?}: {}", ended.stderr);
        assert_says(&ended.stderr, &["nightcore up", "nightcore attach FUNCTION -- PROGRAM"]);
    }
    let ended = run(&mut Command::new(harness::workers::event_loop()), b"");
    assert_eq!(ended.code, Some(2));
    assert_says(&ended.stderr, &["nightcore up"]);
}

#[test]
fn a_program_whose_engine_is_gone_says_so() {
    let mut program = Command::new(Language::C.hello());
    program
        .env("NIGHTCORE_SOCKET", "/nowhere/control.sock")
        .env("NIGHTCORE_TOKEN", "00".repeat(16));
    let ended = run(&mut program, b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_says(&ended.stderr, &["/nowhere/control.sock"]);
}
