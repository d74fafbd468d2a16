//! Tests of `kill -9` on each process in turn, under load: no call hangs, and everything recovers.

use harness::process::{self, is_alive};
use harness::workers::c;
use harness::{Load, Outcome, Setup, wait_for, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// The longest time after a container's death until its calls end.
const TOLD_WITHIN: Duration = Duration::from_millis(100);
/// The longest time that containers go on after the engine's death.
const GONE_WITHIN: Duration = Duration::from_secs(1);
/// The number of times that a process is killed while it holds a lock.
const LOCKS: usize = 5;

/// Checks that a call during or after the fault succeeded or ended with one of these errors.
fn assert_typed(outcome: &Outcome, errors: &[&str]) {
    let named = errors.iter().any(|error| outcome.text.contains(&format!("\"error\":\"{error}\"")));
    assert!(outcome.status == Some(200) || (outcome.status.is_some() && named), "{outcome:?}");
}

#[test]
fn a_killed_container_ends_its_calls_at_once_and_no_others() {
    let engine = Setup::new().functions(&["Sleep", "Call", "Echo"], &c()).start();
    let load = Load::start(engine.address(), CLIENTS, "Sleep", b"200");
    let through = Load::start(engine.address(), CLIENTS, "Call", b"Sleep\n200");
    let others = Load::start(engine.address(), 2, "Echo", b"others");
    wait_until("all calls to run", || engine.function("Sleep").running as usize == 2 * CLIENTS);
    let container = engine.container("Sleep");
    wait_until("calls to have ended", || load.ended() > CLIENTS && through.ended() > CLIENTS);
    wait_until("all calls to run", || engine.function("Sleep").running as usize == 2 * CLIENTS);
    let killed = Instant::now();
    process::signal(container, Signal::SIGKILL);
    let again = wait_for("another container", || {
        let sleep = engine.function("Sleep");
        sleep.processes.first().map(|process| process.pid).filter(|pid| *pid != container)
    });
    assert!(is_alive(again));
    let before = load.ended();
    wait_until("calls to be answered again", || load.ended() > before + CLIENTS);

    let outcomes = load.stop();
    let inner = through.stop();
    for outcome in outcomes.iter().chain(&inner) {
        assert_typed(outcome, &["CONTAINER_DIED", "FUNCTION_FAILED"]);
        if outcome.status != Some(200) {
            let late = outcome.ended.saturating_duration_since(killed);
            assert!(late < TOLD_WITHIN, "told {late:?} after the death");
            assert!(
                outcome.text.contains(&format!("pid {container}"))
                    || outcome.text.contains("has ended"),
                "{outcome:?}"
            );
        }
        if outcome.ended < killed {
            assert_eq!(outcome.status, Some(200));
        }
    }
    let died =
        |outcomes: &[Outcome], status| outcomes.iter().filter(|o| o.status == Some(status)).count();
    let ended = died(&outcomes, 502) + died(&inner, 500);
    assert!((1..=2 * CLIENTS).contains(&ended), "{ended} calls ended with the container");
    for outcome in others.stop() {
        assert_eq!(outcome.status, Some(200), "{outcome:?}");
    }
    let sleep = engine.function("Sleep");
    assert_eq!((sleep.restarts, sleep.last_end.as_deref()), (1, Some("signal SIGKILL")));
    engine.stop();
}

#[test]
fn a_container_killed_amid_large_payloads_takes_nothing_with_it() {
    let engine = Setup::new().functions(&["Echo", "Call", "Upper"], &c()).start();
    let body = harness::pattern(3 << 20);
    let load = Load::start(engine.address(), 3, "Echo", &body);
    let through = Load::start(engine.address(), 3, "Call", &[b"Echo\n", &body[..]].concat());
    for _ in 0..4 {
        let before = load.ended() + through.ended();
        wait_until("payloads to come back", || load.ended() + through.ended() > before + 12);
        process::signal(engine.container("Echo"), Signal::SIGKILL);
        assert_eq!(engine.text("Upper", "others"), "OTHERS");
    }
    let before = through.ended();
    wait_until("payloads to come back", || through.ended() > before + 12);
    for outcome in load.stop().iter().chain(&through.stop()) {
        let short = Outcome { text: outcome.text.chars().take(400).collect(), ..outcome.clone() };
        assert_typed(&short, &["CONTAINER_DIED", "FUNCTION_FAILED", "UNAVAILABLE"]);
    }
    engine.stop();
}

#[test]
fn a_handler_that_ends_its_process_ends_its_call_only() {
    let engine = Setup::new().functions(&["Crash", "Leave", "TryCall"], &c()).start();
    for function in ["Crash", "Leave"] {
        let response = engine.call(function, "3");
        assert_eq!((response.status, response.problem().error.as_str()), (502, "CONTAINER_DIED"));
        let told = engine.text("TryCall", format!("{function}\n3"));
        assert!(told.starts_with("CONTAINER_DIED\n"), "{told}");
    }
    wait_until("their ends to be known", || {
        engine.function("Crash").last_end.as_deref() == Some("signal SIGABRT")
            && engine.function("Leave").last_end.as_deref() == Some("exit code 3")
    });
    engine.stop();
}

#[test]
fn calls_that_wait_when_a_process_dies_are_answered() {
    const WAITING: usize = 6;
    // One call runs at a time, while other workers are idle when the process dies.
    let engine = Setup::new()
        .function("Delicate", &c(), "workers = { min = 1, max = 1 }\nprocesses = 1")
        .start();
    let file = engine.home().path().join("nightcore.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("min = 1, max = 1", "min = 8, max = 8")).unwrap();
    assert_eq!(engine.nightcore("reload", &["--all"]).code, Some(0));
    wait_until("all workers to be ready", || engine.function("Delicate").workers == 8);
    std::fs::write(&file, text).unwrap();
    assert_eq!(engine.nightcore("reload", &[]).code, Some(0));
    let send = |body: &[u8]| {
        let mut client = engine.connect();
        client.send("POST", "/function/Delicate", &[], body).unwrap();
        client
    };
    let mut first = send(b"60000");
    wait_until("it to run", || engine.function("Delicate").running == 1);
    let mut others: Vec<_> = (0..WAITING).map(|_| send(b"1")).collect();
    wait_until("the others to wait", || engine.function("Delicate").queued as usize == WAITING);
    let container = engine.container("Delicate");
    process::signal(container, Signal::SIGKILL);
    assert_eq!(first.receive().unwrap().status, 502);
    for other in &mut others {
        let response = other.receive().unwrap();
        assert_eq!(response.text(), "slept 1");
    }
    engine.stop();
}

#[test]
fn a_killed_launcher_is_replaced_and_calls_go_on() {
    let engine = Setup::new().functions(&["Sleep", "Fork", "Pid"], &c()).start();
    let child: i32 = engine.text("Fork", "").parse().unwrap();
    let load = Load::start(engine.address(), CLIENTS, "Sleep", b"5");
    wait_until("work to be done", || load.ended() > 2 * CLIENTS);
    let (launcher, containers) =
        (engine.launcher(), ["Sleep", "Fork", "Pid"].map(|f| engine.container(f)));
    process::signal(launcher, Signal::SIGKILL);
    let again =
        wait_for("another launcher", || Some(engine.launcher()).filter(|pid| *pid != launcher));
    wait_until("the old containers and what they forked to be gone", || {
        containers.iter().chain([&child]).all(|pid| !is_alive(*pid))
    });
    let before = load.ended();
    wait_until("calls to be answered again", || load.ended() > before + 2 * CLIENTS);
    let outcomes = load.stop();
    for outcome in &outcomes {
        assert_typed(outcome, &["CONTAINER_DIED", "UNAVAILABLE"]);
    }
    assert_eq!(outcomes.last().unwrap().status, Some(200));
    // The containers belong to the new launcher, which watches them.
    let pid = engine.container("Pid");
    assert_eq!(process::find(pid).unwrap().parent, again);
    assert_eq!(engine.text("Pid", ""), pid.to_string());
    process::signal(pid, Signal::SIGKILL);
    wait_until("a container to be started by the new launcher", || {
        engine.function("Pid").processes.first().is_some_and(|process| process.pid != pid)
    });
    engine.stop();
}

#[test]
fn nothing_outlives_a_killed_engine_and_the_next_one_starts_clean() {
    let worker = c();
    let through_shell = format!("{} ; true", worker.display());
    let home = Setup::new()
        .functions(&["LoopForEver", "SleepStubbornly", "Fork"], &worker)
        .command("Echo", &["sh", "-c", &through_shell], "")
        .home();
    for round in 0..3 {
        let mut engine = home.start();
        let child: i32 = engine.text("Fork", "").parse().unwrap();
        assert!(is_alive(child));
        let mut clients = ["LoopForEver", "SleepStubbornly"].map(|function| {
            let mut client = engine.connect();
            client.send("POST", &format!("/function/{function}"), &[], b"60000").unwrap();
            client
        });
        wait_until("the calls to run", || {
            ["LoopForEver", "SleepStubbornly"]
                .iter()
                .all(|function| engine.function(function).running == 1)
        });
        assert_eq!(engine.text("Echo", "x"), "x");
        // There are the engine, the launcher, three containers, a fork, a shell and its child.
        assert!(engine.processes().len() >= 8, "{:?}", engine.processes());
        engine.kill();
        wait_until_within("the end of all it started", GONE_WITHIN, || {
            engine.processes().is_empty()
        });
        for client in &mut clients {
            assert!(client.is_closed(), "round {round}");
        }
    }
    let engine = home.start();
    assert_eq!(engine.text("Echo", "clean"), "clean");
    engine.stop();
}

#[test]
fn a_slot_is_free_when_the_process_that_had_it_is_gone() {
    let one = "processes = 2\nworkers = { max = 1 }";
    let engine = Setup::new().function("HoldLock", &c(), one).start();
    let path = engine.home().path().join("lock");
    let send = |ms: u64| {
        let mut client = engine.connect();
        let body = format!("{}\n{ms}", path.display());
        client.send("POST", "/function/HoldLock", &[], body.as_bytes()).unwrap();
        client
    };
    for _ in 0..LOCKS {
        wait_until("both processes", || engine.function("HoldLock").workers == 2);
        let mut first = send(60_000);
        let busy = wait_for("the lock to be held", || {
            let holder = std::fs::read_to_string(&path).ok()?;
            let pid = holder.trim().parse().ok()?;
            (engine.function("HoldLock").running == 1 && is_alive(pid)).then_some(pid)
        });
        let mut next = send(0);
        wait_until("a call to wait", || engine.function("HoldLock").queued == 1);
        process::signal(busy, Signal::SIGKILL);
        assert_eq!(first.receive().unwrap().status, 502);
        assert_eq!(next.receive().unwrap().text(), "alone");
        std::fs::write(&path, "").unwrap();
    }
    engine.stop();
}
