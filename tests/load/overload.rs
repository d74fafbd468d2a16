//! Tests that the engine refuses those calls of an overloaded function that would be late, and that
//! such a function does not affect other functions.

use harness::workers::c;
use harness::{Connection, Engine, Setup, wait_until};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The number of calls that wait. The function runs ten of them per second.
const CALLS: usize = 60;
const CALL_MS: &str = "100";
/// The number of ended calls after which the engine knows how fast the queue drains.
const KNOWN: u64 = 20;

/// Starts clients that all call `Sleep`, which runs one call at a time.
fn crowd(engine: &Engine) -> Vec<JoinHandle<(u16, String)>> {
    let address = engine.address();
    let client = move |_| {
        std::thread::spawn(move || {
            let response = Connection::open(address).call("Sleep", CALL_MS.as_bytes());
            (response.status, response.text())
        })
    };
    (0..CALLS).map(client).collect()
}

fn start() -> Engine {
    Setup::new().function("Sleep", &c(), "workers = { max = 1 }").start()
}

#[test]
fn a_call_that_would_be_late_is_refused_when_it_comes() {
    let engine = start();
    let crowd = crowd(&engine);
    wait_until("some of the calls to have ended", || engine.function("Sleep").answered >= KNOWN);
    // Tens of calls are queued before this call, and each of them takes 100 ms.
    let refused = engine.connect().request(
        "POST",
        "/function/Sleep",
        &[("X-Timeout-Ms", "500")],
        CALL_MS.as_bytes(),
    );
    let problem = refused.problem();
    assert_eq!((refused.status, problem.error.as_str()), (503, "OVERLOADED"), "{}", refused.text());
    assert!(problem.detail.contains("calls are queued: it would take"), "{}", problem.detail);
    let retry_after_s: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((2..=60).contains(&retry_after_s), "{retry_after_s}");
    // A call with a later deadline waits and is answered, like all calls that were queued before.
    assert_eq!(engine.text("Sleep", CALL_MS), "slept 100");
    for client in crowd {
        assert_eq!(client.join().unwrap(), (200, "slept 100".to_owned()));
    }
    let sleep = engine.function("Sleep");
    assert_eq!((sleep.answered, sleep.failed["OVERLOADED"]), (CALLS as u64 + 1, 1));
    engine.stop();
}

#[test]
fn a_client_that_retries_a_refused_call_at_once_waits_a_little() {
    // This is less than the gateway's pause, which docs/OPERATIONS.md documents.
    const PAUSE: Duration = Duration::from_millis(20);
    let engine = Setup::new()
        .function("WaitForFile", &c(), "workers = { max = 1 }\nqueue = { calls = 1 }")
        .functions(&["Echo"], &c())
        .start();
    let file = engine.home().path().join("go");
    let send = || {
        let mut client = engine.connect();
        client
            .send("POST", "/function/WaitForFile", &[], file.to_str().unwrap().as_bytes())
            .unwrap();
        client
    };
    let mut waiting = [send(), send()];
    wait_until("one to run and one to be queued", || {
        let function = engine.function("WaitForFile");
        (function.running, function.queued) == (1, 1)
    });
    let mut client = engine.connect();
    assert_eq!(client.call("WaitForFile", b"x").status, 503);
    let refused = Instant::now();
    assert_eq!(client.call("Echo", b"another function").text(), "another function");
    assert_eq!(client.call("WaitForFile", b"x").problem().error, "OVERLOADED");
    assert!(refused.elapsed() >= PAUSE, "{:?}", refused.elapsed());
    std::fs::write(&file, "").unwrap();
    for client in &mut waiting {
        assert_eq!(client.receive().unwrap().status, 200);
    }
    engine.stop();
}
