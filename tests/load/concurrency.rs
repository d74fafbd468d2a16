//! Tests of concurrency control on a live engine: the number of workers follows the load, and
//! `nightcore ps` shows the reason.

use harness::workers::c;
use harness::{Load, Setup, wait_until, wait_until_within};
use std::time::Duration;

const CLIENTS: usize = 16;

#[test]
fn workers_grow_with_a_step_of_load_and_are_retired_after_it() {
    let engine = Setup::new().functions(&["Sleep"], &c()).start();
    let quiet = engine.function("Sleep");
    assert_eq!((quiet.workers, quiet.limit), (1, 64));
    assert!(quiet.why.contains("limit is max"), "{}", quiet.why);

    let load = Load::start(engine.address(), CLIENTS, "Sleep", b"20");
    wait_until_within("workers for all clients", Duration::from_secs(3), || {
        engine.function("Sleep").workers >= CLIENTS
    });
    // 16 clients with calls of 20 ms make at most 800 calls per second. The first averages may
    // still differ from this rate.
    wait_until("the averages to follow", || {
        let sleep = engine.function("Sleep");
        load.ended() > 300 && (300.0..850.0).contains(&sleep.rate_per_s) && sleep.tau < 20.0
    });
    let busy = engine.function("Sleep");
    assert!((20_000.0..60_000.0).contains(&busy.run_us), "{busy:?}");
    assert!((20_000.0..60_000.0).contains(&busy.open_us), "{busy:?}");
    assert!((busy.tau - busy.rate_per_s * busy.run_us / 1e6).abs() < 0.1, "{busy:?}");
    assert!(f64::from(busy.limit) >= busy.tau, "{busy:?}");
    assert!(!busy.why.is_empty() && !busy.why.contains("fewer than"), "{busy:?}");
    let table = engine.nightcore("ps", &[]).text();
    for heading in ["RATE/S", "T_RUN", "TAU", "LIMIT"] {
        assert!(table.contains(heading), "{table}");
    }
    assert!(table.contains("Sleep: limit "), "{table}");

    for outcome in load.stop() {
        assert_eq!(outcome.status, Some(200), "{}", outcome.text);
    }
    wait_until("the workers to be retired", || engine.function("Sleep").workers <= 2);
    let after = engine.function("Sleep");
    assert_eq!((after.queued, after.running, after.waiting), (0, 0, 0));
    let threads = harness::process::threads(engine.container("Sleep")).len();
    assert_eq!(threads, 1 + after.workers, "a retired worker's thread is gone");
    assert_eq!(engine.text("Sleep", "1"), "slept 1", "and a call finds a worker");
    engine.stop();
}

#[test]
fn the_configured_limit_holds() {
    let engine = Setup::new().function("Sleep", &c(), "workers = { max = 3 }").start();
    let load = Load::start(engine.address(), CLIENTS, "Sleep", b"5");
    for looks in 0..20 {
        let sleep = engine.function("Sleep");
        assert!(sleep.running <= 3 && sleep.limit <= 3, "look {looks}: {sleep:?}");
    }
    wait_until("work to be done", || load.ended() > 100);
    load.stop();
    engine.stop();
}

#[test]
fn a_waiting_call_lends_its_slot() {
    let engine = Setup::new()
        .function("Call", &c(), "workers = { max = 1 }")
        .functions(&["Sleep", "Echo"], &c())
        .start();
    let mut waiting = engine.connect();
    waiting.send("POST", "/function/Call", &[], b"Sleep\n2000").unwrap();
    wait_until("the call to wait", || engine.function("Call").waiting == 1);
    assert_eq!(engine.text("Call", "Echo\nin between"), "in between");
    assert_eq!(engine.function("Call").waiting, 1);
    assert_eq!(waiting.receive().unwrap().text(), "slept 2000");
    engine.stop();
}
