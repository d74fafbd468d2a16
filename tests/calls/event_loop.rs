//! Tests of a worker whose calls run in an event loop of its own.

use harness::workers::{c, event_loop};
use harness::{Engine, Setup, allow_many_descriptors, pattern, process, wait_until};
use nix::sys::signal::Signal;

/// The most calls that an event loop is given at once, and the most that it may have under way.
const CALLS: usize = 1024;

fn engine() -> Engine {
    Setup::new()
        .functions(&["Echo", "Call", "Give", "Wait"], &event_loop())
        .functions(&["Upper", "Origin", "Fail", "FanOut"], &c())
        .start()
}

#[test]
fn it_answers_and_calls() {
    let engine = engine();
    for bytes in [0, 1, 960, 961, 65536, 1 << 20] {
        assert_eq!(engine.answer("Echo", pattern(bytes)), pattern(bytes), "{bytes} bytes");
    }
    assert_eq!(engine.text("Call", "Upper\nquiet"), "QUIET");
    assert_eq!(engine.text("Call", "Origin\n"), "internal Call");
    assert_eq!(engine.text("Call", "Echo\nfrom loop to loop"), "from loop to loop");
    let failed = engine.call("Call", "Fail\nnot today").problem();
    assert_eq!(
        (failed.error.as_str(), failed.cause[0].message.as_str()),
        ("FUNCTION_FAILED", "not today")
    );
    engine.stop();
}

#[test]
fn many_calls_run_in_it_at_once() {
    let engine = engine();
    assert_eq!(engine.text("FanOut", "Echo 1000\nx"), "1000");
    assert_eq!(engine.function("Echo").workers, 1);
    engine.stop();
}

#[test]
fn it_is_told_that_a_client_has_left() {
    let engine = engine();
    let mut client = engine.connect();
    client.send("POST", "/function/Wait", &[], b"").unwrap();
    wait_until("the call to run", || engine.function("Wait").running == 1);
    drop(client);
    engine.wait_for_log("Wait", " cancelled\n");
    wait_until("its place to be free", || engine.function("Wait").running == 0);
    engine.stop();
}

#[test]
fn a_call_that_is_taken_back_is_cancelled() {
    let engine = engine();
    let problem = engine.call("Give", "Wait\n").problem();
    assert_eq!(
        (problem.status, problem.error.as_str(), problem.function.as_deref()),
        (499, "CANCELLED", Some("Give"))
    );
    engine.wait_for_log("Wait", " cancelled\n");
    wait_until("its place to be free", || engine.function("Wait").running == 0);
    assert_eq!(engine.text("Echo", "others go on"), "others go on");
    engine.stop();
}

#[test]
fn a_full_channel_stops_nobody_and_loses_nothing() {
    allow_many_descriptors();
    let engine = engine();
    let echo = engine.container("Echo");
    process::freeze(echo);
    // A pipe or a ring holds eight messages of this size.
    let body = pattern(800);
    let mut clients: Vec<_> = (0..CALLS).map(|_| engine.connect()).collect();
    for client in &mut clients {
        client.send("POST", "/function/Echo", &[], &body).unwrap();
    }
    wait_until("all calls to be sent to it", || engine.function("Echo").running as usize == CALLS);
    assert_eq!(engine.text("Upper", "others go on"), "OTHERS GO ON");
    process::thaw(echo);
    for client in &mut clients {
        let response = client.receive().unwrap();
        assert_eq!((response.status, response.body), (200, body.clone()));
    }
    engine.stop();
}

#[test]
fn a_caller_that_does_not_read_its_answers_stops_nobody() {
    allow_many_descriptors();
    let engine = engine();
    let caller = engine.container("Call");
    let mut clients: Vec<_> = (0..CALLS).map(|_| engine.connect()).collect();
    // The answers of the callee find a stopped process and a full channel.
    for client in &mut clients {
        client.send("POST", "/function/Call", &[], b"Wait\n").unwrap();
    }
    wait_until("all calls to be under way", || engine.function("Wait").running as usize == CALLS);
    process::freeze(caller);
    process::signal(engine.container("Wait"), Signal::SIGKILL);
    wait_until("its callee to be back", || engine.function("Wait").restarts == 1);
    assert_eq!(engine.text("Echo", "others go on"), "others go on");
    process::thaw(caller);
    for client in &mut clients {
        let problem = client.receive().unwrap().problem();
        assert_eq!((problem.status, problem.cause[0].error.as_str()), (500, "CONTAINER_DIED"));
    }
    engine.stop();
}

#[test]
fn a_caller_is_known_to_it_though_its_first_payload_takes_long_to_copy() {
    let setup = Setup::new().functions(&["Echo"], &event_loop()).functions(&["Call"], &c());
    let large = [b"Echo\n".as_slice(), &pattern(24 << 20)].concat();
    for _ in 0..3 {
        let engine = setup.start();
        let mut clients = [engine.connect(), engine.connect(), engine.connect()];
        for client in &mut clients {
            client.send("POST", "/function/Call", &[], &large).unwrap();
        }
        wait_until("a large payload to be on its way", || engine.function("Echo").internal > 0);
        // A small payload overtakes a large one.
        assert_eq!(engine.text("Call", "Echo\nsmall"), "small");
        for client in &mut clients {
            assert_eq!(client.receive().unwrap().status, 200);
        }
        assert_eq!(engine.function("Echo").restarts, 0);
        engine.stop();
    }
}
