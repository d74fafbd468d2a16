//! Tests that a process that writes random bytes to its direct channels harms only its own calls.

use harness::workers::{c, event_loop};
use harness::{Engine, Load, Setup, private_memory, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// More time than any call with an honest peer needs.
const PROMPTLY: Duration = Duration::from_secs(2);
const SCRIBBLES: u32 = 12;

/// The programs of an honest caller and an honest callee.
struct Honest {
    call: PathBuf,
    echo: PathBuf,
}

fn threads() -> Honest {
    Honest { call: c(), echo: c() }
}

fn loops() -> Honest {
    Honest { call: event_loop(), echo: event_loop() }
}

fn engine(honest: &Honest) -> Engine {
    let lines = "timeout = \"500ms\"\ngrace = \"300ms\"";
    Setup::new()
        .channel("ring")
        .function("Call", &honest.call, "")
        .function("Echo", &honest.echo, "")
        .function("Scribble", &c(), lines)
        .start()
}

/// Calls `function` repeatedly with this body, in which a number replaces SEED. Checks that other
/// calls are not disturbed. `lent` names the function whose workers are leased for these calls.
fn scribble(honest: &Honest, function: &str, body: &str, lent: &str) {
    let engine = engine(honest);
    let bodies = |seed: u32| body.replace("SEED", &seed.to_string());
    let memory = private_memory(engine.pid());
    let others = Load::start(engine.address(), 2, "Call", b"Echo\nothers");
    let mut found = 0;
    for seed in 1..=SCRIBBLES {
        wait_until("a lease", || {
            for _ in 0..10 {
                let _ = engine.call(function, bodies(0));
            }
            engine.function(lent).leases > 0
        });
        let response = engine.call(function, bodies(seed * 7919));
        found += response.text().parse::<u32>().unwrap_or(1);
        // The calls may end in any way. After that, calls are answered again.
        wait_until("an answer", || engine.call(function, bodies(0)).status == 200);
    }
    assert!(found >= SCRIBBLES / 2, "only {found} channels were scribbled on");
    let before = others.ended();
    wait_until("others to be answered", || others.ended() > before + 50);
    for outcome in others.stop() {
        assert_eq!((outcome.status, outcome.text.as_str()), (Some(200), "others"));
        assert!(outcome.ended - outcome.began < PROMPTLY, "{:?}", outcome.ended - outcome.began);
    }
    for name in ["Call", "Echo"] {
        assert_eq!(engine.function(name).restarts, 0, "{name}");
    }
    let more = private_memory(engine.pid()).saturating_sub(memory);
    assert!(more < 24 << 20, "{} KiB more", more / 1024);
    engine.stop();
}

#[test]
fn a_callee_that_scribbles_harms_its_own_calls_only() {
    scribble(&threads(), "Call", "Scribble\nSEED\n", "Scribble");
}

#[test]
fn a_caller_that_scribbles_harms_its_own_calls_only() {
    scribble(&threads(), "Scribble", "SEED\nEcho", "Echo");
}

#[test]
fn a_callee_that_scribbles_harms_no_other_call_of_a_loop() {
    scribble(&loops(), "Call", "Scribble\nSEED\n", "Scribble");
}

#[test]
fn a_caller_that_scribbles_harms_no_other_call_of_a_loop() {
    scribble(&loops(), "Scribble", "SEED\nEcho", "Echo");
}
