//! Tests that direct calls make no system calls in the engine, and at most two wakes in caller and
//! callee, and that an idle engine and its workers use hardly any processor time.

use harness::process::{cpu_time, parks, threads};
use harness::strace::{self, Call, Trace};
use harness::workers::{bench, event_loop};
use harness::{Engine, Setup, wait_until};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Returns the body that makes `Caller` call `Empty` this many times: "SIZE COUNT WARMUP TARGET".
fn calls(count: usize) -> String {
    format!("0 1 {} Empty", count - 1)
}

/// The most system calls per second, under strace, with which the engine checks its leases. It does
/// so forty times a second, and waits with a timer in between.
const UPKEEP_PER_SECOND: f64 = 500.0;
/// The time for which an idle engine is watched. It is much longer than the engine's longest pause.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// The share of one core that an idle engine and all its workers may use.
const IDLE_SHARE: f64 = 0.005;

/// System calls between two moments.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    /// System calls of caller and callee.
    by_workers: usize,
    /// System calls of caller and callee that wake a thread, or would do so.
    wakes: usize,
    /// System calls of caller and callee that neither wake nor park.
    others: usize,
    /// System calls of the engine and its launcher.
    by_engine: usize,
}

fn is_wake(call: &Call) -> bool {
    call.name == "write" || call.line.contains("FUTEX_WAKE")
}

/// Makes calls until a worker is lent.
#[track_caller]
fn warm(engine: &Engine) {
    wait_until("a lease", || {
        engine.answer("Caller", calls(1_000));
        engine.function("Empty").leases > 0
    });
}

/// An engine under strace, with a caller and a callee in C.
struct Traced {
    engine: Engine,
    trace: Trace,
    workers: BTreeSet<i32>,
}

impl Traced {
    /// Starts the engine, and makes calls until a worker is lent.
    #[track_caller]
    fn start(cores: &[usize]) -> Traced {
        let setup = Setup::new().channel("ring").functions(&["Caller", "Empty"], &bench());
        let (engine, trace) = strace::start_on(&setup.home(), cores);
        warm(&engine);
        let of = |function| threads(engine.container(function)).into_iter().map(|thread| thread.id);
        let workers = of("Caller").chain(of("Empty")).collect();
        Traced { engine, trace, workers }
    }

    /// Counts all system calls so far. strace writes a call down before the thread goes on.
    fn so_far(&self) -> Made {
        let mut made = Made::default();
        for (thread, calls) in self.trace.threads() {
            if self.workers.contains(&thread) {
                made.by_workers += calls.len();
                made.wakes += calls.iter().filter(|call| is_wake(call)).count();
                made.others += calls.iter().filter(|call| call.name != "futex").count();
            } else {
                made.by_engine += calls.len();
            }
        }
        made
    }

    /// Makes a request whose handler makes this many direct calls. Returns its system calls and its
    /// time.
    #[track_caller]
    fn request(&self, count: usize) -> (Made, Duration) {
        let (before, began) = (self.so_far(), Instant::now());
        self.engine.answer("Caller", calls(count));
        let (took, after) = (began.elapsed(), self.so_far());
        let made = Made {
            by_workers: after.by_workers - before.by_workers,
            wakes: after.wakes - before.wakes,
            others: after.others - before.others,
            by_engine: after.by_engine - before.by_engine,
        };
        println!("{count} calls took {took:?}: {made:?}");
        (made, took)
    }
}

/// Returns the cores that this process may use.
fn cores() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap()).collect()
}

#[test]
#[ignore = "needs the machine to itself; tests/run.sh speed runs it"]
fn a_direct_call_on_one_core_makes_two_wakes_at_most_and_nothing_in_the_engine() {
    const CALLS: usize = 10_000;
    if !strace::is_installed() {
        return;
    }
    let traced = Traced::start(&cores()[..1]);
    let (made, took) = traced.request(CALLS);
    assert!(made.wakes <= 2 * CALLS + CALLS / 100, "{made:?}");
    assert!(made.others <= CALLS / 20, "{made:?}");
    // For each wake, a thread parks.
    assert!(made.by_workers <= 4 * CALLS + CALLS / 20, "{made:?}");
    let upkeep = UPKEEP_PER_SECOND * took.as_secs_f64();
    assert!(made.by_engine as f64 <= CALLS as f64 / 100.0 + upkeep, "{made:?} in {took:?}");
    traced.engine.stop();
}

#[test]
#[ignore = "needs the machine to itself; tests/run.sh speed runs it"]
fn direct_calls_whose_ends_spin_do_not_park() {
    const CALLS: usize = 20_000;
    if cores().len() < 2 {
        eprintln!("skipped: calls between two cores: there is only one");
        return;
    }
    let engine = Setup::new().channel("ring").functions(&["Caller", "Empty"], &bench()).start();
    warm(&engine);
    let parks = || parks(engine.container("Caller")) + parks(engine.container("Empty"));
    // This runs without strace, which takes a core from one of the ends. The ends start on one
    // core, park when they lose their core to other threads, and move apart at most ten times a
    // second. So only some requests meet this condition; if the ends parked for each call, none
    // would.
    wait_until("a request whose ends spin", || {
        let before = parks();
        engine.answer("Caller", calls(CALLS));
        let parked = parks() - before;
        println!("{CALLS} calls parked {parked} times");
        parked <= CALLS / 4
    });
    engine.stop();
}

#[test]
#[ignore = "needs the machine to itself; tests/run.sh speed runs it"]
fn an_idle_engine_and_its_workers_use_hardly_any_processor_time() {
    let setup = Setup::new().channel("ring");
    let engine = setup
        .functions(&["Caller", "Empty"], &bench())
        .functions(&["Call", "Echo"], &event_loop())
        .start();
    let leases = || engine.function("Empty").leases.min(engine.function("Echo").leases);
    let used = || engine.processes().iter().map(|process| cpu_time(process.pid)).sum::<Duration>();
    let is_idle = || {
        let (began, before) = (Instant::now(), used());
        wait_until("some time to pass", || began.elapsed() >= IDLE_FOR);
        let (took, used) = (began.elapsed(), used() - before);
        println!("{used:?} in {took:?}");
        used.as_secs_f64() <= IDLE_SHARE * took.as_secs_f64()
    };
    let mut client = engine.connect();
    wait_until("little to be used beside leases", || {
        assert_eq!(client.call("Caller", calls(1_000).as_bytes()).status, 200);
        for _ in 0..20 {
            assert_eq!(client.call("Call", b"Echo\nbody").status, 200);
        }
        leases() > 0 && is_idle() && leases() > 0
    });
    drop(client);
    wait_until("the end of the leases", || leases() == 0);
    wait_until("little to be used without leases", is_idle);
    engine.stop();
}
