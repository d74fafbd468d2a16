//! Tests of workers that lie (see tests/workers/raw/lies.rs) and of processes that are not workers:
//! their calls end with an error, and the calls of other functions go on.

#[path = "../wire/raw.rs"]
mod raw;

use harness::hostile::{EchoTime, LIMITS, MEMORY, call_among_others};
use harness::process::{descriptors, is_alive, signal};
use harness::workers::c;
use harness::{Engine, Load, Setup, private_memory, wait_for, wait_until};
use nightcore_runtime::ipc::socket;
use nix::sys::signal::Signal;
use raw::{ControlKind, RawControl};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

const RAW: &str = env!("CARGO_BIN_EXE_nightcore-test-raw-worker");
/// The maximum size of the output of a function's worker, including the engine's messages about it.
const LOG_BYTES: usize = 1 << 20;

/// Starts an engine with this function of the raw worker, and Echo.
fn engine(channel: &str, function: &str) -> Engine {
    let setup = Setup::new().channel(channel).gateway("max_body = \"1MiB\"");
    let setup = setup.command(function, &[RAW, "lies"], LIMITS);
    setup.functions(&["Echo"], &c()).start()
}

/// Checks that the liar's process was replaced, and that the engine was not harmed.
#[track_caller]
fn assert_replaced(engine: Engine, function: &str, before: i32, memory: u64) {
    wait_until(&format!("the process {before} of {function} to be ended"), || !is_alive(before));
    wait_for(&format!("another process of {function}"), || {
        engine.function(function).processes.first().map(|p| p.pid).filter(|pid| *pid != before)
    });
    let more = private_memory(engine.pid()).saturating_sub(memory);
    assert!(more < MEMORY, "{function}: {} KiB more", more / 1024);
    assert!(
        engine.stderr().len() < LOG_BYTES,
        "{function}: the engine said {} bytes",
        engine.stderr().len()
    );
    assert_eq!(engine.text("Echo", "fine"), "fine");
    engine.stop();
}

/// Checks over both channels that the call ends with one of these errors, and that all works as
/// before afterwards.
#[track_caller]
fn assert_harms_itself_only(function: &str, errors: &[(u16, &str)]) {
    for channel in ["fifo", "ring"] {
        let engine = engine(channel, function);
        let (container, memory) = (engine.container(function), private_memory(engine.pid()));
        let response = call_among_others(&engine, function);
        let error = if response.status == 200 { String::new() } else { response.problem().error };
        let told = (response.status, error.as_str());
        assert!(errors.contains(&told), "{function} over {channel}: {told:?}, {}", response.text());
        assert_replaced(engine, function, container, memory);
    }
}

const DIED: (u16, &str) = (502, "CONTAINER_DIED");
const LATE: (u16, &str) = (504, "DEADLINE_EXCEEDED");

#[test]
fn a_worker_that_answers_twice_has_answered_once() {
    for channel in ["fifo", "ring"] {
        let engine = engine(channel, "AnswersTwice");
        let (container, memory) = (engine.container("AnswersTwice"), private_memory(engine.pid()));
        let response = call_among_others(&engine, "AnswersTwice");
        assert_eq!((response.status, response.text().as_str()), (200, "first"));
        assert_replaced(engine, "AnswersTwice", container, memory);
    }
}

#[test]
fn a_worker_that_speaks_of_calls_that_are_not_its_own_is_ended() {
    for function in ["AnswersForOthers", "CallsForOthers", "IsReadyTwice", "FailsWithNoError"] {
        assert_harms_itself_only(function, &[DIED]);
    }
}

#[test]
fn a_container_has_one_caller_and_its_workers_are_none() {
    for function in ["CallsAlone", "AsksForCallers"] {
        assert_harms_itself_only(function, &[DIED]);
    }
}

#[test]
fn a_worker_that_lies_about_lengths_is_ended_or_late() {
    assert_harms_itself_only("SaysMoreThanFits", &[DIED]);
    // Over a pipe, the engine still waits for the rest.
    assert_harms_itself_only("SaysMoreThanItSends", &[DIED, LATE]);
}

#[test]
fn a_worker_whose_bodies_are_over_the_limit_is_ended() {
    // None of Nightcore's runtimes sends such a body. With them the answer fails in the handler.
    for function in ["AnswersOverTheLimit", "CallsOverTheLimit"] {
        assert_harms_itself_only(function, &[DIED]);
    }
}

#[test]
fn a_worker_that_names_memory_that_is_not_its_own_is_ended() {
    for function in
        ["NamesNoRegion", "NamesEnginesRegion", "NamesBlockBeyond", "NamesLastBlockThereCouldBe"]
    {
        assert_harms_itself_only(function, &[DIED]);
    }
}

#[test]
fn a_worker_that_talks_without_end_delays_nobody() {
    assert_harms_itself_only("AsksAndNeverReads", &[DIED, LATE]);
    assert_harms_itself_only("TalksForEver", &[LATE]);
}

#[test]
fn a_container_that_misuses_its_control_socket_is_ended() {
    for function in ["GarblesItsSocket", "GreetsAgain", "PassesDescriptors", "FailsWorkersForEver"]
    {
        assert_harms_itself_only(function, &[DIED]);
    }
}

#[test]
fn a_container_that_wants_memory_without_end_gets_its_budget() {
    assert_harms_itself_only("WantsMemoryForEver", &[LATE]);
}

#[test]
fn a_socket_that_outlives_its_process_keeps_no_call_open() {
    assert_harms_itself_only("LeavesItsSocketToAChild", &[DIED]);
}

/// Connects to the engine's control socket, as any process of its user can.
fn stranger(engine: &Engine) -> Option<OwnedFd> {
    socket::connect_to(&engine.home().directory().join("control.sock")).ok()
}

#[test]
fn strangers_at_the_control_socket_are_sent_away_and_leave_nothing() {
    const STRANGERS: usize = 300;
    let engine = engine("ring", "TalksForEver");
    assert_eq!(engine.text("Echo", "before"), "before");
    let settled = || descriptors(engine.pid()).len();
    let before = settled();
    let others = Load::start(engine.address(), 2, "Echo", b"others");
    // The token is unknown, and more descriptors come with it than with any valid message.
    let hello = RawControl {
        version: 2,
        oldest_version: 1,
        token: [7; 16],
        ..RawControl::new(ControlKind::Hello)
    };
    for _ in 0..STRANGERS {
        let connection = stranger(&engine).expect("the engine listens");
        let many = [connection.as_fd(); 8];
        // This fails if the engine refuses it or has closed the connection already.
        let _ = raw::send(connection.as_fd(), hello, "raw\nEcho", &many);
    }
    // Some processes send nothing, and some send half a greeting.
    let silent: Vec<OwnedFd> = (0..STRANGERS).filter_map(|_| stranger(&engine)).collect();
    for connection in silent.iter().step_by(2) {
        let _ = nix::unistd::write(connection, &[1, 0, 0, 0, 2]);
    }
    // The engine closes the silent connections after five seconds, although the processes stay.
    wait_until("the strangers to be sent away", || settled() <= before + 8);
    drop(silent);
    for outcome in others.stop() {
        assert_eq!(outcome.status, Some(200), "{outcome:?}");
    }
    wait_until("the strangers to be forgotten", || settled() <= before);
    // A container that connects now is accepted.
    let container = engine.container("Echo");
    signal(container, Signal::SIGKILL);
    wait_until("another container to answer", || engine.call("Echo", "x").status == 200);
    engine.stop();
}

#[test]
fn a_worker_has_no_more_internal_calls_than_it_may_and_cancelling_costs_little() {
    const REQUESTS: usize = 60;
    for channel in ["fifo", "ring"] {
        let setup = Setup::new().channel(channel).command(
            "CallsWithoutEnd",
            &[RAW, "lies-of-loops"],
            "timeout = \"1m\"",
        );
        let setup = setup.function("Sleep", &c(), "queue = { calls = 100000 }\ntimeout = \"1m\"");
        let engine = setup.functions(&["Echo"], &c()).start();
        let quiet = EchoTime::measure(&engine);
        let mut clients: Vec<_> = (0..REQUESTS).map(|_| engine.connect()).collect();
        for client in &mut clients {
            client.send("POST", "/function/CallsWithoutEnd", &[], b"").unwrap();
        }
        engine.wait_for_log("CallsWithoutEnd", "all calls are made");
        assert_eq!(engine.function("Sleep").internal, 1024, "over {channel}");
        quiet.assert_alike_now(&engine);
    }
}

#[test]
fn a_container_that_has_regions_made_without_end_slows_nobody() {
    const HOSTILE: &str = "ChangesRegionsWithoutEnd";
    let setup = Setup::new().channel("ring").command(HOSTILE, &[RAW, "lies"], "timeout = \"1m\"");
    let engine = setup.functions(&["Echo"], &c()).start();
    let quiet = EchoTime::measure(&engine);
    let mut client = engine.connect();
    let began = Instant::now();
    client.send("POST", &format!("/function/{HOSTILE}"), &[], b"").unwrap();
    engine.wait_for_log(HOSTILE, "three hundred regions were made");
    // Each region takes two messages. 256 messages may arrive at once, and then one every 4 ms.
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "it was not held to its pace: {took:?}");
    quiet.assert_alike_now(&engine);
}
