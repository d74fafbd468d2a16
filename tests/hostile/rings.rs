//! Tests of workers that misuse their rings (see tests/workers/raw/wrongs.rs). Whatever they write,
//! the engine and the other functions go on, and nothing is left behind.

use harness::hostile::{LIMITS, MEMORY, call_among_others};
use harness::process::is_alive;
use harness::workers::c;
use harness::{
    Engine, FunctionStatus, Possessions, Response, Setup, private_memory, wait_for, wait_until,
};
use std::time::{Duration, Instant};

const RAW: &str = env!("CARGO_BIN_EXE_nightcore-test-raw-worker");
/// The time after its start before which a container that ends counts as failing. Such a container
/// is restarted with growing delays.
const PROVEN_AFTER: Duration = Duration::from_millis(600);

/// Starts an engine with these functions of the raw worker, and Echo.
fn engine(functions: &[&str]) -> Engine {
    engine_with(functions, LIMITS)
}

/// Does the same, with these lines in the tables of the functions.
fn engine_with(functions: &[&str], lines: &str) -> Engine {
    // The number of Echo's workers is fixed, so that its resources can be counted.
    let setup =
        Setup::new().channel("ring").function("Echo", &c(), "workers = { min = 2, max = 2 }");
    functions.iter().fold(setup, |setup, name| setup.command(name, &[RAW, "ring"], lines)).start()
}

/// Waits until a container has been replaced, and returns the process id of the new one.
#[track_caller]
fn wait_for_another(engine: &Engine, function: &str, before: i32) -> i32 {
    wait_until(&format!("the process {before} of {function} to be ended"), || !is_alive(before));
    wait_for(&format!("another process of {function}"), || {
        let processes = engine.function(function).processes;
        processes.first().map(|process| process.pid).filter(|pid| *pid != before)
    })
}

#[track_caller]
fn assert_died(function: &str, response: &Response, why: &str) {
    let problem = response.problem();
    assert_eq!((response.status, problem.error.as_str()), (502, "CONTAINER_DIED"), "{function}");
    assert!(problem.detail.contains(why), "{function}: {}", problem.detail);
}

#[track_caller]
fn assert_late(function: &str, response: &Response) {
    assert_eq!(
        (response.status, response.problem().error.as_str()),
        (504, "DEADLINE_EXCEEDED"),
        "{function}"
    );
}

#[test]
fn a_worker_that_announces_what_is_no_message_is_ended() {
    for (function, why) in [
        ("Garbage", "kind"),
        ("MoreThanThereIs", "lines are said to be in a ring of 128"),
        ("PartOfMessage", "inside a message"),
        ("Unwritten", "lines are said to be in a ring of 128"),
    ] {
        let engine = engine(&[function]);
        let container = engine.container(function);
        let response = call_among_others(&engine, function);
        assert_died(function, &response, "broke the protocol");
        assert_died(function, &response, why);
        wait_for_another(&engine, function, container);
        engine.stop();
    }
}

/// Checks that a call ends by its deadline while others go on, and that its process is replaced.
#[track_caller]
fn assert_late_and_replaced(function: &str) {
    let engine = engine(&[function]);
    let container = engine.container(function);
    let response = call_among_others(&engine, function);
    assert_late(function, &response);
    wait_for_another(&engine, function, container);
    engine.stop();
}

#[test]
fn a_worker_that_lies_about_what_it_has_read_harms_itself_only() {
    for function in ["ReadsBackwards", "ReadsBeyond"] {
        assert_late_and_replaced(function);
    }
}

#[test]
fn a_worker_that_asks_and_never_reads_is_ended_before_it_costs_memory() {
    // This is longer than the time to fill the engine's buffers for the worker, also on a busy
    // machine.
    let engine = engine_with(&["NeverReads"], "timeout = \"10s\"\n");
    let container = engine.container("NeverReads");
    let before = private_memory(engine.pid());
    let response = call_among_others(&engine, "NeverReads");
    let more = private_memory(engine.pid()).saturating_sub(before);
    assert!(more < MEMORY, "{} KiB more", more / 1024);
    assert_died("NeverReads", &response, "broke the protocol");
    wait_for_another(&engine, "NeverReads", container);
    engine.stop();
}

#[test]
fn a_worker_that_rings_or_talks_without_end_delays_nobody() {
    for function in ["RingsWithoutEnd", "TalksWithoutEnd"] {
        assert_late_and_replaced(function);
    }
}

/// Makes calls until the engine has parked before the answer of a call came. Before it parks, it
/// may have polled once more.
#[track_caller]
fn call_unheard(engine: &Engine) -> Response {
    wait_for("an answer to be unheard", || {
        Some(engine.call("NeverRings", "")).filter(|response| response.text() != "seen")
    })
}

#[test]
fn a_call_whose_answer_is_not_rung_for_ends_at_its_deadline() {
    let engine = engine(&["NeverRings"]);
    let container = engine.container("NeverRings");
    assert_late("NeverRings", &call_unheard(&engine));
    wait_for_another(&engine, "NeverRings", container);
    assert_eq!(engine.text("Echo", "fine"), "fine");
    engine.stop();
}

#[test]
fn a_message_that_a_worker_wrote_before_it_died_counts() {
    let engine = engine(&["DiesBeforeBell"]);
    let container = engine.container("DiesBeforeBell");
    assert_eq!(engine.text("DiesBeforeBell", ""), "last words");
    wait_for_another(&engine, "DiesBeforeBell", container);
    let function = engine.function("DiesBeforeBell");
    assert_eq!((function.answered, function.last_end.as_deref()), (1, Some("signal SIGKILL")));
    engine.stop();
}

#[test]
fn a_worker_that_dies_with_a_full_ring_takes_its_calls_with_it() {
    let engine = engine(&["FillsAndDies"]);
    let container = engine.container("FillsAndDies");
    let response = call_among_others(&engine, "FillsAndDies");
    assert_died("FillsAndDies", &response, "that ran it");
    wait_until("its calls to have ended", || {
        let status = engine.status();
        status
            .functions
            .iter()
            .all(|function| function.running + function.waiting + function.queued == 0)
    });
    // The engine has read the ring to its end.
    assert!(engine.function("Echo").internal >= 7, "{:?}", engine.function("Echo"));
    wait_for_another(&engine, "FillsAndDies", container);
    engine.stop();
}

#[test]
fn a_worker_that_closes_its_bell_and_talks_on_is_not_listened_to() {
    let engine = engine(&["ClosesAndTalksOn"]);
    let response = call_among_others(&engine, "ClosesAndTalksOn");
    assert_died("ClosesAndTalksOn", &response, "has ended");
    engine.stop();
}

#[test]
fn a_worker_that_sets_flags_at_random_is_served() {
    let engine = engine(&["FlagsAtRandom"]);
    for _ in 0..200 {
        assert_eq!(engine.text("FlagsAtRandom", "body"), "body");
    }
    call_among_others(&engine, "FlagsAtRandom");
    engine.stop();
}

#[test]
fn a_message_that_changes_after_it_was_announced_is_a_message_or_an_error() {
    let engine = engine(&["ChangesWhatItSaid"]);
    wait_until("what it says to break a rule three times", || {
        let response = call_among_others(&engine, "ChangesWhatItSaid");
        let text = response.text();
        assert!(
            [200, 404, 413, 499, 500, 502, 503, 504].contains(&response.status),
            "{}: {text}",
            response.status
        );
        engine.stderr().matches("a worker broke the protocol").count() >= 3
    });
    engine.stop();
}

#[test]
fn workers_that_misused_their_rings_leave_nothing() {
    const ROUNDS: u64 = 3;
    let ended = ["Garbage", "MoreThanThereIs", "PartOfMessage", "Unwritten", "NeverReads"];
    let died = ["DiesBeforeBell", "FillsAndDies"];
    let stuck = ["ReadsBackwards", "ReadsBeyond", "RingsWithoutEnd", "NeverRings"];
    let functions = [&ended[..], &died, &stuck].concat();
    let engine = engine(&functions);
    let workers_are_ready = || {
        let is_ready = |f: &FunctionStatus| f.workers == if f.name == "Echo" { 2 } else { 1 };
        engine.status().functions.iter().all(is_ready)
    };
    let round = || {
        wait_until("the workers to be ready", workers_are_ready);
        let ready_since = Instant::now();
        wait_until("the containers to have proven themselves", || {
            ready_since.elapsed() > PROVEN_AFTER
        });
        let containers: Vec<i32> =
            functions.iter().map(|function| engine.container(function)).collect();
        for function in &functions {
            match *function {
                "NeverRings" => call_unheard(&engine),
                function => engine.call(function, ""),
            };
        }
        for (function, container) in functions.iter().zip(containers) {
            wait_for_another(&engine, function, container);
        }
        wait_until("the workers to be ready", workers_are_ready);
        assert_eq!(engine.text("Echo", "fine"), "fine");
    };
    round();
    let (before, memory) = (Possessions::of(&engine), private_memory(engine.pid()));
    (1..ROUNDS).for_each(|_| round());
    before.assert_no_more(&engine);
    let more = private_memory(engine.pid()).saturating_sub(memory);
    assert!(more < MEMORY, "{} KiB more", more / 1024);
    // None of them ended another function's container.
    for function in engine.status().functions {
        let restarts = if functions.contains(&function.name.as_str()) { ROUNDS } else { 0 };
        assert_eq!(function.restarts, restarts, "{}", function.name);
    }
    engine.stop();
}
