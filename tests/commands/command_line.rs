//! Tests of the commands other than `up`: their output and their exit codes.

use harness::process::{self, is_alive};
use harness::workers::c;
use harness::{Setup, run, wait_until};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Command;

#[test]
fn invoke_calls_a_function() {
    let engine = Setup::new()
        .functions(&["Upper", "Fail", "Call", "Sleep"], &c())
        .function("Echo", &c(), "external = false")
        .start();
    let invoke = |arguments: &[&str]| engine.nightcore("invoke", arguments);
    let answered = invoke(&["Upper", "--data", "word"]);
    assert_eq!(
        (answered.code, answered.text().as_str(), answered.stderr.as_str()),
        (Some(0), "WORD", "")
    );
    let every_byte: Vec<u8> = (0..=255).collect();
    let piped = run(engine.home().command("invoke").arg("Echo"), &every_byte);
    assert_eq!((piped.code, piped.stdout), (Some(0), every_byte), "its own functions, too");

    let failed = invoke(&["Call", "-d", "Fail\nout of luck"]);
    assert_eq!((failed.code, failed.text().as_str()), (Some(1), ""));
    assert!(failed.stderr.contains("Call: FUNCTION_FAILED: "), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("because Fail: FUNCTION_FAILED: out of luck"),
        "{}",
        failed.stderr
    );
    let unknown = invoke(&["Nobody", "-d", ""]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.stderr.contains("NOT_FOUND") && unknown.stderr.contains("Upper, Fail"),
        "{}",
        unknown.stderr
    );
    let hurried = invoke(&["Sleep", "-d", "60000", "--timeout", "50ms"]);
    assert_eq!(hurried.code, Some(1));
    assert!(hurried.stderr.contains("Sleep: DEADLINE_EXCEEDED: "), "{}", hurried.stderr);
    assert_eq!(invoke(&["Sleep", "-d", "1", "--timeout", "10s"]).text(), "slept 1");
    for wrong in ["50", "0s", "soon"] {
        let refused = invoke(&["Sleep", "-d", "1", "--timeout", wrong]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(wrong), "{}", refused.stderr);
    }
    assert_eq!(invoke(&["not/a/name", "-d", ""]).code, Some(2));
    assert_eq!(invoke(&["--no-such-option"]).code, Some(2));
    engine.stop();
}

#[test]
fn without_an_engine_the_exit_code_is_3() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    for (subcommand, arguments) in [
        ("ps", &["--json"][..]),
        ("invoke", &["Echo", "-d", "x"]),
        ("bench", &["Echo", "-d", "x"]),
        ("logs", &["Echo"]),
        ("attach", &["Echo", "--", "true"]),
    ] {
        let ended = home.nightcore(subcommand, arguments);
        assert_eq!(ended.code, Some(3), "{subcommand}: {}", ended.stderr);
        assert!(ended.stderr.contains("nightcore up"), "{subcommand}: {}", ended.stderr);
    }
}

#[test]
fn check_prints_a_configuration_that_means_the_same() {
    let home = Setup::new().function("Echo", &c(), "timeout = \"1500ms\"").home();
    let check = |config: &std::path::Path, arguments: &[&str]| {
        run(
            Command::new(harness::nightcore())
                .arg("check")
                .arg("--config")
                .arg(config)
                .args(arguments),
            b"",
        )
    };
    let checked = check(&home.config(), &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.text().contains("1 function"), "{}", checked.text());
    let printed = check(&home.config(), &["--print"]);
    assert!(
        printed.text().contains("1500ms") || printed.text().contains("1.5s"),
        "{}",
        printed.text()
    );
    let again = home.path().join("again.toml");
    std::fs::write(&again, &printed.stdout).unwrap();
    assert_eq!(check(&again, &["--print"]).text(), printed.text());
}

#[test]
fn an_attached_program_gets_the_calls() {
    let engine = Setup::new().functions(&["Pid"], &c()).start();
    let own = engine.container("Pid");
    assert_eq!(engine.text("Pid", ""), own.to_string());
    let mut attach = engine.home().command("attach");
    let mut attached = attach.arg("Pid").arg("--").arg(c()).spawn().unwrap();
    wait_until("it to be attached", || engine.function("Pid").workers == 2);
    // The process of `attach` becomes the program.
    assert_eq!(engine.text("Pid", ""), attached.id().to_string());
    assert!(engine.nightcore("ps", &[]).text().contains(&format!("{} (attached)", attached.id())));

    process::signal(attached.id() as i32, Signal::SIGKILL);
    attached.wait().unwrap();
    wait_until("it to be gone", || engine.function("Pid").processes.len() == 1);
    assert_eq!(engine.text("Pid", ""), own.to_string());
    assert_eq!(engine.function("Pid").restarts, 0, "what is attached by hand is not started again");

    let unknown = engine.nightcore("attach", &["Nobody", "--", "true"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there are: Pid"), "{}", unknown.stderr);
    engine.stop();
}

#[test]
fn an_attached_program_has_no_deadline_and_ends_with_its_engine() {
    let engine = Setup::new().function("Sleep", &c(), "timeout = \"100ms\"").start();
    let mut attached =
        engine.home().command("attach").args(["Sleep", "--"]).arg(c()).spawn().unwrap();
    wait_until("it to be attached", || engine.function("Sleep").workers == 2);
    assert_eq!(engine.text("Sleep", "400"), "slept 400");
    engine.stop();
    wait_until("its end", || attached.try_wait().unwrap().is_some());
    assert!(!is_alive(attached.id() as i32));
}

#[test]
fn an_attached_program_runs_as_the_function_s_own_do() {
    let table = "cwd = \"web\"\nenv = { GREETING = \"hello\", HOME = \"/nowhere\" }\n\
                 limits = { open_files = 100 }";
    let home = Setup::new().function("Pid", &c(), table).home();
    std::fs::create_dir(home.path().join("web")).unwrap();
    let engine = home.start();
    let shell = "echo $GREETING $HOME $OWN $NOTIFY_SOCKET $(pwd) $(ulimit -n)";
    let mut attach = home.command("attach");
    attach.args(["Pid", "--", "sh", "-c", shell]);
    let attached = run(attach.env("OWN", "own").env("NOTIFY_SOCKET", "/nowhere"), b"");
    let web = home.path().join("web");
    assert_eq!(
        attached.text().trim(),
        format!("hello /nowhere own {} 100", web.display()),
        "{}",
        attached.stderr
    );
    // A path is relative to the user's current directory.
    std::fs::create_dir(home.path().join("tools")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", home.path().join("tools/shell")).unwrap();
    let mut attach = home.command("attach");
    attach.args(["Pid", "--", "./shell", "-c", "echo $0"]);
    let attached = run(attach.current_dir(home.path().join("tools")), b"");
    let shell = home.path().join("tools/./shell");
    assert_eq!(Path::new(attached.text().trim()), shell, "{}", attached.stderr);
    let absent = home.nightcore("attach", &["Pid", "--", "./absent"]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.stderr.contains("absent: No such file"), "{}", absent.stderr);
    engine.stop();
}

#[test]
fn invoke_shows_the_head_of_an_answer_and_fails_on_request() {
    let engine = Setup::new().functions(&["Reply", "Fail", "Upper"], &c()).start();
    let invoke = |arguments: &[&str]| engine.nightcore("invoke", arguments);
    let missing = ":status: 404\nx-kind: none\n\nno such page";
    let plain = invoke(&["Reply", "-d", missing]);
    assert_eq!((plain.code, plain.text().as_str()), (Some(0), "no such page"));
    assert_eq!(plain.stderr, "");

    let included = invoke(&["Reply", "-i", "-d", missing]).text();
    let (head, body) = included.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!((lines[0], body), ("HTTP/1.1 404 Not Found", "no such page"));
    assert!(lines.contains(&"x-kind: none"), "{head}");
    assert!(lines.iter().any(|line| line.starts_with("x-nightcore-call: ")), "{head}");
    let octets = invoke(&["Upper", "--include", "-d", "x"]).text();
    assert!(octets.starts_with("HTTP/1.1 200 OK\r\n") && octets.ends_with("\r\n\r\nX"), "{octets}");

    for fail in ["-f", "--fail"] {
        let failed = invoke(&["Reply", fail, "-d", missing]);
        assert_eq!((failed.code, failed.text().as_str()), (Some(1), ""));
        assert!(failed.stderr.contains("Reply: answered with status 404 Not Found"));
        let broken = invoke(&["Reply", fail, "-d", ":status: 500\n\n"]);
        assert_eq!(broken.code, Some(1));
        let moved = invoke(&["Reply", fail, "-d", ":status: 302\n\nelsewhere"]);
        assert_eq!((moved.code, moved.text().as_str()), (Some(0), "elsewhere"));
    }
    let failed = invoke(&["Fail", "-i", "-d", "out of luck"]);
    assert_eq!((failed.code, failed.text().as_str()), (Some(1), ""), "there is no answer");
    engine.stop();
}

#[test]
fn ps_says_why_a_function_cannot_be_called_and_what_it_printed_last() {
    let chatty = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $n; done; \
                  echo no such model >&2; exit 7";
    let home = Setup::new()
        .command("Broken", &["sh", "-c", chatty], "")
        .functions(&["Sleep"], &c())
        .home();
    let engine = home.start_some();
    let broken = engine.function("Broken");
    let output: Vec<&str> =
        broken.last_output.iter().map(|line| line.splitn(4, ' ').nth(3).unwrap()).collect();
    assert_eq!(
        (output.len(), output[8], output[9]),
        (10, "line 12", "no such model"),
        "the last ten lines"
    );
    assert!(broken.last_end_ago_s.is_some_and(|s| (0.0..20.0).contains(&s)), "{broken:?}");
    let mut sleeping = engine.connect();
    sleeping.send("POST", "/function/Sleep", &[], b"60000").unwrap();
    wait_until("a call to run", || engine.function("Sleep").running == 1);
    let shown = engine.nightcore("ps", &[]).text();
    let line =
        |start: &str| shown.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
    let ended = line("Broken: the last process that ended did so ");
    assert!(ended.len() == 1 && ended[0].ends_with(" s ago by exit code 7"), "{shown}");
    assert!(line("Broken: UNAVAILABLE: ")[0].contains("exit code 7"), "{shown}");
    assert!(line("Broken | ").last().unwrap().ends_with(" no such model"), "{shown}");
    assert!(line("Sleep | ").is_empty(), "{shown}");
    let cells: Vec<&str> = line("Sleep ")[0].split_whitespace().collect();
    assert_eq!((cells[5], cells[7]), ("1", "1/1"), "running, and busy of ready workers: {shown}");
    drop(sleeping);
    engine.stop();
}
