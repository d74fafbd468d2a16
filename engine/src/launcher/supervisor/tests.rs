//! Checks which containers are started when, and how their ends are reported.

use super::*;
use crate::ids::CallId;

const SECOND: u64 = 1_000_000_000;

const FOO: FunctionId = FunctionId::new(1).unwrap();
const FIRST: Generation = Generation::FIRST;

fn config(processes: u32) -> Rc<config::FunctionConfig> {
    let text = format!("[functions.Foo]\ncommand = [\"sh\"]\nprocesses = {processes}\n");
    let config = config::Config::parse(&text, std::path::Path::new("nightcore.toml")).unwrap();
    Rc::new(config.functions[0].clone())
}

fn one(processes: u32) -> Supervisor {
    let mut supervisor = Supervisor::new(1);
    supervisor.begin(0, FOO, FIRST, config(processes));
    supervisor
}

fn said(tasks: &[SupervisorTask]) -> Vec<&str> {
    let mut texts = Vec::new();
    for task in tasks {
        if let SupervisorTask::Report { text } = task {
            texts.push(text.as_str());
        }
    }
    texts
}

fn started(tasks: &[SupervisorTask]) -> Vec<u64> {
    let launch = |task: &SupervisorTask| match task {
        SupervisorTask::Start { launch, .. } => Some(*launch),
        _ => None,
    };
    tasks.iter().filter_map(launch).collect()
}

#[test]
fn a_proven_container_comes_back_at_once_and_a_failing_one_ever_later() {
    let mut supervisor = one(1);
    assert_eq!(started(&supervisor.advance(0)), [1]);
    supervisor.ready(0, 1);
    supervisor.started(1, 4711);
    let told = supervisor.ended(SECOND, 1, End::killed("SIGKILL"));
    assert_eq!(said(&told), ["Foo: process 4711 died of SIGKILL; restarted at once"]);
    assert_eq!(started(&supervisor.advance(SECOND)), [2]);
    let history = supervisor.history(FOO);
    assert_eq!(history.last_end, Some((End::killed("SIGKILL"), SECOND)));
    assert_eq!(history.restarts, BTreeMap::from([("signal", 1)]));

    let (mut now, mut launch, mut pauses) = (SECOND, 2, Vec::new());
    for _ in 0..12 {
        supervisor.ended(now, launch, End::Exited(1));
        let due = supervisor.next_due().unwrap();
        pauses.push(due - now);
        assert!(supervisor.advance(due - 1).is_empty());
        now = due;
        launch = started(&supervisor.advance(now))[0];
    }
    assert!(pauses[0] >= SECOND / 10 && pauses[0] < SECOND / 7);
    assert!(pauses.windows(2).take(6).all(|pair| pair[1] > pair[0]));
    assert!(*pauses.last().unwrap() <= 10 * SECOND + 10 * SECOND / 4);
}

#[test]
fn a_crash_loop_is_told_and_tried_on() {
    let mut supervisor = one(1);
    let mut told = Vec::new();
    for _ in 0..3 {
        let now = supervisor.next_due().unwrap();
        let launch = started(&supervisor.advance(now))[0];
        told = supervisor.ended(now, launch, End::Exited(1));
    }
    let Some(SupervisorTask::Failing { reason, is_all: true, .. }) = told.last() else {
        panic!("{told:?}")
    };
    assert!(reason.contains("3 times") && reason.contains("exit code 1"), "{reason}");
    assert!(supervisor.next_due().is_some());
}

#[test]
fn a_hopeless_container_is_not_started_again() {
    let mut supervisor = one(2);
    supervisor.advance(0);
    let fails = |tasks: Vec<SupervisorTask>| match tasks.last() {
        Some(SupervisorTask::Failing { is_all, .. }) => *is_all,
        _ => panic!("{tasks:?}"),
    };
    assert!(!fails(supervisor.hopeless(1, "no handler")), "the other one may do better");
    assert!(fails(supervisor.hopeless(2, "no handler")));
    supervisor.ended(0, 1, End::Exited(2));
    supervisor.ended(0, 2, End::Exited(2));
    assert_eq!(supervisor.next_due(), None);
}

#[test]
fn a_stuck_container_is_replaced_and_then_ended() {
    let mut supervisor = one(1);
    supervisor.advance(0);
    supervisor.ready(0, 1);
    assert_eq!(said(&supervisor.replace(5, 1)).len(), 1);
    assert!(supervisor.replace(6, 1).is_empty());
    assert_eq!(started(&supervisor.advance(6)), [2]);
    supervisor.ready(6, 2);
    assert_eq!(supervisor.end(7, 1), [SupervisorTask::Terminate { launch: 1 }]);
    let kill = supervisor.next_due().unwrap();
    assert_eq!(supervisor.advance(kill), [SupervisorTask::Kill { launch: 1 }]);
    supervisor.ended(kill, 1, End::killed("SIGKILL"));
    assert_eq!(supervisor.next_due(), None);
}

#[test]
fn all_come_back_when_the_launcher_died_and_none_after_a_stop() {
    let mut supervisor = one(3);
    supervisor.advance(0);
    supervisor.launcher_died(1);
    assert_eq!(started(&supervisor.advance(1)).len(), 3);
    supervisor.stop(2);
    assert_eq!(supervisor.end_all(2).len(), 3);
    supervisor.launcher_died(3);
    assert!(supervisor.advance(4).is_empty() && supervisor.is_empty());
}

#[test]
fn a_stop_waits_for_processes_that_serve_as_long_as_they_may_take() {
    let mut supervisor = one(2);
    supervisor.advance(0);
    supervisor.connected(1);
    supervisor.stop(SECOND);
    // The other one has not connected, so it is ended at once.
    assert_eq!(supervisor.advance(SECOND), [SupervisorTask::Terminate { launch: 2 }]);
    supervisor.ended(SECOND, 2, End::killed("SIGTERM"));
    let timeout = ns(config(1).keys.stop_timeout);
    assert_eq!(supervisor.next_due(), Some(SECOND + timeout));
    assert_eq!(supervisor.advance(SECOND + timeout), [SupervisorTask::Terminate { launch: 1 }]);
    assert_eq!(supervisor.next_due(), Some(SECOND + timeout + ns(TERM_GRACE)));
    // A container that was sent SIGTERM already does not get more time.
    supervisor.end_all(SECOND + timeout + 1);
    assert_eq!(supervisor.next_due(), Some(SECOND + timeout + ns(TERM_GRACE)));
}

#[test]
fn a_generation_that_is_over_is_not_started_again_and_the_others_are() {
    let mut supervisor = one(1);
    supervisor.advance(0);
    supervisor.connected(1);
    let second = FIRST.next();
    supervisor.begin(1, FOO, second, config(2));
    assert_eq!(started(&supervisor.advance(1)), [2, 3]);
    // The second generation has not connected when the third begins, so it is ended. The first one
    // is kept up.
    assert_eq!(supervisor.retire(2, FOO, |generation| generation == second).len(), 2);
    supervisor.begin(2, FOO, second.next(), config(1));
    for launch in [2, 3] {
        assert!(supervisor.ended(3, launch, End::killed("SIGTERM")).is_empty());
    }
    supervisor.ready(0, 1);
    supervisor.ended(SECOND, 1, End::Exited(1));
    assert_eq!(started(&supervisor.advance(SECOND)).len(), 2);
    assert!(supervisor.retire(SECOND, FOO, |_| true).len() == 2);
    assert_eq!(supervisor.next_due(), Some(SECOND + ns(TERM_GRACE)));
}

#[test]
fn a_start_is_bounded_and_counts_as_a_crash_loop() {
    let mut supervisor = one(1);
    supervisor.advance(0);
    let late = supervisor.next_due().unwrap();
    assert_eq!(late, 60 * SECOND);
    assert_eq!(supervisor.advance(late), [SupervisorTask::Terminate { launch: 1 }]);
    let told = supervisor.ended(late, 1, End::killed("SIGTERM"));
    assert!(said(&told)[0].contains("not ready within 1m (start_timeout)"), "{told:?}");
    assert!(matches!(told.last(), Some(SupervisorTask::Failing { is_all: true, .. })), "{told:?}");
    let due = supervisor.next_due().unwrap();
    assert_eq!(started(&supervisor.advance(due)), [2]);
    supervisor.ready(due, 2);
    assert_eq!(supervisor.next_due(), None);
}

#[test]
fn a_failing_container_does_not_delay_another() {
    let mut supervisor = one(2);
    assert_eq!(started(&supervisor.advance(0)), [1, 2]);
    supervisor.ready(0, 1);
    let (mut now, mut launch) = (0, 2);
    for failure in 1..=6 {
        let told = supervisor.ended(now, launch, End::Exited(1));
        let failing = told.iter().find(|task| matches!(task, SupervisorTask::Failing { .. }));
        assert_eq!(failing.is_some(), failure >= CRASH_LOOP);
        assert!(!matches!(failing, Some(SupervisorTask::Failing { is_all: true, .. })));
        now = supervisor.next_due().unwrap();
        launch = started(&supervisor.advance(now))[0];
    }
    // The good container restarts at once, without the other container's pauses.
    supervisor.ended(now, 1, End::Exited(1));
    let again = started(&supervisor.advance(now))[0];
    supervisor.ended(now, again, End::Exited(1));
    assert!(supervisor.next_due().unwrap() - now < SECOND / 7);
}

#[test]
fn a_death_is_told_when_it_is_known_which_calls_failed() {
    let mut supervisor = one(1);
    supervisor.advance(0);
    supervisor.started(1, 4711);
    supervisor.connected(1);
    supervisor.ready(0, 1);
    assert!(supervisor.ended(SECOND, 1, End::killed("SIGSEGV")).is_empty());
    let mut failed = FailedCalls::default();
    failed.add(CallId::new(7));
    let told = supervisor.gone(1, failed);
    let line = "Foo: process 4711 died of SIGSEGV; 1 call failed; restarted at once";
    assert_eq!(said(&told), [line]);
    let Some(SupervisorTask::AddToLog { lines, .. }) = told.last() else { panic!("{told:?}") };
    assert_eq!(lines[1].0, Some(7));
}

/// Returns a supervisor whose containers are replaced after ten calls, with its first containers
/// ready.
fn recycling(processes: u32) -> Supervisor {
    let mut supervisor = one(processes);
    supervisor.set_recycle(FOO, Recycle { calls: Some(10), ..Recycle::default() });
    for launch in started(&supervisor.advance(0)) {
        supervisor.started(launch, 4700 + launch as i32);
        supervisor.connected(launch);
        supervisor.ready(0, launch);
    }
    supervisor
}

/// Returns the use of a container that has run this many calls, for every container.
fn each_used(calls: u64) -> impl Fn(u64) -> Option<Used> {
    move |_| Some(Used { calls, memory_bytes: None })
}

#[test]
fn a_used_up_container_is_set_aside_when_the_one_that_takes_its_place_is_ready() {
    let mut supervisor = recycling(2);
    assert!(supervisor.recycle(SECOND, FOO, each_used(9)).is_empty());
    let tasks = supervisor.recycle(SECOND, FOO, each_used(10));
    let text = "Foo: process 4701 is replaced by a new one, as it has run 10 calls";
    assert_eq!(said(&tasks), [text]);
    assert_eq!(started(&supervisor.advance(SECOND)), [3]);
    // One container is replaced at a time, until the first has ended.
    assert!(supervisor.recycle(2 * SECOND, FOO, each_used(10)).is_empty());
    assert_eq!(supervisor.ready(3 * SECOND, 3), [SupervisorTask::SetAside { launch: 1 }]);
    assert!(supervisor.recycle(3 * SECOND, FOO, each_used(10)).is_empty());
    supervisor.leaves(3 * SECOND, 1);
    assert!(supervisor.ended(4 * SECOND, 1, End::Exited(0)).is_empty());
    assert!(started(&supervisor.advance(4 * SECOND)).is_empty());
    assert_eq!(supervisor.history(FOO).restarts, BTreeMap::from([("recycled", 1)]));
    let used = |launch| Some(Used { calls: launch * 5, memory_bytes: None });
    let tasks = supervisor.recycle(5 * SECOND, FOO, used);
    assert_eq!(said(&tasks).len(), 1, "the second of the first two");
    assert_eq!(started(&supervisor.advance(5 * SECOND)), [4]);
    assert_eq!(supervisor.ready(6 * SECOND, 4), [SupervisorTask::SetAside { launch: 2 }]);
}

#[test]
fn a_container_is_not_replaced_before_another_one_is_ready() {
    let mut supervisor = recycling(1);
    supervisor.recycle(SECOND, FOO, each_used(10));
    assert_eq!(started(&supervisor.advance(SECOND)), [2]);
    // The new container fails at its start, and is started again.
    supervisor.ended(SECOND, 2, End::Exited(1));
    let due = supervisor.next_due().unwrap();
    assert_eq!(started(&supervisor.advance(due)), [3]);
    assert_eq!(supervisor.ready(due, 3), [SupervisorTask::SetAside { launch: 1 }]);
}

#[test]
fn a_container_that_dies_while_it_is_replaced_is_not_started_twice() {
    let mut supervisor = recycling(1);
    supervisor.recycle(SECOND, FOO, each_used(10));
    supervisor.ended(SECOND, 1, End::killed("SIGKILL"));
    assert_eq!(started(&supervisor.advance(SECOND)), [2]);
    supervisor.ready(2 * SECOND, 2);
    assert_eq!(supervisor.next_due(), None);
}

#[test]
fn a_new_generation_comes_before_recycling() {
    let mut supervisor = recycling(1);
    supervisor.begin(SECOND, FOO, FIRST.next(), config(1));
    assert!(supervisor.recycle(SECOND, FOO, each_used(10)).is_empty());
}

#[test]
fn a_container_whose_replacement_is_refused_for_good_stays_and_is_started_again_if_it_dies() {
    let mut supervisor = recycling(1);
    supervisor.recycle(SECOND, FOO, each_used(10));
    assert_eq!(started(&supervisor.advance(SECOND)), [2]);
    supervisor.hopeless(2, "Foo: no handler");
    supervisor.ended(SECOND, 2, End::Exited(2));
    assert!(supervisor.recycle(2 * SECOND, FOO, each_used(11)).is_empty(), "not again each second");
    supervisor.ended(3 * SECOND, 1, End::killed("SIGKILL"));
    assert_eq!(started(&supervisor.advance(3 * SECOND)), [3]);
}
