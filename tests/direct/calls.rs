//! Tests of calls by direct channels, under load and under faults: a caller gets the same errors as
//! through the engine, and leases end when they have to.

use harness::process::{freeze, is_alive, signal, thaw};
use harness::workers::{c, loop_work};
use harness::{Engine, Load, Outcome, Setup, wait_for, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest time that a process on a busy machine needs for work that takes no time itself.
const PROMPTLY: Duration = Duration::from_millis(500);

/// Makes calls until workers of `callees` are lent.
#[track_caller]
fn warm(engine: &Engine, caller: &str, body: impl AsRef<[u8]>, callees: &[&str]) {
    let mut connection = engine.connect();
    wait_until(&format!("leases of {callees:?}"), || {
        for _ in 0..20 {
            let response = connection.call(caller, body.as_ref());
            assert_eq!(response.status, 200, "{}", response.text());
        }
        callees.iter().all(|callee| engine.function(callee).leases > 0)
    });
}

/// Waits until no call is queued or under way.
#[track_caller]
fn quiet(engine: &Engine) {
    wait_until("all calls to have ended", || {
        engine.status().functions.iter().all(|f| f.queued + f.running + f.waiting == 0)
    });
}

/// Checks that a call succeeded, or failed with one of these errors as the cause of all others.
fn assert_typed(outcome: &Outcome, errors: &[&str]) {
    let named = errors.iter().any(|error| outcome.text.contains(&format!("\"error\":\"{error}\"")));
    assert!(outcome.status == Some(200) || (outcome.status.is_some() && named), "{outcome:?}");
}

/// Pseudorandom numbers by splitmix64. The same seed gives the same numbers.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = std::env::var("NIGHTCORE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(nightcore_runtime::clock::now_ns);
        println!("NIGHTCORE_TEST_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The number of calls that ended, by function and outcome.
type Ends = BTreeMap<(String, String), u64>;

/// Adds the outcomes that the handlers of `Work` have counted to `ends`. Returns the most handlers
/// that ran at once.
fn report(engine: &Engine, function: &str, ends: &mut Ends) -> u64 {
    let mut most = 0;
    for line in engine.text(function, "report").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number: u64 = words[2].parse().unwrap();
        match words[0] {
            "most" => most = number,
            callee => {
                let status = if words[1] == "OK" { "answered" } else { words[1] };
                *ends.entry((callee.to_owned(), status.to_owned())).or_default() += number;
            }
        }
    }
    most
}

/// Returns the error in an answer, or "answered".
fn outcome(response: &harness::Response) -> String {
    if response.status == 200 { "answered".to_owned() } else { response.problem().error }
}

#[test]
fn limits_hold_and_counts_add_up_under_random_load_of_threads() {
    limits_hold_and_counts_add_up([c(), c(), c()]);
}

#[test]
fn limits_hold_and_counts_add_up_under_random_load_of_event_loops() {
    limits_hold_and_counts_add_up([loop_work(), loop_work(), loop_work()]);
}

#[test]
fn limits_hold_and_counts_add_up_under_random_load_of_both() {
    limits_hold_and_counts_add_up([c(), loop_work(), loop_work()]);
}

fn limits_hold_and_counts_add_up(programs: [PathBuf; 3]) {
    const CLIENTS: u64 = 12;
    const WORKS: [&str; 3] = ["WorkA", "WorkB", "WorkC"];
    const MAX: [u64; 3] = [4, 2, 3];
    let mut setup = Setup::new().channel("ring");
    for ((name, max), program) in WORKS.iter().zip(MAX).zip(&programs) {
        let lines = format!(
            "timeout = \"10s\"\nmax_depth = 4\nworkers = {{ max = {max} }}\n\
             queue = {{ calls = 30 }}"
        );
        setup = setup.function(name, program, &lines);
    }
    let engine = setup.start();
    let mut random = Random::new();
    let stop = AtomicBool::new(false);
    let (mut external, mut most_leases): (Ends, u32) = (Ends::new(), 0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut random = Random(random.below(u64::MAX));
                let (engine, stop) = (&engine, &stop);
                scope.spawn(move || {
                    let mut ends = Ends::new();
                    let mut connection = engine.connect();
                    while !stop.load(Ordering::Relaxed) {
                        let name = WORKS[random.below(3) as usize];
                        let mut body = random.below(300).to_string();
                        for _ in 0..random.below(7) {
                            let next = WORKS[random.below(3) as usize];
                            body += &format!(" {next} {}", random.below(300));
                        }
                        // Some calls have a short timeout.
                        let ms = match random.below(16) {
                            0 => 1 + random.below(5),
                            _ => 10_000,
                        };
                        let ms = ms.to_string();
                        let path = format!("/function/{name}");
                        let headers = [("x-timeout-ms", ms.as_str())];
                        let response = connection.request("POST", &path, &headers, body.as_bytes());
                        *ends.entry((name.to_owned(), outcome(&response))).or_default() += 1;
                    }
                    ends
                })
            })
            .collect();
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let status = engine.status();
            most_leases = most_leases.max(status.functions.iter().map(|f| f.leases).sum());
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            for (end, count) in client.join().unwrap() {
                *external.entry(end).or_default() += count;
            }
        }
    });
    assert!(most_leases > 0, "no worker was ever lent");
    quiet(&engine);
    let mut internal = Ends::new();
    for (name, max) in WORKS.iter().zip(MAX) {
        let most = report(&engine, name, &mut internal);
        assert!(most <= max, "{most} handlers of {name} ran at once");
        *external.entry(((*name).to_owned(), "answered".to_owned())).or_default() += 1;
    }
    println!("{most_leases} leases; external {external:?}; internal {internal:?}");
    // The engine reads the counts of direct calls several times a second, and when `ps` asks for
    // them.
    let (mut told_external, mut told_internal) = (Ends::new(), Ends::new());
    for function in engine.status().functions {
        for (ends, told) in [
            (function.ended.external, &mut told_external),
            (function.ended.internal, &mut told_internal),
        ] {
            for (end, count) in ends.into_iter().filter(|(_, count)| *count > 0) {
                told.insert((function.name.clone(), end), count);
            }
        }
        assert_eq!(function.restarts, 0);
    }
    assert_eq!(told_external, external);
    assert_eq!(told_internal, internal);
    engine.stop();
}

#[test]
fn threads_that_call_each_other_in_a_ring_do_not_wait_for_ever() {
    rings_of_calls_end([&c(), &c()]);
}

#[test]
fn event_loops_that_call_each_other_in_a_ring_do_not_wait_for_ever() {
    rings_of_calls_end([&loop_work(), &loop_work()]);
}

#[test]
fn a_thread_and_an_event_loop_that_call_each_other_do_not_wait_for_ever() {
    rings_of_calls_end([&c(), &loop_work()]);
}

fn rings_of_calls_end(programs: [&Path; 2]) {
    const CLIENTS: usize = 16;
    for max in [1, 2, 3] {
        let lines = format!("timeout = \"15s\"\nworkers = {{ max = {max} }}");
        let engine = Setup::new()
            .channel("ring")
            .function("WorkA", programs[0], &lines)
            .function("WorkB", programs[1], &lines)
            .start();
        for hops in [1, 2, 3, 6] {
            let mut body = "20".to_owned();
            for hop in 0..hops {
                body += [" WorkB 20", " WorkA 20"][hop % 2];
            }
            let load = Load::start(engine.address(), CLIENTS, "WorkA", body.as_bytes());
            wait_until("calls to have ended", || load.ended() > 40 * CLIENTS);
            for outcome in load.stop() {
                let took = outcome.ended - outcome.began;
                assert!(took < Duration::from_secs(5), "max {max}, {hops} hops: {took:?}");
                assert_typed(&outcome, &["OVERLOADED"]);
            }
        }
        quiet(&engine);
        engine.stop();
    }
}

#[test]
fn a_direct_handler_that_waits_lends_its_slot_and_is_shown_as_waiting() {
    let engine = Setup::new()
        .channel("ring")
        .functions(&["Call", "FanOut", "CallC"], &c())
        .function("Sleep", &c(), "direct = false")
        .start();
    for (callee, body) in [("CallC", "CallC\nSleep\n"), ("FanOut", "FanOut\nSleep 1\n")] {
        warm(&engine, "Call", format!("{body}0"), &[callee]);
        for _ in 0..3 {
            let mut client = engine.connect();
            let body = format!("{body}600");
            client.send("POST", "/function/Call", &[], body.as_bytes()).unwrap();
            let count = |name: &str| {
                let function = engine.function(name);
                (function.running, function.waiting)
            };
            wait_until("it to sleep", || count("Sleep") == (1, 0));
            wait_until(&format!("{callee} to wait: {:?}", count(callee)), || {
                count(callee) == (0, 1) && count("Call") == (0, 1)
            });
            assert_eq!(client.receive().unwrap().status, 200);
            wait_until("it to have ended", || count(callee) == (0, 0) && count("Call") == (0, 0));
            assert!(engine.function(callee).leases > 0);
        }
    }
    engine.stop();
}

#[test]
fn a_client_that_leaves_ends_all_handlers_below() {
    let engine = Setup::new().channel("ring").functions(&["Call", "CallC", "Sleep"], &c()).start();
    for (way, callees) in [("Sleep\n", &["Sleep"][..]), ("CallC\nSleep\n", &["CallC", "Sleep"])] {
        for round in 0..10 {
            warm(&engine, "Call", format!("{way}0"), callees);
            let mut client = engine.connect();
            client.send("POST", "/function/Call", &[], format!("{way}10000").as_bytes()).unwrap();
            wait_until("it to run", || engine.function("Sleep").running == 1);
            drop(client);
            wait_until_within(&format!("the end of {way:?}, {round}"), PROMPTLY, || {
                engine.status().functions.iter().all(|f| f.queued + f.running + f.waiting == 0)
            });
        }
    }
    let cancelled = engine.function("Sleep").ended.internal["CANCELLED"];
    assert_eq!(cancelled, 20);
    engine.stop();
}

#[test]
fn a_deadline_is_told_on_time_by_a_callee_that_goes_on_or_is_stopped() {
    let lines = "grace = \"5s\"";
    let engine = Setup::new()
        .channel("ring")
        .function("CallWithin", &c(), "")
        .function("SleepStubbornly", &c(), lines)
        .start();
    let warm = || warm(&engine, "CallWithin", "1000\nSleepStubbornly\n0", &["SleepStubbornly"]);
    let late = |ms: u64| {
        let began = Instant::now();
        let told = engine.text("CallWithin", format!("{ms}\nSleepStubbornly\n400"));
        let took = began.elapsed();
        assert!(told.starts_with("DEADLINE_EXCEEDED\n"), "{told}");
        let at = Duration::from_millis(ms);
        assert!(took >= at && took < at + PROMPTLY / 2, "{took:?} instead of {ms} ms");
    };
    warm();
    late(50);
    quiet(&engine);
    warm();
    let callee = engine.container("SleepStubbornly");
    freeze(callee);
    late(100);
    thaw(callee);
    quiet(&engine);
    assert_eq!(engine.text("CallWithin", "1000\nSleepStubbornly\n0"), "slept 0");
    let callee = engine.function("SleepStubbornly");
    assert_eq!((callee.restarts, callee.ended.internal["DEADLINE_EXCEEDED"]), (0, 2));
    engine.stop();
}

#[test]
fn a_killed_callee_ends_its_calls_at_once() {
    const CLIENTS: usize = 6;
    let engine = Setup::new().channel("ring").functions(&["Call", "Sleep"], &c()).start();
    // After a third death the function would be unavailable for a while.
    for _ in 0..2 {
        warm(&engine, "Call", b"Sleep\n0", &["Sleep"]);
        let load = Load::start(engine.address(), CLIENTS, "Call", b"Sleep\n100");
        wait_until("all calls to run", || engine.function("Sleep").running as usize == CLIENTS);
        assert!(engine.function("Sleep").leases > 0);
        let before = engine.function("Sleep").restarts;
        let callee = engine.container("Sleep");
        let killed = Instant::now();
        signal(callee, Signal::SIGKILL);
        wait_until("another process", || {
            let sleep = engine.function("Sleep");
            sleep.restarts == before + 1 && !sleep.processes.is_empty()
        });
        let ended = load.ended();
        wait_until("calls to be answered again", || load.ended() > ended + CLIENTS);
        let mut died = 0;
        for outcome in load.stop() {
            assert_typed(&outcome, &["CONTAINER_DIED"]);
            if outcome.status != Some(200) {
                let took = outcome.ended.saturating_duration_since(killed);
                assert!(took < PROMPTLY, "told {took:?} after the death: {outcome:?}");
                died += 1;
            }
        }
        // A client may make one more call before the caller knows of the death.
        assert!((1..=2 * CLIENTS).contains(&died), "{died} calls ended with the process");
        let sleep = engine.function("Sleep");
        println!("{:?}, {died} died", sleep.ended);
    }
    engine.stop();
}

#[test]
fn a_killed_caller_gives_its_workers_back() {
    let engine = Setup::new().channel("ring").functions(&["Call", "Sleep"], &c()).start();
    warm(&engine, "Call", b"Sleep\n0", &["Sleep"]);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = engine.connect();
            client.send("POST", "/function/Call", &[], b"Sleep\n20000").unwrap();
            client
        })
        .collect();
    wait_until("all calls to run", || engine.function("Sleep").running == 4);
    assert!(engine.function("Sleep").leases > 0);
    signal(engine.container("Call"), Signal::SIGKILL);
    for mut client in clients {
        assert_eq!(client.receive().unwrap().problem().error, "CONTAINER_DIED");
    }
    wait_until_within("the handlers' end", 2 * PROMPTLY, || {
        let sleep = engine.function("Sleep");
        sleep.running + sleep.waiting + sleep.queued == 0
    });
    wait_until_within("the leases' end", 2 * PROMPTLY, || engine.function("Sleep").leases == 0);
    let sleep = engine.function("Sleep").ended.internal;
    assert_eq!(sleep.get("CANCELLED"), Some(&4), "{sleep:?}");
    warm(&engine, "Call", b"Sleep\n0", &["Sleep"]);
    engine.stop();
}

#[test]
fn callers_and_callees_that_are_stopped_for_a_while_lose_no_call() {
    let engine = Setup::new().channel("ring").functions(&["Call", "Echo"], &c()).start();
    warm(&engine, "Call", b"Echo\nbody", &["Echo"]);
    let load = Load::start(engine.address(), 4, "Call", b"Echo\nbody");
    for function in ["Echo", "Call", "Echo", "Call"] {
        let process = engine.container(function);
        freeze(process);
        let until = Instant::now() + Duration::from_millis(500);
        wait_until("half a second to pass", || Instant::now() >= until);
        thaw(process);
        let ended = load.ended();
        wait_until("calls to go on", || load.ended() > ended + 200);
    }
    for outcome in load.stop() {
        assert_eq!((outcome.status, outcome.text.as_str()), (Some(200), "body"));
    }
    engine.stop();
}

#[test]
fn both_sides_are_reloaded_under_load_and_no_call_fails() {
    let engine = Setup::new().channel("ring").functions(&["Call", "CallC", "Echo"], &c()).start();
    let body = b"CallC\nEcho\nbody";
    warm(&engine, "Call", body, &["CallC", "Echo"]);
    let load = Load::start(engine.address(), 4, "Call", body);
    for round in 0..12 {
        let function = ["Echo", "Call", "CallC"][round % 3];
        let before = engine.container(function);
        let reload = engine.nightcore("reload", &[function]);
        assert_eq!(reload.code, Some(0), "{}", reload.stderr);
        wait_until(&format!("the old process of {function} to leave"), || !is_alive(before));
        let ended = load.ended();
        wait_until("calls to go on", || load.ended() > ended + 100);
        wait_until("leases", || engine.function("Echo").leases > 0);
    }
    for outcome in load.stop() {
        assert_eq!((outcome.status, outcome.text.as_str()), (Some(200), "body"));
    }
    engine.stop();
}

#[test]
fn a_killed_engine_takes_all_processes_with_it() {
    let mut engine = Setup::new().channel("ring").functions(&["Call", "Sleep"], &c()).start();
    warm(&engine, "Call", b"Sleep\n0", &["Sleep"]);
    let load = Load::start(engine.address(), 4, "Call", b"Sleep\n10000");
    wait_until("all calls to run", || engine.function("Sleep").running == 4);
    engine.kill();
    engine.wait_until_gone();
    for outcome in load.stop() {
        assert_ne!(outcome.status, Some(200));
    }
}

#[test]
fn a_handler_that_does_not_end_is_replaced_and_counted() {
    let engine = Setup::new()
        .channel("ring")
        .function("CallWithin", &c(), "")
        .function("SleepStubbornly", &c(), "grace = \"200ms\"")
        .start();
    for round in 1..=3 {
        warm(&engine, "CallWithin", "1000\nSleepStubbornly\n0", &["SleepStubbornly"]);
        let before = engine.container("SleepStubbornly");
        let told = engine.text("CallWithin", "50\nSleepStubbornly\n60000");
        assert!(told.starts_with("DEADLINE_EXCEEDED\n"), "{told}");
        wait_until_within("the end of the process", Duration::from_secs(2), || !is_alive(before));
        wait_until("another process", || {
            let processes = engine.function("SleepStubbornly").processes;
            processes.iter().any(|process| process.pid != before)
        });
        quiet(&engine);
        let ended = engine.function("SleepStubbornly").ended;
        assert_eq!(ended.internal.get("DEADLINE_EXCEEDED"), Some(&round), "{ended:?}");
    }
    engine.stop();
}

#[test]
fn payloads_of_all_sizes_come_through_as_they_are() {
    let engine = Setup::new().channel("ring").functions(&["CallBig", "Echo", "Call"], &c()).start();
    warm(&engine, "CallBig", "Echo\n1", &["Echo"]);
    warm(&engine, "Call", "Echo\n1", &["Echo"]);
    let sizes = [0, 1, 959, 960, 961, 4095, 64 << 10, (64 << 10) + 1, 1 << 20, 4 << 20];
    for _ in 0..3 {
        for size in sizes {
            assert_eq!(engine.text("CallBig", format!("Echo\n{size}")), "same", "{size} bytes");
            let body = harness::pattern(size);
            let answer = engine.answer("Call", [b"Echo\n", &body[..]].concat());
            assert!(answer == body, "{size} bytes by Call");
        }
    }
    assert!(engine.function("Echo").leases >= 1);
    engine.stop();
}

#[test]
fn answers_that_are_kept_leave_room_for_the_next_one() {
    let engine = Setup::new()
        .channel("ring")
        .gateway("max_body = \"4MiB\"")
        .functions(&["KeepTwo", "Big"], &c())
        .start();
    warm(&engine, "KeepTwo", "Big\n1", &["Big"]);
    for _ in 0..10 {
        assert_eq!(engine.text("KeepTwo", format!("Big\n{}", 4 << 20)), "same");
    }
    engine.stop();
}

#[test]
fn a_child_that_a_handler_leaves_behind_harms_no_direct_call() {
    let engine = Setup::new().channel("ring").functions(&["Call", "Fork"], &c()).start();
    let mut children = Vec::new();
    let mut fork = || {
        let child: i32 = engine.text("Call", "Fork\n").parse().unwrap();
        children.push(child);
    };
    wait_until("a lease", || {
        for _ in 0..8 {
            fork();
        }
        engine.function("Fork").leases > 0
    });
    // The child has the mappings and descriptors of its parent.
    let callee = engine.container("Fork");
    signal(callee, Signal::SIGKILL);
    wait_until("a process that answers", || {
        let began = Instant::now();
        let answer = engine.call("Call", "Fork\n");
        if answer.status == 200 {
            children.push(answer.text().parse().unwrap());
        } else {
            assert_eq!(answer.problem().cause[0].error, "CONTAINER_DIED");
            assert!(began.elapsed() < PROMPTLY, "told after {:?}", began.elapsed());
        }
        engine.function("Fork").restarts == 1 && answer.status == 200
    });
    children.into_iter().for_each(|child| signal(child, Signal::SIGKILL));
    engine.stop();
}

#[test]
fn a_lease_that_is_recalled_while_its_handler_waits_for_the_engine_ends() {
    let engine = Setup::new()
        .channel("ring")
        .function("Call", &c(), "")
        .function("CallC", &c(), "workers = { max = 2 }")
        .function("Sleep", &c(), "direct = false")
        .start();
    let body = b"CallC\nSleep\n";
    warm(&engine, "Call", [&body[..], b"0"].concat(), &["CallC"]);
    let mut waits = engine.connect();
    waits.send("POST", "/function/Call", &[], &[&body[..], b"300"].concat()).unwrap();
    wait_until("it to run", || engine.function("Sleep").running == 1);
    // A call is queued now, so the engine recalls the lease.
    let load = Load::start(engine.address(), 6, "CallC", b"Sleep\n20");
    let answer = waits.receive().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "slept 300"));
    wait_until("the lease's end", || engine.function("CallC").leases == 0);
    let ended = load.ended();
    wait_until("calls to go on", || load.ended() > ended + 20);
    for outcome in load.stop() {
        assert_eq!(outcome.status, Some(200), "{outcome:?}");
    }
    let before = engine.container("CallC");
    assert_eq!(engine.nightcore("reload", &["CallC"]).code, Some(0));
    wait_until("the old process to leave", || !is_alive(before));
    let _ = wait_for("another process", || Some(engine.container("CallC")));
    engine.stop();
}
