//! Tests that the output of functions is kept line by line under their names.

use harness::workers::c;
use harness::{Engine, Response, Setup, wait_until};

/// Returns the mark with which the runtime of a function's process begins a line about a call.
#[track_caller]
fn mark(engine: &Engine, function: &str, id: &str) -> String {
    let pid = engine.container(function);
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    let mut variables = environment.split('\0');
    let key = variables.find_map(|variable| variable.strip_prefix("NIGHTCORE_LOG_KEY=")).unwrap();
    assert_eq!(key.len(), 16);
    format!("\x1e{key}{id} ")
}

/// Returns the lines of a log without their times, each with the process that printed it. Checks
/// that none of them belongs to a known call.
fn lines(text: &str) -> Vec<(i32, String)> {
    let line = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time:?} is no time");
        let (pid, rest) = rest.split_once(' ').unwrap();
        (pid.parse().unwrap(), rest.strip_prefix("- ").unwrap().to_owned())
    };
    text.lines().map(line).collect()
}

#[test]
fn lines_are_kept_under_the_function_that_printed_them() {
    let engine = Setup::new().functions(&["Print", "Crash"], &c()).start();
    assert_eq!(
        engine.answer("Print", "one\ntwo\n\npart"),
        b"",
        "what is printed is not the answer"
    );
    assert_eq!(engine.answer("Print", "ial\nthree\n"), b"");
    engine.wait_for_log("Print", " three\n");
    let pid = engine.container("Print");
    let log = lines(&engine.nightcore("logs", &["Print"]).text());
    let expected = ["one", "two", "", "partial", "three"].map(|line| (pid, line.to_owned()));
    assert_eq!(log, expected);
    let last = lines(&engine.nightcore("logs", &["Print", "-n", "2"]).text());
    assert_eq!(last, expected[3..]);
    assert!(engine.stderr().contains("\nPrint | three\n"), "{}", engine.stderr());
    let silent = engine.nightcore("logs", &["Crash"]);
    assert_eq!((silent.code, silent.text().as_str()), (Some(0), ""));
    let unknown = engine.nightcore("logs", &["Nobody"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there are: Print, Crash"), "{}", unknown.stderr);
    engine.stop();
}

/// Returns the lines that these functions have logged about the call of a response, without times
/// and processes.
fn lines_about(engine: &Engine, response: &Response, functions: &[&str]) -> Vec<String> {
    let call = response.header("x-nightcore-call").expect("each answer names its call");
    let log = |function: &&str| engine.nightcore("logs", &[function, "--call", call]).text();
    let lines = functions.iter().map(log).collect::<String>();
    lines.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(str::to_owned).collect()
}

#[test]
fn each_failed_call_leaves_a_line_with_its_id() {
    let functions = ["Call", "Fail", "FailUntold"];
    let engine = Setup::new().functions(&functions, &c()).start();
    for (function, body, logged) in [
        ("Fail", "no such user", vec!["Fail failed: FUNCTION_FAILED: no such user"]),
        (
            "Call",
            "Nobody\n",
            vec![
                "Call failed: FUNCTION_FAILED: Nobody: NOT_FOUND: there is no function \"Nobody\"",
            ],
        ),
        (
            "Call",
            "Fail\nno\nluck",
            vec![
                "Call failed: FUNCTION_FAILED: Fail: FUNCTION_FAILED: no",
                "luck",
                "Fail failed: FUNCTION_FAILED: no",
                "luck",
            ],
        ),
        ("FailUntold", "db-7", vec!["FailUntold failed: FUNCTION_FAILED: db-7"]),
    ] {
        let response = engine.call(function, body);
        assert_eq!(response.status, 500);
        wait_until("its lines", || lines_about(&engine, &response, &functions) == logged);
    }
    engine.stop();
}

#[test]
fn the_text_of_an_unexpected_error_is_told_in_development_alone() {
    let told = |engine: &Engine| {
        let response = engine.call("FailUntold", "db-7 refused");
        (response.problem().detail, response.header("x-nightcore-call").unwrap().to_owned())
    };
    let home = Setup::new().functions(&["FailUntold"], &c()).home();
    let engine = home.start_dev();
    assert_eq!(told(&engine).0, "db-7 refused");
    engine.stop();
    let engine = home.start();
    let (detail, call) = told(&engine);
    let place = format!("nightcore logs FailUntold --call {call}");
    assert!(detail.ends_with(&place) && !detail.contains("db-7"), "{detail}");
    // The reload starts processes with the changed setting.
    let exposed = Setup::new().function("FailUntold", &c(), "expose_errors = true");
    std::fs::write(home.config(), exposed.toml()).unwrap();
    let reloaded = engine.nightcore("reload", &[]);
    assert_eq!(reloaded.text(), "restarted: FailUntold\n", "{}", reloaded.stderr);
    assert_eq!(told(&engine).0, "db-7 refused");
    engine.stop();
}

#[test]
fn lines_are_shown_by_the_call_that_the_runtime_says_they_are_about() {
    let engine = Setup::new().functions(&["Print", "PrintLong"], &c()).start();
    let (one, two) = ("0000000000000007", "00000007000000ab");
    let mark_of = |id| mark(&engine, "Print", id);
    let (first, other) = (mark_of(one), mark_of(two));
    let marked = format!("{first}first\nof nobody\n{other}other\n\x1e7 odd\n{one} last\n");
    engine.answer("Print", marked);
    engine.wait_for_log("Print", "last");
    let pid = engine.container("Print");
    let text = |arguments: &[&str]| {
        let said = engine.nightcore("logs", arguments);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.text()
    };
    let expected = [
        (one, "first"),
        ("-", "of nobody"),
        (two, "other"),
        ("-", "\x1e7 odd"),
        ("-", &format!("{one} last")),
    ]
    .map(|(id, line)| format!("{pid} {id} {line}"));
    let all = text(&["Print"]);
    let shown: Vec<&str> = all.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(shown, expected);
    assert_eq!(
        text(&["Print", "--call", one]).lines().collect::<Vec<_>>(),
        [all.lines().next().unwrap()]
    );
    // The log of all functions shows each line after its function's name.
    let of_call = format!("Print | {}\n", all.lines().nth(2).unwrap());
    assert_eq!(text(&["--call", two]), of_call);
    engine.answer("PrintLong", "3");
    engine.wait_for_log("PrintLong", "after");
    let ends: Vec<String> = text(&["-n", "3"])
        .lines()
        .map(|line| {
            format!("{} {}", line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap())
        })
        .collect();
    assert_eq!(
        ends,
        ["Print last", "PrintLong xxx", "PrintLong after"],
        "in the order of their times"
    );
    let json: Vec<serde_json::Value> = text(&["--json", "Print"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json.len(), 5);
    assert_eq!(
        (json[0]["function"].as_str(), json[0]["call"].as_str()),
        (Some("Print"), Some(one))
    );
    assert_eq!(
        (json[0]["pid"].as_i64(), json[0]["line"].as_str()),
        (Some(i64::from(pid)), Some("first"))
    );
    assert!(json[0]["time"].as_str().is_some_and(|time| all.starts_with(time)));
    assert!(json[1]["call"].is_null());
    assert!(
        engine.stderr().contains(&format!("\nPrint {one} | first\nPrint | of nobody\n")),
        "{}",
        engine.stderr()
    );
    let wrong = engine.nightcore("logs", &["--call", "7"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("16 digits"), "{}", wrong.stderr);
    engine.stop();
}

#[test]
fn output_of_a_function_cannot_pass_for_a_line_about_a_call() {
    let engine = Setup::new().functions(&["Print", "PrintLong"], &c()).start();
    // Clients and other functions know this call id.
    let id = "0000000000000007";
    let forged = [
        format!("\x1e{id} by the id alone"),
        format!("\x1e{id}{id} by a guess"),
        format!("{}by the key of another process", mark(&engine, "PrintLong", id)),
        format!("{} by the whole of it without the byte", &mark(&engine, "Print", id)[1..]),
        format!("text {}within a line", mark(&engine, "Print", id)),
    ];
    engine.answer("Print", forged.join("\n") + "\nend\n");
    engine.wait_for_log("Print", "- end");
    let log = lines(&engine.nightcore("logs", &["Print"]).text());
    let pid = engine.container("Print");
    let expected: Vec<_> = forged.into_iter().chain(["end".to_owned()]).collect();
    assert_eq!(log, expected.into_iter().map(|line| (pid, line)).collect::<Vec<_>>());
    assert_eq!(engine.nightcore("logs", &["--call", id]).text(), "");
    engine.stop();
}

#[test]
fn dev_shows_lines_in_columns() {
    let home = Setup::new().functions(&["Print", "SleepStubbornly"], &c()).home();
    let engine = home.start_dev();
    let id = "0000000000000007";
    let marked = mark(&engine, "Print", id);
    engine.answer("Print", format!("{marked}of a call\nof nobody\n"));
    engine.wait_for_log("Print", "nobody");
    let shown = engine.stderr();
    let line = |end: &str| {
        shown.lines().find(|line| line.ends_with(end)).map(|line| line.split_at(12)).unwrap()
    };
    let (time, rest) = line("  of a call");
    assert!(
        time.chars().all(|c| c.is_ascii_digit() || ":.".contains(c)),
        "{time:?} is no time of day"
    );
    assert_eq!(rest, format!("  Print{0}  {id}  of a call", " ".repeat(10)));
    assert_eq!(
        line("of nobody").1,
        format!("  Print{0}  {1}  of nobody", " ".repeat(10), " ".repeat(16))
    );
    let ready = format!("  nightcore{0}  {1}  ready: ", " ".repeat(6), " ".repeat(16));
    assert!(
        shown.lines().any(|line| line.get(12..).is_some_and(|rest| rest.starts_with(&ready))),
        "{shown}"
    );
    assert!(!shown.contains('\x1b'), "it is no terminal: {shown:?}");
    engine.stop();
}

#[test]
fn a_line_of_a_mebibyte_is_kept_in_pieces() {
    const BYTES: usize = 1 << 20;
    let engine = Setup::new().functions(&["PrintLong"], &c()).start();
    assert_eq!(engine.answer("PrintLong", BYTES.to_string()), b"");
    engine.wait_for_log("PrintLong", " after\n");
    let log = lines(&engine.nightcore("logs", &["PrintLong"]).text());
    let (after, pieces) = log.split_last().unwrap();
    assert_eq!(after.1, "after");
    assert!(pieces.len() > 1);
    let whole: String = pieces.iter().map(|(_, piece)| piece.trim_end_matches('…')).collect();
    assert!(whole.len() == BYTES && whole.bytes().all(|b| b == b'x'), "{} bytes", whole.len());
    for (_, piece) in &pieces[..pieces.len() - 1] {
        assert!(piece.ends_with('…'), "a piece that goes on is marked");
    }
    assert_eq!(engine.answer("PrintLong", "0"), b"");
    engine.stop();
}

#[test]
fn output_of_a_process_that_died_is_kept() {
    let last_words = "echo last words; kill -9 $$";
    let home = Setup::new().command("Dies", &["sh", "-c", last_words], "").home();
    let engine = home.start_some();
    engine.wait_for_log("Dies", "last words");
    assert_eq!(engine.function("Dies").last_end.as_deref(), Some("signal SIGKILL"));
    engine.stop();
}

#[test]
fn logs_follow() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let engine = Setup::new().functions(&["Print"], &c()).start();
    engine.answer("Print", "before\n");
    engine.wait_for_log("Print", "before");
    let mut follow = engine.home().command("logs");
    let mut follow = follow.args(["-f", "Print"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(seen.next().unwrap().unwrap().ends_with(" before"));
    engine.answer("Print", "after\n");
    assert!(seen.next().unwrap().unwrap().ends_with(" after"));
    engine.stop();
    assert!(seen.next().is_none(), "it ends with the engine");
    assert!(follow.wait().unwrap().success());
}

#[test]
fn logs_of_all_functions_follow_by_call() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::sync::mpsc;
    use std::time::Duration;

    let id = "0000000000000007";
    let engine = Setup::new().functions(&["Print", "PrintLong"], &c()).start();
    let marked = mark(&engine, "Print", id);
    engine.answer("Print", format!("{marked}before\nof nobody\n"));
    engine.wait_for_log("Print", "nobody");
    let mut follow = engine.home().command("logs");
    let mut follow = follow.args(["-f", "--call", id]).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(follow.stdout.take().unwrap());
    let (seen, lines) = mpsc::channel();
    std::thread::spawn(move || out.lines().try_for_each(|line| seen.send(line.unwrap())));
    let next = || lines.recv_timeout(Duration::from_secs(10)).ok();
    assert!(next().is_some_and(|line| line.starts_with("Print | ") && line.ends_with(" before")));
    engine.answer("Print", format!("of nobody\n{marked}after\n"));
    assert!(next().is_some_and(|line| line.ends_with(" after")));
    engine.stop();
    assert_eq!(next(), None, "it ends with the engine");
    assert!(follow.wait().unwrap().success());
}

#[test]
fn logs_follow_from_one_file_to_the_next() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    // Each call prints a MiB, so a log of 4 MiB is rotated twice.
    const CALLS: usize = 11;
    let engine = Setup::new().functions(&["PrintLong"], &c()).start();
    let mut follow = engine.home().command("logs");
    let mut follow = follow.args(["-f", "PrintLong"]).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(follow.stdout.take().unwrap());
    let ends = Arc::new(AtomicUsize::new(0));
    let seen = ends.clone();
    let reader = std::thread::spawn(move || {
        let mut bytes = 0;
        for line in out.lines() {
            let line = line.unwrap();
            bytes += line.bytes().filter(|byte| *byte == b'x').count();
            seen.fetch_add(usize::from(line.ends_with(" after")), Ordering::Relaxed);
        }
        bytes
    });
    for call in 1..=CALLS {
        engine.answer("PrintLong", (1 << 20).to_string());
        wait_until("all of it to be shown", || ends.load(Ordering::Relaxed) == call);
    }
    engine.stop();
    assert!(follow.wait().unwrap().success());
    assert_eq!(reader.join().unwrap(), CALLS << 20, "nothing is left out or shown twice");
    assert_eq!(ends.load(Ordering::Relaxed), CALLS);
}
