//! Tests of calls by direct channels with an event loop on one or both sides, under faults.

use harness::process::{descriptor_count, freeze, is_alive, signal, thaw, threads};
use harness::workers::{c, event_loop};
use harness::{Engine, Load, Setup, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest time that a process on a busy machine needs for work that takes no time itself.
const PROMPTLY: Duration = Duration::from_millis(500);

/// A name, and the programs of a caller and of a callee.
type Pair = (&'static str, PathBuf, PathBuf);

/// Returns all pairs that include an event loop.
fn pairs() -> [Pair; 3] {
    [
        ("loop calls thread", event_loop(), c()),
        ("thread calls loop", c(), event_loop()),
        ("loop calls loop", event_loop(), event_loop()),
    ]
}

fn engine((_, caller, callee): &Pair, lines: &str) -> Engine {
    let setup = Setup::new().channel("ring").gateway("max_body = \"8MiB\"");
    setup.function("Call", caller, lines).function("Echo", callee, "").start()
}

/// Makes calls until workers of Echo are lent.
#[track_caller]
fn warm(engine: &Engine) {
    let mut connection = engine.connect();
    wait_until("a lease", || {
        for _ in 0..20 {
            let _ = connection.call("Call", b"Echo\nwarm");
        }
        engine.function("Echo").leases > 0
    });
}

/// Waits until no call is queued or under way.
#[track_caller]
fn quiet(engine: &Engine) {
    wait_until("all calls to have ended", || {
        engine.status().functions.iter().all(|f| f.queued + f.running + f.waiting == 0)
    });
}

#[test]
fn payloads_of_all_sizes_come_through_as_they_are() {
    for pair in pairs() {
        let engine = engine(&pair, "");
        for size in [0, 1, 940, 959, 960, 961, 4095, 4096, 64 << 10, 1 << 20, 4 << 20] {
            warm(&engine);
            let body = harness::pattern(size);
            let answer = engine.answer("Call", [b"Echo\n", &body[..]].concat());
            assert!(answer == body, "{}, {size} bytes", pair.0);
        }
        engine.stop();
    }
}

#[test]
fn killed_callees_and_callers_end_calls_at_once() {
    for pair in pairs() {
        for victim in ["Echo", "Call"] {
            let engine = engine(&pair, "");
            warm(&engine);
            let load = Load::start(engine.address(), 6, "Call", b"Echo\nbody");
            wait_until("calls to be answered", || load.ended() > 200);
            let killed = engine.container(victim);
            signal(killed, Signal::SIGKILL);
            wait_until("another process", || {
                let function = engine.function(victim);
                function.restarts == 1 && function.processes.iter().any(|p| p.pid != killed)
            });
            let ended = load.ended();
            wait_until("calls to be answered again", || load.ended() > ended + 200);
            for outcome in load.stop() {
                let took = outcome.ended - outcome.began;
                assert!(took < Duration::from_secs(2), "{} {victim}: {took:?}", pair.0);
                let is_typed =
                    outcome.text.contains("CONTAINER_DIED") || outcome.text.contains("UNAVAILABLE");
                assert!(outcome.status == Some(200) || is_typed, "{} {outcome:?}", pair.0);
            }
            quiet(&engine);
            engine.stop();
        }
    }
}

#[test]
fn sides_that_are_stopped_for_a_while_lose_no_call() {
    for pair in pairs() {
        let engine = engine(&pair, "");
        warm(&engine);
        let load = Load::start(engine.address(), 4, "Call", b"Echo\nbody");
        for function in ["Echo", "Call", "Echo", "Call"] {
            let process = engine.container(function);
            freeze(process);
            let until = Instant::now() + Duration::from_millis(300);
            wait_until("some time to pass", || Instant::now() >= until);
            thaw(process);
            let ended = load.ended();
            wait_until("calls to go on", || load.ended() > ended + 200);
        }
        for outcome in load.stop() {
            let told = (outcome.status, outcome.text.as_str());
            assert_eq!(told, (Some(200), "body"), "{}", pair.0);
        }
        quiet(&engine);
        engine.stop();
    }
}

#[test]
fn reloads_of_either_side_fail_no_call_and_leave_nothing() {
    for pair in pairs() {
        for (reloaded, stays) in [("Call", "Echo"), ("Echo", "Call")] {
            let engine = engine(&pair, "");
            warm(&engine);
            let load = Load::start(engine.address(), 8, "Call", b"Echo\nbody");
            let have = || {
                let (of_engine, stays) = (engine.pid(), engine.container(stays));
                (descriptor_count(of_engine), descriptor_count(stays), threads(stays).len())
            };
            let mut before = None;
            for round in 0..12 {
                let old = engine.container(reloaded);
                let reload = engine.nightcore("reload", &[reloaded]);
                assert_eq!(reload.code, Some(0), "{}", reload.stderr);
                wait_until("the old process to leave", || !is_alive(old));
                let ended = load.ended();
                wait_until("calls to go on", || load.ended() > ended + 100);
                wait_until("leases", || engine.function("Echo").leases > 0);
                if round == 1 {
                    before = Some(have());
                }
            }
            for outcome in load.stop() {
                let told = (outcome.status, outcome.text.as_str());
                assert_eq!(told, (Some(200), "body"), "{} {reloaded}", pair.0);
            }
            quiet(&engine);
            // The number of leases may differ by a few, but not tenfold.
            let (before, now) = (before.unwrap(), have());
            let text = format!("{} {reloaded}: {before:?} became {now:?}", pair.0);
            assert!(now.0 <= before.0 + 20, "{text}");
            assert!(now.1 <= before.1 + 40 && now.2 <= before.2 + 12, "{text}");
            engine.stop();
        }
    }
}

#[test]
fn a_deadline_is_told_on_time_by_a_callee_that_is_stopped() {
    for pair in pairs() {
        let engine = engine(&pair, "timeout = \"400ms\"");
        for _ in 0..2 {
            warm(&engine);
            let callee = engine.container("Echo");
            freeze(callee);
            let began = Instant::now();
            let response = engine.call("Call", b"Echo\nbody");
            let took = began.elapsed();
            thaw(callee);
            assert_eq!(response.problem().error, "DEADLINE_EXCEEDED", "{}", pair.0);
            let at = Duration::from_millis(400);
            assert!(took >= at && took < at + PROMPTLY, "{}: {took:?}", pair.0);
            quiet(&engine);
        }
        engine.stop();
    }
}

#[test]
fn calls_that_are_taken_back_at_once_end_as_cancelled() {
    for callee in [c(), event_loop()] {
        let engine = Setup::new()
            .channel("ring")
            .function("Give", &event_loop(), "")
            .function("Echo", &callee, "")
            .start();
        let load = Load::start(engine.address(), 4, "Give", b"Echo\nbody");
        let mut most = 0;
        wait_until("calls to end", || {
            most = engine.function("Echo").leases.max(most);
            load.ended() > 3000
        });
        let mut cancelled = 0;
        for outcome in load.stop() {
            let is_cancelled = outcome.text.contains("\"CANCELLED\"");
            cancelled += usize::from(is_cancelled);
            assert!(outcome.status == Some(200) || is_cancelled, "{outcome:?}");
        }
        println!("{cancelled} were cancelled, at most {most} leases");
        assert!(cancelled > 0);
        quiet(&engine);
        engine.stop();
    }
}

#[test]
fn a_client_that_leaves_ends_the_handlers_of_loops_below() {
    for caller in [c(), event_loop()] {
        let engine = Setup::new()
            .channel("ring")
            .function("Call", &caller, "")
            .function("Wait", &event_loop(), "")
            .start();
        for round in 0..12 {
            let mut client = engine.connect();
            client.send("POST", "/function/Call", &[], b"Wait\n").unwrap();
            wait_until("it to run", || {
                let wait = engine.function("Wait");
                wait.running + wait.waiting == 1
            });
            drop(client);
            wait_until_within(&format!("the end, round {round}"), PROMPTLY, || {
                engine.status().functions.iter().all(|f| f.queued + f.running + f.waiting == 0)
            });
        }
        engine.wait_for_log("Wait", "cancelled");
        engine.stop();
    }
}

#[test]
fn a_callee_that_heeds_its_deadline_is_told_of_as_late() {
    let engine = Setup::new()
        .channel("ring")
        .function("CallWithin", &c(), "")
        .function("Wait", &event_loop(), "")
        .start();
    // Caller and callee notice the deadline at the same time.
    let load = Load::start(engine.address(), 8, "CallWithin", b"2\nWait\n");
    wait_until("a lease", || engine.function("Wait").leases > 0);
    let ended = load.ended();
    wait_until("more calls to end", || load.ended() > ended + 2_000);
    for outcome in load.stop() {
        assert!(outcome.text.starts_with("DEADLINE_EXCEEDED\n"), "{outcome:?}");
    }
    engine.stop();
}
