//! Tests of internal calls that the engine sends again after a process died, if the function allows
//! retries.

use harness::metrics::check_with_promtool;
use harness::process;
use harness::workers::{c, event_loop};
use harness::{Connection, Engine, Setup, wait_until};
use nix::sys::signal::Signal;

/// Starts an engine with a function that crashes at its first call with a new file, and then
/// answers.
fn crash_once(settings: &str) -> Engine {
    Setup::new()
        .admin()
        .functions(&["TryCall", "Call"], &c())
        .function("CrashOnce", &c(), settings)
        .function("Crash", &c(), settings)
        .function("Fail", &c(), settings)
        .start()
}

/// Calls the function through another one, and returns the result that the other one got.
fn call_once(engine: &Engine, through: &str, rest: &[u8]) -> Vec<u8> {
    let file = engine.home().path().join(format!("crashed-{through}-{}", rest.len()));
    let body = [b"CrashOnce\n", file.to_str().unwrap().as_bytes(), b"\n", rest].concat();
    engine.answer(through, body)
}

#[test]
fn a_call_that_may_run_twice_is_answered_though_its_process_dies() {
    let engine = crash_once("retries = 1\nidempotent = true");
    assert_eq!(call_once(&engine, "TryCall", b"survived"), b"survived");
    let function = engine.function("CrashOnce");
    assert_eq!((function.retries, function.answered, function.failed.len()), (1, 1, 0));
    assert_eq!((function.restarts, function.last_end.as_deref()), (1, Some("signal SIGABRT")));
    // The engine also keeps a payload in shared memory for the retry.
    let large = harness::pattern(3 << 20);
    assert_eq!(call_once(&engine, "Call", &large), large);
    assert_eq!(engine.function("CrashOnce").retries, 2);
    let ps = engine.nightcore("ps", &[]).text();
    assert!(ps.contains("CrashOnce: calls sent again: 2"), "{ps}");
    let sample = "nightcore_retries_total{function=\"CrashOnce\"}";
    assert_eq!(engine.metrics().value(sample), 2.0);
    check_with_promtool(&engine.metrics_page());
    engine.stop();
}

#[test]
fn it_ends_when_its_retries_are_used_up() {
    let engine = crash_once("retries = 2\nidempotent = true");
    let told = engine.text("TryCall", "Crash\n");
    // After three deaths in a row, each soon after a start, the function may become unavailable
    // before the call gets its result.
    assert!(told.starts_with("CONTAINER_DIED\n") || told.starts_with("UNAVAILABLE\n"), "{told}");
    let function = engine.function("Crash");
    assert_eq!(function.retries, 2);
    wait_until("the deaths to be counted", || engine.function("Crash").restarts == 3);
    assert_eq!(engine.text("TryCall", "Fail\nno").lines().next(), Some("FUNCTION_FAILED"));
    assert_eq!(engine.function("Fail").retries, 0, "a handler's error is its answer");
    engine.stop();
}

#[test]
fn nothing_else_is_sent_again() {
    // The calls in this test are not sent again, because they may have begun, or have no retries
    // configured, or come from a client.
    for settings in ["retries = 5", "idempotent = true"] {
        let engine = crash_once(settings);
        let told = call_once(&engine, "TryCall", b"x");
        assert!(told.starts_with(b"CONTAINER_DIED\n"), "{}", String::from_utf8_lossy(&told));
        assert_eq!(engine.function("CrashOnce").retries, 0);
        engine.stop();
    }
    let engine = crash_once("retries = 5\nidempotent = true");
    let problem = engine.call("Crash", "").problem();
    assert_eq!((problem.error.as_str(), engine.function("Crash").retries), ("CONTAINER_DIED", 0));
    engine.stop();
}

#[test]
fn a_deadline_holds_for_all_tries_together() {
    let engine = Setup::new()
        .functions(&["CallWithin"], &c())
        .function("Delicate", &c(), "retries = 10\nidempotent = true")
        .start();
    let mut client = engine.connect();
    client.send("POST", "/function/CallWithin", &[], b"1500\nDelicate\n60000").unwrap();
    let began = std::time::Instant::now();
    wait_until("the call to run", || engine.function("Delicate").running == 1);
    let container = engine.container("Delicate");
    process::signal(container, Signal::SIGKILL);
    wait_until("it to run again", || {
        let function = engine.function("Delicate");
        function.retries == 1 && function.running == 1
    });
    let told = client.receive().unwrap().text();
    let took = began.elapsed();
    assert!(told.starts_with("DEADLINE_EXCEEDED\n"), "{told}");
    assert!((1500..1800).contains(&took.as_millis()), "{took:?}");
    engine.stop();
}

/// The number of calls. It is larger than the number that fits into a ring or a pipe.
const CALLS: usize = 60;

#[test]
fn calls_not_yet_sent_are_retried_and_sent_ones_are_not() {
    let engine = Setup::new()
        .functions(&["TryCall"], &c())
        .function("Echo", &event_loop(), "retries = 1")
        .start();
    let container = engine.container("Echo");
    process::signal(container, Signal::SIGSTOP);
    let body = [&b"Echo\n"[..], &[b'x'; 800]].concat();
    let mut clients: Vec<Connection> = (0..CALLS)
        .map(|_| {
            let mut client = engine.connect();
            client.send("POST", "/function/TryCall", &[], &body).unwrap();
            client
        })
        .collect();
    wait_until("all calls to be dispatched", || engine.function("Echo").running as usize == CALLS);
    process::signal(container, Signal::SIGKILL);
    let told: Vec<String> =
        clients.iter_mut().map(|client| client.receive().unwrap().text()).collect();
    let answered = told.iter().filter(|text| text.as_bytes() == &body[5..]).count();
    let died = told.iter().filter(|text| text.starts_with("CONTAINER_DIED\n")).count();
    assert_eq!(answered + died, CALLS, "{told:?}");
    let function = engine.function("Echo");
    assert_eq!((function.retries as usize, function.answered as usize), (answered, answered));
    // For this number of calls, the budget is ten retries, and one more for every five calls.
    assert!(died > 0 && answered == 10 + CALLS / 5, "{answered} answered, {died} died");
    engine.stop();
}
