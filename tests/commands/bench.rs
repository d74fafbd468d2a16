//! Tests of `nightcore bench`: its counts, the start of its latencies, and its exit codes.

use harness::process;
use harness::workers::c;
use harness::{Engine, Finished, Setup, run, wait_for, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::process::{Child, Stdio};

/// Parses the output of `--json`.
fn json(ended: &Finished) -> Value {
    serde_json::from_slice(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error} in {}{}", ended.text(), ended.stderr))
}

/// Returns the numbers of calls with these outcomes.
fn calls(report: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| report["calls"][name].as_u64().unwrap()).collect()
}

fn us(report: &Value, quantity: &str, quantile: &str) -> f64 {
    report[quantity][quantile]
        .as_f64()
        .unwrap_or_else(|| panic!("no {quantity} {quantile} in {report}"))
}

const ALL: [&str; 5] = ["due", "answered", "failed", "unfinished", "unsent"];

/// Starts a load that takes long, and waits until some of its calls have ended.
#[track_caller]
fn start_long(engine: &Engine, arguments: &[&str]) -> Child {
    let answered = || engine.function("Upper").answered;
    let before = answered();
    let mut bench = engine.home().command("bench");
    bench.args(["Upper", "-d", "word", "--warm-up", "0s", "--duration", "5m"]).args(arguments);
    let bench =
        bench.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("calls of the load to end", || answered() > before + 20);
    bench
}

#[track_caller]
fn end(mut bench: Child) -> Finished {
    wait_for("the end of the load", || bench.try_wait().unwrap());
    let output = bench.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Finished { code: output.status.code(), stdout: output.stdout, stderr }
}

#[test]
fn an_answer_with_as_many_headers_as_it_may_have_is_an_answer() {
    let engine = Setup::new().functions(&["Reply"], &c()).start();
    let headers: String = (0..2_500).map(|number| format!("x-{number}: 1\n")).collect();
    let told = format!("{headers}\nbody");
    let arguments = ["Reply", "-d", &told, "--rate", "20", "--duration", "200ms"];
    let ended =
        engine.nightcore("bench", &[&arguments[..], &["--warm-up", "0s", "--json"]].concat());
    assert_eq!(ended.code, Some(0), "{}{}", ended.text(), ended.stderr);
    let report = json(&ended);
    assert_eq!(report["errors"].as_object().unwrap().len(), 0, "{report}");
    engine.stop();
}

#[test]
fn as_many_calls_are_made_as_the_rate_says_and_each_is_counted() {
    let engine = Setup::new().functions(&["Upper"], &c()).start();
    let arguments =
        ["Upper", "-d", "word", "--rate", "200", "--duration", "1s", "--warm-up", "200ms"];
    let ended =
        engine.nightcore("bench", &[&arguments[..], &["--connections", "8", "--json"]].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.text());
    let report = json(&ended);
    assert_eq!(calls(&report, &ALL), [200, 200, 0, 0, 0]);
    assert_eq!(
        (report["loop"].as_str(), report["asked_per_s"].as_u64()),
        (Some("open"), Some(200))
    );
    assert_eq!(report["errors"].as_object().unwrap().len(), 0);
    let quantiles = ["p50_us", "p90_us", "p99_us", "p99_9_us", "max_us"];
    for quantity in ["latency", "waited"] {
        assert!(quantiles.map(|quantile| us(&report, quantity, quantile)).is_sorted(), "{report}");
    }
    assert!(us(&report, "latency", "p50_us") >= us(&report, "waited", "p50_us"), "{report}");
    assert_eq!(engine.function("Upper").external, 240, "those of the warm-up, too");

    let text = engine.nightcore("bench", &arguments).text();
    assert!(
        text.starts_with(
            "Upper: open loop, 200 calls/s (Poisson) on 64 connections, 1.0s after 200.0ms"
        ),
        "{text}"
    );
    assert!(text.contains("\nanswered      200\n") && text.contains("\nlatency  "), "{text}");
    engine.stop();
}

#[test]
fn a_call_s_wait_for_a_connection_counts() {
    let engine = Setup::new().functions(&["Sleep"], &c()).start();
    let bench = |arguments: &[&str]| {
        let mut command = engine.home().command("bench");
        command.args([
            "Sleep",
            "--connections",
            "1",
            "--warm-up",
            "0s",
            "--duration",
            "1s",
            "--json",
        ]);
        run(command.args(arguments), b"40")
    };
    // 50 calls of 40 ms, one after the other, end 2 s after the first was due at the earliest. The
    // last was due after at most a second.
    let ended = bench(&["--rate", "50"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = json(&ended);
    assert_eq!(calls(&report, &ALL), [50, 50, 0, 0, 0]);
    assert!(us(&report, "latency", "p50_us") > 200_000.0, "{report}");
    assert!(us(&report, "latency", "max_us") >= 1_000_000.0, "{report}");
    assert!(us(&report, "waited", "max_us") >= 900_000.0, "{report}");
    assert!(report["answered_per_s"].as_f64().unwrap() <= 25.0, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("saturated"), "{warnings}");

    let ended = bench(&["--closed"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = json(&ended);
    let [due, answered] = calls(&report, &["due", "answered"])[..] else { panic!("{report}") };
    assert!((1..=25).contains(&due) && answered == due, "{report}");
    assert_eq!((report["loop"].as_str(), &report["waited"]), (Some("closed"), &Value::Null));
    assert!(us(&report, "latency", "p50_us") >= 40_000.0, "{report}");
    engine.stop();
}

#[test]
fn errors_are_counted_by_name() {
    let engine = Setup::new().functions(&["Fail"], &c()).function("Echo", &c(), "external = false");
    let engine = engine.start();
    let bench = |arguments: &[&str]| {
        let short =
            ["--rate", "100", "--duration", "500ms", "--warm-up", "0s", "-d", "x", "--json"];
        engine.nightcore("bench", &[arguments, &short].concat())
    };
    let failed = bench(&["Fail"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("50 of 50 calls failed"), "{}", failed.stderr);
    let report = json(&failed);
    assert_eq!(calls(&report, &ALL), [50, 0, 50, 0, 0]);
    assert_eq!(report["errors"], serde_json::json!({"FUNCTION_FAILED": 50}));
    assert_eq!(report["latency"], Value::Null);

    let inner = bench(&["Echo"]);
    assert_eq!(inner.code, Some(1));
    assert_eq!(json(&inner)["errors"], serde_json::json!({"NOT_FOUND": 50}));
    assert!(inner.text().contains("external = false"), "{}", inner.text());

    let unknown = bench(&["Nobody"]);
    assert_eq!((unknown.code, unknown.text().as_str()), (Some(1), ""));
    assert!(unknown.stderr.contains("Nobody: NOT_FOUND: "), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there are: Fail, Echo"), "{}", unknown.stderr);
    engine.stop();
}

#[test]
fn options_that_cannot_be_measured_are_refused() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    for (arguments, said) in [
        (&["not/a/name"][..], "cannot be the name"),
        (&["Echo", "--rate", "0"], "100000"),
        (&["Echo", "--rate", "100001"], "100000"),
        (&["Echo", "--connections", "10001"], "10000"),
        (&["Echo", "--duration", "30"], "write \"30s\""),
        (&["Echo", "--duration", "11m"], "more than 10m"),
        (&["Echo", "--rate", "1", "--duration", "100ms"], "no call is due"),
        (&["Echo", "--closed", "--duration", "0s"], "no call is due"),
        (&["Echo", "--closed", "--rate", "5"], "cannot be used with"),
    ] {
        let refused = engine.nightcore("bench", arguments);
        assert_eq!((refused.code, refused.text().as_str()), (Some(2), ""), "{arguments:?}");
        assert!(refused.stderr.contains(said), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(engine.function("Echo").external, 0);
    engine.stop();
}

#[test]
fn ctrl_c_ends_it_early_with_what_was_measured() {
    let engine = Setup::new().functions(&["Upper"], &c()).start();
    for arguments in
        [&["--rate", "200", "--json"][..], &["--closed", "--connections", "2", "--json"]]
    {
        let bench = start_long(&engine, arguments);
        process::signal(bench.id() as i32, Signal::SIGINT);
        let ended = end(bench);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.text());
        let report = json(&ended);
        assert!(report["warnings"][0].as_str().unwrap().contains("ended early"), "{report}");
        assert!(calls(&report, &["answered"])[0] > 0, "{report}");
        assert!(report["duration_s"].as_f64().unwrap() < 300.0, "{report}");
    }
    engine.stop();
}

#[test]
fn an_engine_that_goes_away_ends_it_with_what_was_measured() {
    let mut engine = Setup::new().functions(&["Upper"], &c()).start();
    let bench = start_long(&engine, &["--rate", "200", "--json"]);
    engine.kill();
    let ended = end(bench);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("no connection to the engine"), "{}", ended.stderr);
    assert!(calls(&json(&ended), &["answered"])[0] > 0, "{}", ended.text());
    engine.wait_until_gone();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let engine = Setup::new().functions(&["Upper"], &c()).start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut bench = engine.home().command("bench");
    bench.args(["Upper", "-d", "x", "--rate", "100", "--duration", "100ms", "--warm-up", "0s"]);
    let ended =
        end(bench.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    engine.stop();
}
