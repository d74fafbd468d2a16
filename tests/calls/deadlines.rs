//! Tests of deadlines, of clients that leave, and of handlers that ignore both.

use harness::process::{self, is_alive};
use harness::workers::c;
use harness::{Response, Setup, wait_until};
use std::time::{Duration, Instant};

/// The largest difference between a deadline and the end of its call.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Makes a call, and checks that its error comes at the deadline.
#[track_caller]
fn ends_at(timeout: Duration, call: impl FnOnce() -> Response) -> Response {
    let began = Instant::now();
    let response = call();
    let took = began.elapsed();
    assert!(took >= timeout, "too early: {took:?}");
    assert!(took < timeout + TOLERANCE, "too late: {took:?}");
    response
}

#[test]
fn a_call_ends_at_its_deadline_and_the_late_answer_is_dropped() {
    let timeout = Duration::from_millis(300);
    let engine = Setup::new()
        .function("SleepStubbornly", &c(), "timeout = \"300ms\"\nworkers = { max = 1 }")
        .start();
    let mut client = engine.connect();
    let response = ends_at(timeout, || client.call("SleepStubbornly", b"500"));
    let problem = response.problem();
    assert_eq!((response.status, problem.error.as_str()), (504, "DEADLINE_EXCEEDED"));
    assert!(problem.detail.contains("in the handler"), "{}", problem.detail);
    // The only slot is free when the handler has ended. Nobody receives the answer of that handler.
    for ms in [1, 2, 3] {
        assert_eq!(
            client.call("SleepStubbornly", ms.to_string().as_bytes()).text(),
            format!("slept {ms}")
        );
    }
    let function = engine.function("SleepStubbornly");
    assert_eq!((function.answered, function.failed.get("DEADLINE_EXCEEDED")), (3, Some(&1)));
    assert_eq!(function.restarts, 0);
    engine.stop();
}

#[test]
fn a_queued_call_ends_at_its_deadline() {
    let timeout = Duration::from_millis(300);
    let engine = Setup::new()
        .function(
            "SleepStubbornly",
            &c(),
            "timeout = \"300ms\"\nworkers = { max = 1 }\ngrace = \"10s\"",
        )
        .start();
    let mut first = engine.connect();
    first.send("POST", "/function/SleepStubbornly", &[], b"1000").unwrap();
    wait_until("the first call to run", || engine.function("SleepStubbornly").running == 1);
    let response = ends_at(timeout, || engine.call("SleepStubbornly", b"1"));
    let problem = response.problem();
    assert_eq!(problem.error, "DEADLINE_EXCEEDED");
    assert!(problem.detail.contains("in the queue"), "{}", problem.detail);
    assert_eq!(first.receive().unwrap().status, 504);
    engine.stop();
}

#[test]
fn a_client_gives_its_call_less_time_and_never_more() {
    let engine = Setup::new()
        .function("Call", &c(), "timeout = \"20s\"")
        .functions(&["Sleep", "TryCall"], &c())
        .function("SleepStubbornly", &c(), "timeout = \"300ms\"")
        .start();
    let call = |function: &str, timeouts: &[&str], body: &str| {
        let headers: Vec<_> = timeouts.iter().map(|timeout| ("X-Timeout-Ms", *timeout)).collect();
        engine.connect().request(
            "POST",
            &format!("/function/{function}"),
            &headers,
            body.as_bytes(),
        )
    };
    // The deadline holds for the call, and for all calls below it.
    let less = Duration::from_millis(150);
    for (function, body) in [("Sleep", "60000"), ("Call", "TryCall\nSleep\n60000")] {
        let response = ends_at(less, || call(function, &["150"], body));
        assert_eq!(
            (response.status, response.problem().error.as_str()),
            (504, "DEADLINE_EXCEEDED")
        );
    }
    wait_until("all of it to have ended", || {
        engine.status().functions.iter().all(|function| function.running + function.waiting == 0)
    });
    for more in ["60000", "99999999999999999999999"] {
        let response =
            ends_at(Duration::from_millis(300), || call("SleepStubbornly", &[more], "600"));
        assert_eq!(response.problem().error, "DEADLINE_EXCEEDED", "{more}");
    }
    assert_eq!(call("Sleep", &["5000"], "1").text(), "slept 1");

    let before = engine.function("Sleep");
    for wrong in [&["soon"][..], &["0"], &["-5"], &["1.5"], &["150", "150"], &[""]] {
        let response = call("Sleep", wrong, "1");
        let problem = response.problem();
        assert_eq!(
            (response.status, problem.error.as_str()),
            (400, "INVALID_ARGUMENT"),
            "{wrong:?}"
        );
        for said in ["X-Timeout-Ms", "milliseconds"] {
            assert!(problem.detail.contains(said), "{wrong:?}: {}", problem.detail);
        }
    }
    assert_eq!(engine.function("Sleep").external, before.external, "none of them was a call");
    engine.stop();
}

#[test]
fn a_deadline_goes_down_the_chain() {
    let timeout = Duration::from_millis(300);
    let engine = Setup::new()
        .function("Call", &c(), "timeout = \"300ms\"")
        .functions(&["Sleep", "CallWithin", "TryCall"], &c())
        .start();
    let response = ends_at(timeout, || engine.call("Call", "TryCall\nSleep\n60000"));
    assert_eq!(response.problem().error, "DEADLINE_EXCEEDED");
    engine.wait_for_log("Sleep", "cancelled");
    let idle = || {
        let all = engine.status().functions;
        all.iter().all(|function| function.running + function.waiting + function.queued == 0)
    };
    wait_until("all of it to have ended", idle);

    // The caller handles the timeout of its own call.
    let own = Duration::from_millis(150);
    let told = ends_at(own, || engine.call("CallWithin", "150\nSleep\n60000"));
    assert_eq!(told.status, 200);
    assert!(told.text().starts_with("DEADLINE_EXCEEDED\n"), "{}", told.text());
    wait_until("all of it to have ended", idle);
    engine.stop();
}

#[test]
fn a_client_that_leaves_frees_its_place() {
    let engine = Setup::new()
        .function("Sleep", &c(), "workers = { max = 1 }")
        .functions(&["Call"], &c())
        .start();
    // The whole chain of calls is cancelled, also through another function.
    for (function, body) in [("Sleep", "60000"), ("Call", "Sleep\n60000")] {
        let mut client = engine.connect();
        client.send("POST", &format!("/function/{function}"), &[], body.as_bytes()).unwrap();
        wait_until("the call to run", || engine.function("Sleep").running == 1);
        let mut queued = engine.connect();
        queued.send("POST", "/function/Sleep", &[], b"60000").unwrap();
        wait_until("another to be queued", || engine.function("Sleep").queued == 1);
        drop(queued);
        wait_until("the other to leave the queue", || engine.function("Sleep").queued == 0);
        let began = Instant::now();
        drop(client);
        assert_eq!(engine.text("Sleep", "1"), "slept 1");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    engine.wait_for_log("Sleep", "cancelled");
    let (sleep, call) = (engine.function("Sleep"), engine.function("Call"));
    assert_eq!(sleep.failed.get("CANCELLED"), Some(&4), "{sleep:?}");
    assert_eq!(call.failed.get("CANCELLED"), Some(&1), "{call:?}");
    assert_eq!((sleep.answered, sleep.restarts), (2, 0));
    engine.stop();
}

#[test]
fn a_stuck_container_is_replaced() {
    let engine = Setup::new()
        .function(
            "SleepStubbornly",
            &c(),
            "timeout = \"200ms\"\ngrace = \"300ms\"\nworkers = { max = 2 }",
        )
        .start();
    let stuck = engine.container("SleepStubbornly");
    let began = Instant::now();
    assert_eq!(engine.call("SleepStubbornly", "3600000").status, 504);
    wait_until("another container", || {
        let processes = engine.function("SleepStubbornly").processes;
        processes.iter().any(|process| process.pid != stuck)
    });
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "not before the grace period has passed"
    );
    assert_eq!(engine.text("SleepStubbornly", "1"), "slept 1");
    wait_until("the stuck one to be ended", || !is_alive(stuck));
    wait_until("it to be forgotten", || engine.function("SleepStubbornly").processes.len() == 1);
    assert_eq!(engine.text("SleepStubbornly", "2"), "slept 2");
    engine.stop();
}

#[test]
fn a_container_that_was_stopped_is_replaced() {
    let engine =
        Setup::new().function("Echo", &c(), "timeout = \"200ms\"\ngrace = \"200ms\"").start();
    let stopped = engine.container("Echo");
    process::freeze(stopped);
    assert_eq!(engine.call("Echo", "x").status, 504);
    wait_until("another container to answer", || engine.call("Echo", "x").status == 200);
    wait_until("the stopped one to be ended", || !is_alive(stopped));
    engine.stop();
}
