//! Tests of `/metrics`: every call is counted once, by its outcome. Further tests check other
//! metrics.

use harness::metrics::{Metrics, check_with_promtool};
use harness::process;
use harness::workers::c;
use harness::{Connection, Engine, Setup, wait_until};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

/// The limit for bodies.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Returns the counts of calls by their outcome, without counts of 0.
fn calls(engine: &Engine) -> Vec<(String, f64)> {
    let metrics = engine.metrics();
    let calls = metrics.beginning("nightcore_calls_total").into_iter();
    calls.map(|(labels, count)| (labels.to_owned(), count)).collect()
}

fn call_of(function: &str, origin: &str, outcome: &str, count: f64) -> (String, f64) {
    (format!("{{function=\"{function}\",origin=\"{origin}\",outcome=\"{outcome}\"}}"), count)
}

#[test]
fn every_call_is_counted_once_by_how_it_ended() {
    let home = Setup::new()
        .admin()
        .gateway(&format!("max_body = \"{MAX_BODY_BYTES}B\""))
        .functions(&["Echo", "Fail", "Crash", "Call", "TryCall"], &c())
        .function("Sleep", &c(), "timeout = \"100ms\"")
        .function("Upper", &c(), "max_depth = 1")
        .function("WaitForFile", &c(), "workers = { min = 1, max = 1 }\nqueue = { calls = 1 }")
        .command("Broken", &["sh", "-c", "exit 3"], "")
        .function("Pid", &c(), "external = false")
        .home();
    let engine = home.start_some();
    assert!(calls(&engine).is_empty());
    let status = |function: &str, body: &str| engine.call(function, body).status;

    assert_eq!([status("Echo", "a"), status("Echo", "b"), status("Echo", "c")], [200; 3]);
    assert_eq!(status("Echo", &"x".repeat(MAX_BODY_BYTES + 1)), 413);
    let soon = [("x-timeout-ms", "soon")];
    assert_eq!(engine.connect().request("POST", "/function/Echo", &soon, b"").status, 400);
    assert_eq!(status("Fail", "told"), 500);
    assert_eq!(status("Crash", ""), 502);
    assert_eq!(status("Broken", ""), 503);
    assert_eq!(status("Sleep", "60000"), 504);
    assert_eq!(
        [status("Nobody", ""), status("Pid", "")],
        [404; 2],
        "one is not there, one not for clients"
    );
    for (body, answer) in
        [("Echo\nhi", "hi"), ("Nobody\n", "NOT_FOUND"), ("Broken\n", "UNAVAILABLE")]
    {
        assert!(engine.text("TryCall", body).contains(answer));
    }
    assert_eq!(status("Call", "Call\nUpper\n"), 508, "Upper is one level too deep");

    let file = home.path().join("file");
    let wait = file.to_str().unwrap().as_bytes();
    let open = |origin_state: &str| engine.metrics().value(&format!("nightcore_{origin_state}"));
    let (mut leaves, mut stays) = (engine.connect(), engine.connect());
    let path = "/function/WaitForFile";
    leaves.send("POST", path, &[], wait).unwrap();
    wait_until("a call to run", || {
        open("open_calls{function=\"WaitForFile\",state=\"running\"}") == 1.0
    });
    stays.send("POST", path, &[], wait).unwrap();
    wait_until("a call to queue", || open("queued_calls{function=\"WaitForFile\"}") == 1.0);
    assert!(open("queued_bytes{function=\"WaitForFile\"}") >= wait.len() as f64);
    assert_eq!(open("workers{function=\"WaitForFile\",state=\"busy\"}"), 1.0);
    assert_eq!(engine.call("WaitForFile", wait).status, 503);
    drop(leaves);
    wait_until("its call to be cancelled", || {
        calls(&engine).contains(&call_of("WaitForFile", "external", "CANCELLED", 1.0))
    });
    std::fs::write(&file, "").unwrap();
    assert_eq!(stays.receive().unwrap().status, 200);

    assert_eq!(
        calls(&engine),
        [
            call_of("Broken", "external", "UNAVAILABLE", 1.0),
            call_of("Broken", "internal", "UNAVAILABLE", 1.0),
            call_of("Call", "external", "DEPTH_EXCEEDED", 1.0),
            call_of("Call", "internal", "DEPTH_EXCEEDED", 1.0),
            call_of("Crash", "external", "CONTAINER_DIED", 1.0),
            call_of("Echo", "external", "INVALID_ARGUMENT", 1.0),
            call_of("Echo", "external", "PAYLOAD_TOO_LARGE", 1.0),
            call_of("Echo", "external", "answered", 3.0),
            call_of("Echo", "internal", "answered", 1.0),
            call_of("Fail", "external", "FUNCTION_FAILED", 1.0),
            call_of("Sleep", "external", "DEADLINE_EXCEEDED", 1.0),
            call_of("TryCall", "external", "answered", 3.0),
            call_of("Upper", "internal", "DEPTH_EXCEEDED", 1.0),
            call_of("WaitForFile", "external", "CANCELLED", 1.0),
            call_of("WaitForFile", "external", "OVERLOADED", 1.0),
            call_of("WaitForFile", "external", "answered", 1.0),
        ]
    );
    let metrics = engine.metrics();
    let not_found = metrics.beginning("nightcore_calls_of_unknown_functions_total");
    assert_eq!(not_found, [("{origin=\"external\"}", 2.0), ("{origin=\"internal\"}", 1.0)]);
    assert_eq!(metrics.value("nightcore_available{function=\"Broken\"}"), 0.0);
    assert_eq!(metrics.value("nightcore_available{function=\"Echo\"}"), 1.0);
    engine.stop();
}

#[test]
fn times_are_in_buckets_and_the_segments_make_up_the_whole() {
    let engine = Setup::new().admin().functions(&["Sleep", "Echo"], &c()).start();
    for _ in 0..3 {
        engine.answer("Sleep", "20");
    }
    let metrics = engine.metrics();
    let (whole, labels) = ("nightcore_call_duration_seconds", "function=\"Sleep\"");
    let buckets = metrics.buckets(whole, labels);
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
    let within = |s: f64| buckets.iter().find(|(end, _)| *end == s).map(|(_, count)| *count);
    assert_eq!(
        (within(1e-6), within(0.02), within(f64::INFINITY)),
        (Some(0.0), Some(0.0), Some(3.0))
    );
    assert_eq!(metrics.value(&format!("{whole}_count{{{labels}}}")), 3.0);
    let sum = metrics.value(&format!("{whole}_sum{{{labels}}}"));
    let segments = ["queued", "woken", "ran", "returned"].map(|segment| {
        let labels = format!("{{{labels},segment=\"{segment}\"}}");
        assert_eq!(metrics.value(&format!("nightcore_call_segment_seconds_count{labels}")), 3.0);
        metrics.value(&format!("nightcore_call_segment_seconds_sum{labels}"))
    });
    assert!(segments[2] >= 0.06, "handlers took 20 ms each: {segments:?}");
    assert!((segments.iter().sum::<f64>() - sum).abs() < 1e-6, "{segments:?} do not make up {sum}");
    assert!(
        metrics.beginning("nightcore_call_duration_seconds_count{function=\"Echo\"}").is_empty()
    );
    engine.stop();
}

#[test]
fn processes_that_end_and_memory_that_they_hold_are_seen() {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let engine = Setup::new()
        .admin()
        .functions(&["Echo", "Leave"], &c())
        .function("LoopForEver", &c(), "timeout = \"50ms\"\ngrace = \"50ms\"")
        .start();
    let of = |sample: &str, function: &str, label: &str| {
        engine.metrics().value(&format!("nightcore_{sample}{{function=\"{function}\"{label}}}"))
    };
    process::signal(engine.container("Echo"), Signal::SIGKILL);
    assert_eq!(engine.call("Leave", "3").status, 502);
    assert_eq!(engine.call("LoopForEver", "").status, 504);
    for (function, reason) in [("Echo", "signal"), ("Leave", "exit")] {
        wait_until("a restart", || {
            of("restarts_total", function, &format!(",reason=\"{reason}\"")) == 1.0
        });
    }
    wait_until("a stuck process", || of("stuck_containers_total", "LoopForEver", "") == 1.0);
    let replaced =
        |reason: &str| of("restarts_total", "LoopForEver", &format!(",reason=\"{reason}\""));
    assert_eq!((replaced("signal"), replaced("stuck")), (0.0, 1.0));
    wait_until("the process in its place", || {
        of("containers", "LoopForEver", ",state=\"ready\"") >= 1.0
    });
    wait_until("Echo to be back", || of("containers", "Echo", ",state=\"ready\"") == 1.0);

    let body = harness::pattern(100_000);
    assert_eq!(engine.answer("Echo", &body), body);
    let metrics = engine.metrics();
    assert_eq!(metrics.value("nightcore_arena_payloads_total"), 2.0, "there and back");
    for owner in ["engine", "function"] {
        assert!(of("arena_mapped_bytes", "Echo", &format!(",owner=\"{owner}\"")) >= 100_000.0);
    }
    wait_until("the block to be given back", || of("arena_used_bytes", "Echo", "") == 0.0);
    assert_eq!(metrics.value("nightcore_build_info{version=\"0.1.0\"}"), 1.0);
    let started = metrics.value("process_start_time_seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((began..=now).contains(&started), "{began} <= {started} <= {now}");
    assert!(metrics.value("process_resident_memory_bytes") > 1e6);
    assert!(metrics.value("process_open_fds") > 10.0);
    assert!(metrics.value("process_max_fds") >= metrics.value("process_open_fds"));
    engine.stop();
}

#[test]
fn the_page_is_as_prometheus_wants_it() {
    let engine = Setup::new().admin().functions(&["Echo", "Call"], &c()).start();
    check_with_promtool(&engine.metrics_page());
    engine.answer("Call", "Echo\nx");
    let mut door = Connection::open(engine.admin_address());
    let page = door.request("GET", "/metrics", &[], b"");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    check_with_promtool(&page.text());
    engine.stop();
}

#[test]
fn the_documents_name_all_metrics() {
    let engine = Setup::new().admin().functions(&["Echo"], &c()).start();
    let page = engine.metrics_page();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let document =
        std::fs::read_to_string(harness::repository().join("docs/OPERATIONS.md")).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let words = rows.flat_map(|row| row.split([',', '`', ' ']));
    let named = words.filter(|word| word.starts_with("nightcore_") || word.starts_with("process_"));
    assert_eq!(types.collect::<BTreeSet<_>>(), named.collect());
    engine.stop();
}

#[test]
fn the_door_shows_and_does_nothing_else() {
    let home = Setup::new()
        .admin()
        .functions(&["Echo"], &c())
        .command("Broken", &["sh", "-c", "exit 3"], "")
        .home();
    let engine = home.start_some();
    let mut door = Connection::open(engine.admin_address());
    let mut status = |method: &str, path: &str| door.request(method, path, &[], b"").status;
    assert_eq!(status("GET", "/metrics"), 200);
    assert_eq!([status("GET", "/healthz"), status("GET", "/readyz")], [200, 503]);
    assert_eq!([status("POST", "/metrics"), status("POST", "/healthz")], [405; 2]);
    for (method, path) in [
        ("POST", "/invoke/Echo"),
        ("POST", "/attach/Echo"),
        ("GET", "/status"),
        ("POST", "/function/Echo"),
        ("GET", "/"),
    ] {
        assert_eq!(status(method, path), 404, "{method} {path}");
    }
    assert!(calls(&engine).is_empty(), "nothing was called");
    engine.stop();
}

#[test]
fn responses_are_counted_by_the_class_of_their_status() {
    let setup = Setup::new().admin().gateway("max_body = \"1KiB\"");
    let engine = setup.functions(&["Reply", "Echo"], &c()).start();
    for (function, body, status) in [
        ("Reply", ":status:201\n", 201),
        ("Reply", ":status:302\n", 302),
        ("Reply", ":status:404\n", 404),
        ("Reply", ":status:999\n", 500),
        ("Echo", "x", 200),
        ("Echo", &"x".repeat(2000), 413),
        ("None", "x", 404),
    ] {
        assert_eq!(engine.connect().call(function, body.as_bytes()).status, status, "{body}");
    }
    let metrics = engine.metrics();
    let of = |function: &str| {
        ["2xx", "3xx", "4xx", "5xx"].map(|class| {
            let labels = format!("{{function=\"{function}\",class=\"{class}\"}}");
            metrics.value(&format!("nightcore_responses_total{labels}"))
        })
    };
    assert_eq!(of("Reply"), [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(of("Echo"), [1.0, 0.0, 1.0, 0.0]);
    engine.stop();
}

#[test]
fn without_a_door_the_page_is_on_the_engine_s_own_socket() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    assert_eq!(engine.status().metrics, None);
    engine.answer("Echo", "x");
    let mut socket = UnixStream::connect(engine.home().directory().join("admin.sock")).unwrap();
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    let (head, page) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (labels, count) = call_of("Echo", "external", "answered", 1.0);
    assert_eq!(Metrics::parse(page).value(&format!("nightcore_calls_total{labels}")), count);
    engine.stop();
}

#[test]
fn a_door_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Setup::new().admin_at(&address.to_string()).functions(&["Echo"], &c()).home();
    let up = home.up_in_vain();
    assert_eq!(up.code, Some(2), "{}", up.stderr);
    let expected = format!("cannot listen on {address}, as [admin] says");
    assert!(up.stderr.contains(&expected) && up.stderr.contains("in use"), "{}", up.stderr);
    assert!(!home.directory().exists(), "nothing was begun");
}
