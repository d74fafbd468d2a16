//! A function that gets more calls than it can run, on a simulated clock. It goes on to answer as
//! many calls as it can, and a call that would end too late is refused when it arrives.

mod simulated;

use nightcore_engine::functions::{Ran, Spec};
use nightcore_engine::ids::{CallNumber, ChannelKey, FunctionId, Generation};
use nightcore_engine::scheduler::Action;
use nightcore_runtime::protocol::Status;
use nightcore_runtime::protocol::control::Mode;
use simulated::{Body, Driven, MS};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

const SECOND: u64 = 1000 * MS;
const WORKERS: u32 = 2;
const RUN_NS: u64 = 10 * MS;
/// The number of calls that the function can run in a second.
const CAPACITY: u64 = WORKERS as u64 * SECOND / RUN_NS;
const TIMEOUT: Duration = Duration::from_millis(200);

/// A generator whose numbers are the same in every run.
struct Random(u64);

impl Random {
    /// Returns a number above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean_ns: u64) -> u64 {
        (-self.uniform().ln() * mean_ns as f64) as u64
    }
}

enum Times {
    Even,
    Exponential(Random),
}

impl Times {
    fn next(&mut self, mean_ns: u64) -> u64 {
        match self {
            Times::Even => mean_ns,
            Times::Exponential(random) => random.exponential(mean_ns),
        }
    }
}

struct Server {
    scheduler: Driven<()>,
    function: FunctionId,
    /// The running calls, with the times at which they end.
    running: BinaryHeap<Reverse<(u64, ChannelKey, CallNumber)>>,
    ended: BTreeMap<&'static str, u64>,
    times: Times,
}

impl Server {
    fn new(times: Times) -> Server {
        let mut scheduler = Driven::default();
        let function = scheduler.add_function(Spec {
            direct: true,
            min: WORKERS,
            timeout: TIMEOUT,
            ..simulated::spec("Foo", WORKERS)
        });
        let container =
            scheduler.container_connected(0, function, Some(Generation::FIRST), Mode::Threads);
        for _ in 0..WORKERS {
            scheduler.worker_ready(0, container);
        }
        let (running, ended) = (BinaryHeap::new(), BTreeMap::new());
        let mut server = Server { scheduler, function, running, ended, times };
        server.settle(0);
        server
    }

    fn count(&mut self, status: Status) {
        *self.ended.entry(status.name()).or_default() += 1;
    }

    fn settle(&mut self, now: u64) {
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::Dispatch { channel, call, .. } => {
                    let ends = now + self.times.next(RUN_NS);
                    self.running.push(Reverse((ends, channel, call)));
                }
                Action::Respond { outcome, .. } => {
                    self.count(outcome.map_or_else(|failure| failure.status, |_| Status::Ok));
                }
                _ => {}
            }
        }
    }

    /// Lets time pass.
    fn until(&mut self, at: u64) {
        loop {
            let ends = self.running.peek().map(|Reverse((ends, ..))| *ends);
            let wakes = self.scheduler.wake_at();
            let Some(next) = [ends, wakes].into_iter().flatten().min().filter(|next| *next <= at)
            else {
                return;
            };
            if ends == Some(next)
                && let Some(Reverse((ends, channel, call))) = self.running.pop()
            {
                let ran = Ran { began_at: 0, ended_at: ends };
                self.scheduler
                    .complete(ends, channel, call, ran, Ok(Body(0)))
                    .expect("the call runs");
            }
            self.scheduler.advance(next);
            self.settle(next);
        }
    }

    fn call(&mut self, now: u64) {
        self.until(now);
        if let Err(failure) = self.scheduler.external(now, self.function, None, (Body(0), 0), ()) {
            self.count(failure.status);
        }
        self.settle(now);
    }

    /// Makes calls at `times` the capacity: for one second in which the engine learns, and then for
    /// ten seconds. Returns the outcomes of those ten seconds.
    fn load(&mut self, times: f64, mut gaps: Times) -> BTreeMap<&'static str, u64> {
        let gap_ns = (SECOND as f64 / CAPACITY as f64 / times) as u64;
        let mut now = MS;
        for seconds in [1, 10] {
            self.ended.clear();
            let end = now + seconds * SECOND;
            while now < end {
                now += gaps.next(gap_ns);
                self.call(now);
            }
        }
        std::mem::take(&mut self.ended)
    }
}

fn count(ended: &BTreeMap<&'static str, u64>, status: Status) -> u64 {
    ended.get(status.name()).copied().unwrap_or(0)
}

#[test]
fn at_twice_its_capacity_a_function_answers_nine_tenths_of_its_capacity() {
    let mut server = Server::new(Times::Even);
    let ended = server.load(2.0, Times::Even);
    let (good, late) = (count(&ended, Status::Ok), count(&ended, Status::DeadlineExceeded));
    assert!(good >= 10 * CAPACITY * 9 / 10, "{ended:?}");
    assert!(late * 100 <= good, "{ended:?}");
}

#[test]
fn a_function_answers_most_of_its_capacity_at_random_gaps_and_times() {
    for (seed, times) in [(1, 1.5), (2, 2.0), (3, 5.0), (4, 20.0)] {
        let mut server = Server::new(Times::Exponential(Random(seed)));
        let ended = server.load(times, Times::Exponential(Random(seed + 100)));
        let (good, late) = (count(&ended, Status::Ok), count(&ended, Status::DeadlineExceeded));
        assert!(good >= 10 * CAPACITY * 85 / 100, "{times} times: {ended:?}");
        assert!(late * 10 <= good, "{times} times: {ended:?}");
    }
}

#[test]
fn below_what_it_can_do_nothing_is_refused() {
    let mut server = Server::new(Times::Exponential(Random(5)));
    let ended = server.load(0.6, Times::Exponential(Random(6)));
    assert!(count(&ended, Status::Ok) > 0);
    assert_eq!(ended.keys().collect::<Vec<_>>(), [&"OK"], "{ended:?}");
}

#[test]
fn after_a_pause_it_is_not_held_to_what_it_was() {
    let mut server = Server::new(Times::Even);
    server.load(2.0, Times::Even);
    let now = 30 * SECOND;
    server.until(now);
    server.ended.clear();
    for call in 0..30 {
        server.call(now + call);
    }
    assert_eq!(count(&server.ended, Status::Overloaded), 0, "{:?}", server.ended);
    server.until(now + SECOND);
    assert_eq!(count(&server.ended, Status::Ok), 30, "{:?}", server.ended);
}

#[test]
fn calls_that_hung_say_nothing_of_those_that_follow() {
    for hung in [1, 40] {
        calls_that_hang_before_others_are_queued(hung);
    }
}

/// Keeps `hung` calls open until their deadline, so that later calls find others in the queue.
fn calls_that_hang_before_others_are_queued(hung: u32) {
    const WORKERS: u64 = 60;
    let mut scheduler = Driven::<()>::default();
    let function = scheduler.add_function(Spec {
        timeout: Duration::from_secs(2),
        ..simulated::spec("Foo", WORKERS as u32)
    });
    let generation = Some(Generation::FIRST);
    let container = scheduler.container_connected(0, function, generation, Mode::Threads);
    scheduler.worker_ready(0, container);
    let call =
        |scheduler: &mut Driven<()>, now| scheduler.external(now, function, None, (Body(0), 0), ());
    for _ in 1..hung {
        scheduler.worker_ready(0, container);
    }
    for _ in 0..hung {
        call(&mut scheduler, 0).expect("nothing is queued");
    }
    let sent = std::iter::from_fn(|| scheduler.next_action()).filter_map(|action| match action {
        Action::Dispatch { channel, call, .. } => Some((channel, call)),
        _ => None,
    });
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent.len(), hung as usize, "each is sent to a worker");
    let mut now = SECOND;
    for _ in 0..2 * WORKERS {
        call(&mut scheduler, now).expect("the pace is unknown");
    }
    for _ in u64::from(hung)..WORKERS {
        now += MS;
        scheduler.worker_ready(now, container);
    }
    assert!(scheduler.drains_in_ns(now, function).is_some(), "the pace is known");
    now = 2 * SECOND + 1;
    scheduler.advance(now);
    let ran = Ran { began_at: 0, ended_at: now };
    for (channel, call) in sent {
        scheduler.complete(now, channel, call, ran, Ok(Body(0))).expect("the call runs");
    }
    for _ in 0..3 {
        now += SECOND / 4;
        let admitted = call(&mut scheduler, now);
        assert!(admitted.is_ok(), "{admitted:?}");
    }
}
