//! Tests of the messages in the pipes, as strace shows them.

use harness::strace::{self, Call, Trace};
use harness::workers::c;
use harness::{Engine, Setup, wait_for};

/// The size of a message's header.
const HEADER: usize = 64;
const MAX_MESSAGE: usize = 1024;
const PROBES: usize = 20;
/// The first call after the warm-up. Earlier messages also carry names, and workers may still be
/// created then.
const FIRST_SETTLED: usize = 10;

/// The system calls that send bytes over a network or any other socket.
const NETWORK: [&str; 11] = [
    "accept", "accept4", "connect", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg",
    "sendto", "socket", "shutdown",
];

fn start() -> (Engine, Trace) {
    let home = Setup::new().channel("fifo").functions(&["Probe", "ProbeBig", "Echo"], &c()).home();
    strace::start(&home)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn probe(number: usize) -> Vec<u8> {
    format!("probe-{number:010}").into_bytes()
}

/// Returns the reads and writes on channels, by all threads.
fn on_channels(trace: &Trace) -> Vec<Call> {
    let calls = trace.threads().into_values().flatten();
    calls
        .filter(|call| call.is_on_channel() && matches!(call.name.as_str(), "read" | "write"))
        .collect()
}

#[test]
fn a_small_call_is_one_write_and_one_read_on_a_pipe_for_each_hop() {
    if !strace::is_installed() {
        return;
    }
    let (engine, trace) = start();
    assert_eq!(engine.text("Probe", PROBES.to_string()), "probed");
    let last = probe(PROBES);
    let calls = wait_for("the trace to be written", || {
        let calls = on_channels(&trace);
        (calls.iter().filter(|call| contains(&call.bytes, &last)).count() >= 8).then_some(calls)
    });
    for number in FIRST_SETTLED..=PROBES {
        let body = probe(number);
        let of_probe: Vec<&Call> =
            calls.iter().filter(|call| contains(&call.bytes, &body)).collect();
        for name in ["write", "read"] {
            // The message goes to the engine, to Echo, to the engine, and to Probe.
            let hops: Vec<_> = of_probe.iter().filter(|call| call.name == name).collect();
            assert_eq!(hops.len(), 4, "{name} of call {number}: {hops:#?}");
            for call in hops {
                assert_eq!(call.result, Some((HEADER + body.len()) as i64), "{}", call.line);
                assert_eq!(call.bytes[HEADER..], body, "{}", call.line);
            }
        }
    }
    engine.stop();
}

#[test]
fn the_engine_makes_no_network_call_for_an_internal_call() {
    if !strace::is_installed() {
        return;
    }
    let (engine, trace) = start();
    assert_eq!(engine.text("Probe", PROBES.to_string()), "probed");
    let last = probe(PROBES);
    let calls = wait_for("the trace to be written", || {
        let calls = trace.threads().remove(&engine.pid())?;
        (calls.iter().filter(|call| contains(&call.bytes, &last)).count() >= 4).then_some(calls)
    });
    let has = |call: &&Call, number| contains(&call.bytes, &probe(number));
    let first = calls.iter().position(|call| has(&call, FIRST_SETTLED)).unwrap();
    let last = calls.iter().rposition(|call| has(&call, PROBES)).unwrap();
    let between = &calls[first..=last];
    for call in between {
        assert!(!NETWORK.contains(&call.name.as_str()), "{}", call.line);
        let moves_bytes = ["read", "readv", "write", "writev"].contains(&call.name.as_str());
        assert!(!moves_bytes || call.is_on_channel(), "{}", call.line);
    }
    // For each call, the engine reads and writes the request and the answer, and nothing else.
    let count = |name: &str| {
        between.iter().filter(|call| call.name == name && call.is_on_channel()).count()
    };
    let expected = 2 * (PROBES - FIRST_SETTLED + 1);
    assert_eq!((count("read"), count("write")), (expected, expected));
    engine.stop();
}

#[test]
fn the_payload_of_a_large_call_does_not_go_over_the_pipes() {
    if !strace::is_installed() {
        return;
    }
    let (engine, trace) = start();
    assert_eq!(engine.text("ProbeBig", ""), "65536");
    // The answer came after all system calls under test, but strace may still be writing them down.
    wait_for("the trace to be written", || {
        on_channels(&trace)
            .iter()
            .any(|call| call.name == "write" && call.bytes.ends_with(b"65536"))
            .then_some(())
    });
    let calls = on_channels(&trace);
    let messages =
        calls.iter().filter(|call| call.name == "write" && call.result.is_some()).count();
    assert!(messages >= 6, "{messages} messages of two calls");
    for call in &calls {
        assert!(call.result.unwrap_or(0) <= MAX_MESSAGE as i64, "{}", call.line);
        assert!(!contains(&call.bytes, b"bigger-than-any-message."), "{}", call.line);
    }
    engine.stop();
}
