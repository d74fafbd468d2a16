//! Tests that leases leave nothing behind, and that no call fails when they are turned off.

use harness::process::descriptor_count;
use harness::workers::{c, event_loop};
use harness::{Engine, Load, Setup, wait_until};
use std::fs;
use std::path::Path;

/// The number of leases after which descriptors and mappings are counted again.
const LEASES: u32 = 1_000;
/// The same number for leases that end with a client that leaves, which takes longer.
const LEFT_LEASES: u32 = 250;
/// The number of leases after which a process has everything that it keeps.
const WARM_LEASES: u32 = 50;
/// The number of descriptors or mappings of a worker that was created meanwhile: its channel, stack
/// and heap.
const FEW: usize = 16;

/// The number of descriptors and mappings of a process.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    mappings: usize,
}

impl Held {
    fn of(pid: i32) -> Held {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it is alive");
        Held { descriptors: descriptor_count(pid), mappings: maps.lines().count() }
    }
}

/// Runs `turn`, which lets this many leases come and go. Checks that the engine, the caller and the
/// callee then have no more descriptors and mappings than before.
fn assert_nothing_is_left(engine: &Engine, functions: [&str; 2], leases: u32, turn: impl Fn(u32)) {
    let processes = || {
        let of_functions = functions.map(|name| engine.container(name));
        [engine.pid(), of_functions[0], of_functions[1]]
    };
    turn(WARM_LEASES);
    let (pids, before) = (processes(), processes().map(Held::of));
    turn(leases);
    assert_eq!(processes(), pids, "a process was replaced");
    let after = || pids.map(Held::of);
    println!("before {before:?}, after {:?}", after());
    wait_until(&format!("no more than {before:?}, but {:?}", after()), || {
        before.iter().zip(after()).all(|(before, after)| {
            after.descriptors <= before.descriptors + FEW && after.mappings <= before.mappings + FEW
        })
    });
}

/// Makes leases by calls in a row, and ends each one by a client that leaves.
fn clients_leave(engine: &Engine, leases: u32) {
    let mut connection = engine.connect();
    let callee = || engine.function("Sleep");
    let mut gone = 0;
    while gone < leases {
        wait_until("a lease", || {
            for _ in 0..8 {
                assert_eq!(connection.call("Call", b"Sleep\n0").status, 200);
            }
            callee().leases > 0
        });
        let before = callee().leases;
        let mut client = engine.connect();
        client.send("POST", "/function/Call", &[], b"Sleep\n10000").expect("the engine reads");
        wait_until("it to run", || callee().running == 1);
        drop(client);
        wait_until("its end", || callee().running == 0);
        // A call that went through the engine does not change the leases.
        gone += before.saturating_sub(callee().leases);
    }
}

fn leases_of_callers_that_leave(caller: &Path) {
    let engine = Setup::new()
        .channel("ring")
        .function("Call", caller, "")
        .function("Sleep", &c(), "workers = { max = 4 }")
        .start();
    let turn = |leases| clients_leave(&engine, leases);
    assert_nothing_is_left(&engine, ["Call", "Sleep"], LEFT_LEASES, turn);
    engine.stop();
}

#[test]
fn leases_of_threads_leave_nothing_behind() {
    leases_of_callers_that_leave(&c());
}

#[test]
fn leases_of_an_event_loop_leave_nothing_behind() {
    leases_of_callers_that_leave(&event_loop());
}

#[test]
fn a_thousand_leases_between_event_loops_leave_nothing_behind() {
    // Four calls in a row make a lease, and a call that is cancelled ends its lease.
    const CALLS: u32 = 8;
    let engine = Setup::new().channel("ring").functions(&["Give", "Echo"], &event_loop()).start();
    assert_nothing_is_left(&engine, ["Give", "Echo"], LEASES, |leases| {
        let load = Load::start(engine.address(), 4, "Give", b"Echo\nbody");
        let mut most = 0;
        wait_until("calls", || {
            most = most.max(engine.function("Echo").leases);
            load.ended() > (leases * CALLS) as usize
        });
        drop(load);
        assert!(most > 0, "no worker was lent");
    });
    engine.stop();
}

#[test]
fn direct_channels_are_turned_off_and_on_by_reloads_and_no_call_fails() {
    let setup = |direct: bool| {
        let lines = format!("direct = {direct}");
        let setup = Setup::new().channel("ring");
        setup.function("Call", &c(), "").function("Echo", &c(), &lines)
    };
    let engine = setup(true).start();
    let load = Load::start(engine.address(), 6, "Call", b"Echo\nbody");
    for _ in 0..4 {
        wait_until("leases", || engine.function("Echo").leases > 0);
        for direct in [false, true] {
            fs::write(engine.home().config(), setup(direct).toml()).unwrap();
            let reload = engine.nightcore("reload", &[]);
            assert_eq!(reload.code, Some(0), "{}", reload.stderr);
            if direct {
                continue;
            }
            wait_until("no leases", || engine.function("Echo").leases == 0);
            let ended = load.ended();
            wait_until("calls to go on", || {
                let leases: u32 = engine.status().functions.iter().map(|f| f.leases).sum();
                assert_eq!(leases, 0, "a lease of a function that is not called directly");
                load.ended() > ended + 500
            });
            let shown = engine.nightcore("ps", &["--json"]);
            let lent = shown.text().matches("\"leases\": ").count();
            let none = shown.text().matches("\"leases\": 0,").count();
            assert!(lent > 0 && lent == none, "{}", shown.text());
        }
    }
    for outcome in load.stop() {
        assert_eq!((outcome.status, outcome.text.as_str()), (Some(200), "body"));
    }
    engine.stop();
}
