//! Tests of nested calls, of their order, and of many calls at once: none blocks and none is lost.

use harness::workers::{c, event_loop};
use harness::{Setup, wait_until};
use std::time::{Duration, Instant};

const ONE_AT_A_TIME: &str = "workers = { max = 1 }";

#[test]
fn a_function_calls_itself_with_one_slot() {
    let engine = Setup::new().function("Fib", &c(), ONE_AT_A_TIME).start();
    assert_eq!(engine.text("Fib", "12"), "144");
    let fib = engine.function("Fib");
    assert_eq!((fib.external, fib.internal, fib.answered), (1, 464, 465));
    engine.stop();
}

#[test]
fn a_deep_chain_ends_right_under_many_clients() {
    const CLIENTS: usize = 64;
    let setup =
        Setup::new().function("Odd", &c(), ONE_AT_A_TIME).function("Even", &c(), ONE_AT_A_TIME);
    let engine = setup.start();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = engine.connect();
                for _ in 0..5 {
                    let response = client.call("Odd", b"10");
                    assert_eq!((response.status, response.text().as_str()), (200, "10"));
                }
            });
        }
    });
    engine.stop();
}

#[test]
fn calls_nested_too_deep_end_at_once() {
    let engine = Setup::new().functions(&["Odd", "Even"], &c()).start();
    assert_eq!(engine.text("Odd", "64"), "64", "64 deep is allowed");
    let began = Instant::now();
    let response = engine.call("Odd", "65");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let problem = response.problem();
    assert_eq!((response.status, problem.error.as_str()), (508, "DEPTH_EXCEEDED"));
    assert!(
        problem.detail.contains("more than 64 deep") || !problem.cause.is_empty(),
        "{problem:?}"
    );
    assert_eq!(engine.text("Odd", "3"), "3");
    engine.stop();
}

#[test]
fn a_thousand_calls_of_one_handler_are_under_way_at_once() {
    let engine = Setup::new()
        .function("Sleep", &c(), "workers = { max = 50 }")
        .functions(&["FanOut", "Echo"], &c())
        .start();
    let mut client = engine.connect();
    client.send("POST", "/function/FanOut", &[], b"Sleep 1000\n20").unwrap();
    wait_until("its calls to be under way", || {
        let sleep = engine.function("Sleep");
        sleep.queued + sleep.running > 500
    });
    assert_eq!(engine.text("Echo", "others go on"), "others go on");
    assert_eq!(client.receive().unwrap().text(), "1000");
    let sleep = engine.function("Sleep");
    assert_eq!((sleep.internal, sleep.answered), (1000, 1000));
    engine.stop();
}

#[test]
fn more_calls_than_the_queue_takes_are_refused() {
    let engine = Setup::new()
        .function("Sleep", &c(), "workers = { max = 1 }\nqueue = { calls = 5 }")
        .start();
    let mut clients: Vec<_> = (0..6).map(|_| engine.connect()).collect();
    // The first call runs until all others wait.
    let times = ["3000", "1", "1", "1", "1", "1"];
    for (already, client) in clients.iter_mut().enumerate() {
        client.send("POST", "/function/Sleep", &[], times[already].as_bytes()).unwrap();
        wait_until("the call to be taken", || {
            let sleep = engine.function("Sleep");
            (sleep.queued + sleep.running) as usize == already + 1
        });
    }
    let refused = engine.call("Sleep", "1");
    assert_eq!((refused.status, refused.problem().error.as_str()), (503, "OVERLOADED"));
    let seconds = refused.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{seconds:?}");
    for (client, time) in clients.iter_mut().zip(times) {
        assert_eq!(client.receive().unwrap().text(), format!("slept {time}"));
    }
    engine.stop();
}

#[test]
fn queued_calls_run_in_the_order_they_came() {
    const CALLS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let order = folder.path().join("order");
    let order_file = format!("env = {{ ORDER_FILE = {order:?} }}\n{ONE_AT_A_TIME}");
    let engine = Setup::new()
        .function("Append", &c(), &order_file)
        .function("Call", &c(), "workers = { max = 200 }")
        .start();
    // A stopped process holds the first call, and so all calls after it.
    let container = engine.container("Append");
    harness::process::freeze(container);
    let mut clients = Vec::new();
    for number in 0..CALLS {
        let mut client = engine.connect();
        // Calls of clients and of functions are in the same queue.
        if number % 4 == 3 {
            let body = format!("Append\n{number}");
            client.send("POST", "/function/Call", &[], body.as_bytes()).unwrap();
        } else {
            client.send("POST", "/function/Append", &[], number.to_string().as_bytes()).unwrap();
        }
        clients.push(client);
        wait_until("the call to be queued", || {
            let append = engine.function("Append");
            (append.queued + append.running) as usize == number + 1
        });
    }
    harness::process::thaw(container);
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().status, 200);
    }
    let expected: String = (0..CALLS).map(|number| format!("{number}\n")).collect();
    assert_eq!(std::fs::read_to_string(&order).unwrap(), expected);
    engine.stop();
}

#[test]
fn a_function_that_clients_may_not_call_is_called_by_functions() {
    let engine =
        Setup::new().function("Echo", &c(), "external = false").functions(&["Call"], &c()).start();
    assert_eq!(engine.call("Echo", "x").problem().error, "NOT_FOUND");
    assert_eq!(engine.text("Call", "Echo\ninside"), "inside");
    engine.stop();
}

#[test]
fn internal_calls_belong_to_the_trace_of_their_client() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for caller in [c(), event_loop()] {
        let setup = Setup::new().function("Call", &caller, "").function("Metadata", &c(), "");
        let engine = setup.start();
        let mut client = engine.connect();
        let headers = [("Traceparent", trace), ("tracestate", "vendor=1"), ("x-other", "1")];
        // By the last of these calls, the caller has a lease of the callee.
        for _ in 0..100 {
            let path = "/function/Call";
            let response = client.request("POST", path, &headers, b"Metadata\nx");
            let expected = format!("traceparent={trace}\ntracestate=vendor=1\n\nx");
            assert_eq!(response.text(), expected);
            assert_eq!(client.request("POST", path, &[], b"Metadata\nx").text(), "\nx");
        }
        engine.stop();
    }
}
