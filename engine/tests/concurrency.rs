//! The concurrency controller on a simulated clock: one function, a FIFO queue, exponential service
//! times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use nightcore_engine::functions::concurrency::{Bounds, Concurrency, QUIET_AFTER_NS, Why};
use proptest::prelude::*;

const US: f64 = 1e3;
const MS: f64 = 1e6;
const S: f64 = 1e9;
const MAX: u32 = 64;

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// A time in the order of `f64`, which here is never NaN.
#[derive(PartialEq, Clone, Copy)]
struct Time(f64);
impl Eq for Time {}
impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What happened in a stretch of simulated time.
#[derive(Default, Debug, Clone, Copy)]
struct Seen {
    from_ns: f64,
    ended: u64,
    waited_ns: f64,
    started: u64,
    limit_ns: f64,
    limit_highest: u32,
    limit_changes: u32,
    /// Times in a row that [`Concurrency::next_change_ns`] named and at which nothing changed.
    idle_timers: u32,
    running_ns: f64,
}

impl Seen {
    fn mean_wait_ns(&self) -> f64 {
        self.waited_ns / self.started as f64
    }
    fn mean_limit(&self, until_ns: f64) -> f64 {
        self.limit_ns / (until_ns - self.from_ns)
    }
    fn throughput(&self, until_ns: f64) -> f64 {
        self.ended as f64 / (until_ns - self.from_ns)
    }
}

/// One function under load. Each running call is served at the speed min(1, cores / running), or
/// slower the more of them run, see `each`.
struct World {
    control: Concurrency,
    random: Random,
    now_ns: f64,
    service_ns: f64,
    cores: f64,
    /// Which part of a call's time alone each running call adds to all of them. An event loop takes
    /// all messages that have come in one go: each of them takes some time, and the rest is shared.
    each: f64,
    /// Whether all calls need the same work, so that those that began at one moment end at one.
    even: bool,
    queue: VecDeque<f64>,
    /// The service given to every call that has run all the time; a call ends when this has grown
    /// by its work.
    served_ns: f64,
    running: BinaryHeap<Reverse<(Time, Time)>>,
    /// Open load: arrivals in a nanosecond, and the next.
    rate: f64,
    next_arrival_ns: f64,
    /// Closed load: clients still to join, when the next does, and how far apart.
    joining: u32,
    next_join_ns: f64,
    join_every_ns: f64,
    clients: bool,
    limit: u32,
    seen: Seen,
}

impl World {
    fn new(bounds: Bounds, service_ns: f64) -> Self {
        World {
            control: Concurrency::new(bounds),
            random: Random(0x9E37_79B9_7F4A_7C15),
            now_ns: 0.0,
            service_ns,
            cores: f64::INFINITY,
            each: 0.0,
            even: false,
            queue: VecDeque::new(),
            served_ns: 0.0,
            running: BinaryHeap::new(),
            rate: 0.0,
            next_arrival_ns: f64::INFINITY,
            joining: 0,
            next_join_ns: f64::INFINITY,
            join_every_ns: 0.0,
            clients: false,
            limit: bounds.max,
            seen: Seen::default(),
        }
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.next_arrival_ns = if rate > 0.0 {
            self.now_ns + self.random.exponential(1.0 / rate)
        } else {
            f64::INFINITY
        };
    }

    fn join(&mut self, clients: u32, every_ns: f64) {
        self.clients = true;
        self.joining = clients;
        self.join_every_ns = every_ns;
        self.next_join_ns = self.now_ns;
    }

    fn speed(&self) -> f64 {
        let running = self.running.len() as f64;
        let shared = 1.0 / (1.0 + self.each * (running - 1.0));
        (self.cores / running).min(1.0) * shared
    }

    fn now(&self) -> u64 {
        self.now_ns as u64
    }

    fn look(&mut self) {
        self.seen = Seen { from_ns: self.now_ns, ..Seen::default() };
    }

    fn arrive(&mut self) {
        self.control.arrived(self.now());
        self.queue.push_back(self.now_ns);
    }

    /// As the dispatcher does it: start calls while running < limit.
    fn dispatch(&mut self) {
        loop {
            let oldest = self.queue.front().map(|&since| since as u64);
            self.limit = self.control.limit(self.now(), oldest);
            assert!(self.limit >= 1 && self.limit <= MAX, "limit {}", self.limit);
            self.seen.limit_highest = self.seen.limit_highest.max(self.limit);
            if self.running.len() >= self.limit as usize {
                return;
            }
            let Some(since) = self.queue.pop_front() else { return };
            self.seen.waited_ns += self.now_ns - since;
            self.seen.started += 1;
            let work = match self.even {
                true => self.service_ns,
                false => self.random.exponential(self.service_ns),
            };
            self.running.push(Reverse((Time(self.served_ns + work), Time(self.now_ns))));
        }
    }

    /// Runs until a time, or until so many calls have started.
    fn run(&mut self, until_ns: f64, calls: u64) -> Seen {
        self.look();
        while self.now_ns < until_ns && self.seen.started < calls {
            let end_ns = self.running.peek().map_or(f64::INFINITY, |Reverse((at, _))| {
                self.now_ns + (at.0 - self.served_ns) / self.speed()
            });
            let timer_ns = self
                .control
                .next_change_ns(self.queue.front().map(|&since| since as u64))
                .map_or(f64::INFINITY, |at| at as f64);
            let next_ns = end_ns
                .min(self.next_arrival_ns)
                .min(self.next_join_ns)
                .min(timer_ns.max(self.now_ns))
                .min(until_ns);
            let passed_ns = next_ns - self.now_ns;
            self.seen.limit_ns += passed_ns * f64::from(self.limit);
            self.seen.running_ns += passed_ns * self.running.len() as f64;
            if !self.running.is_empty() {
                self.served_ns += passed_ns * self.speed();
            }
            self.now_ns = next_ns;
            if next_ns == end_ns {
                if let Some(Reverse((at, began))) = self.running.pop() {
                    self.served_ns = at.0;
                    let run_ns = (self.now_ns - began.0) as u64;
                    self.control.ended(self.now(), run_ns, run_ns);
                    self.seen.ended += 1;
                    if self.clients {
                        self.arrive();
                    }
                }
            } else if next_ns == self.next_arrival_ns {
                self.arrive();
                self.next_arrival_ns += self.random.exponential(1.0 / self.rate);
            } else if next_ns == self.next_join_ns {
                self.arrive();
                self.joining -= 1;
                self.next_join_ns =
                    if self.joining > 0 { next_ns + self.join_every_ns } else { f64::INFINITY };
            }
            let limit = self.limit;
            self.dispatch();
            self.seen.limit_changes += u32::from(self.limit != limit);
            let idle = next_ns == timer_ns && self.limit == limit;
            self.seen.idle_timers = if idle { self.seen.idle_timers + 1 } else { 0 };
            assert!(
                self.seen.idle_timers < 3,
                "a dispatcher would spin on this timer: {:?}",
                self.seen
            );
        }
        self.seen
    }
}

const BOUNDS: Bounds = Bounds { min: 1, max: MAX, in_one_go_ns: 0 };

#[test]
fn waits_stay_short_under_open_load() {
    for service_ns in [2.0 * US, 100.0 * US, 100.0 * MS] {
        for tau in [0.95, 1.9, 3.9, 15.8] {
            let mut world = World::new(BOUNDS, service_ns);
            world.set_rate(tau / service_ns);
            world.run(f64::INFINITY, 50_000);
            let seen = world.run(f64::INFINITY, 250_000);
            let wait = seen.mean_wait_ns() / service_ns;
            let limit = seen.mean_limit(world.now_ns);
            println!(
                "open {:>9} us tau {tau:>5}: wait {wait:.3} t, limit {limit:.2} (highest {})",
                service_ns / US,
                seen.limit_highest
            );
            assert!(wait <= 1.0, "mean wait of {wait} service times at tau {tau}");
            assert!(limit <= tau + 2.0 * tau.sqrt() + 3.0, "mean limit {limit} at tau {tau}");
        }
    }
}

#[test]
fn noise_does_not_hold_open_load_down() {
    let service_ns = 100.0 * MS;
    for seed in 1..=40 {
        let mut world = World::new(BOUNDS, service_ns);
        world.random.0 = world.random.0.wrapping_mul(seed);
        world.set_rate(15.8 / service_ns);
        let wait = world.run(f64::INFINITY, 50_000).mean_wait_ns() / service_ns;
        println!("seed {seed}: wait {wait:.3} t");
        assert!(wait <= 1.0, "mean wait of {wait} service times, seed {seed}");
    }
}

#[test]
fn the_first_calls_of_a_load_are_served_as_well() {
    for tau in [0.95, 15.8] {
        let service_ns = 2.0 * US;
        let mut world = World::new(BOUNDS, service_ns);
        world.set_rate(tau / service_ns);
        let wait = world.run(f64::INFINITY, 20_000).mean_wait_ns() / service_ns;
        println!("first calls, tau {tau}: wait {wait:.2} t");
        assert!(wait <= 1.0, "mean wait of {wait} service times at tau {tau}");
    }
}

/// Clients in a closed loop, and what their function is like.
#[derive(Clone, Copy, Debug)]
struct Loop {
    clients: u32,
    join_every_ns: f64,
    service_ns: f64,
    cores: f64,
    learn_ns: f64,
    seed: u64,
}

impl Loop {
    /// Throughput in calls per service time, the mean limit and how often it changed, once all have
    /// joined and the controller has had time to learn.
    fn settled(self) -> (f64, f64, u32) {
        let mut world = World::new(BOUNDS, self.service_ns);
        world.cores = self.cores;
        world.random.0 = world.random.0.wrapping_mul(self.seed);
        world.join(self.clients, self.join_every_ns);
        let joined_ns = f64::from(self.clients) * self.join_every_ns;
        let learned_ns = joined_ns + self.learn_ns;
        world.run(learned_ns, u64::MAX);
        let seen = world.run(learned_ns + (0.5 * S).max(4_000.0 * self.service_ns), 300_000);
        let (throughput, limit) =
            (seen.throughput(world.now_ns) * self.service_ns, seen.mean_limit(world.now_ns));
        println!(
            "{self:?}: throughput {throughput:.2} / t, limit {limit:.1} (highest {}, {} changes), \
             {} calls",
            seen.limit_highest, seen.limit_changes, seen.ended
        );
        (throughput, limit, seen.limit_changes)
    }
}

/// Clients that join slowly, for every kind of handler.
fn loops(cores: f64) -> impl Iterator<Item = Loop> {
    [2.0 * US, 100.0 * US, 100.0 * MS].into_iter().flat_map(move |service_ns| {
        // For calls of 2 us a client every 2 ms is slow enough; 50 ms would only take the test
        // longer.
        let join_every_ns = if service_ns < 10.0 * US { 2.0 * MS } else { 50.0 * MS };
        [16, 64].map(|clients| Loop {
            clients,
            join_every_ns,
            service_ns,
            cores,
            learn_ns: (0.35 * S).max(800.0 * service_ns),
            seed: 1,
        })
    })
}

#[test]
fn a_closed_loop_of_sleepers_gets_the_concurrency_it_needs() {
    for case in loops(f64::INFINITY) {
        let (throughput, ..) = case.settled();
        let part = throughput / f64::from(case.clients);
        assert!(part >= 0.95, "{case:?} got {part} of the throughput");
    }
}

/// What two cores need is 2 + ⌈√2⌉ = 4. Twice that leaves room for what was learned in noise, and
/// one more for experiments.
const LIMIT_FOR_TWO_CORES: f64 = 9.0;
/// An experiment changes the limit some ten times, and no more than six of them fit into what is
/// measured.
const CHANGES: u32 = 60;

#[test]
fn a_closed_loop_of_computers_does_not_creep_to_max() {
    for case in loops(2.0) {
        let (throughput, limit, changes) = case.settled();
        assert!(throughput >= 0.95 * 2.0, "{case:?} got {throughput} of 2");
        assert!(limit <= LIMIT_FOR_TWO_CORES, "{case:?} has a mean limit of {limit}");
        assert!(changes <= CHANGES, "{case:?} changed its limit {changes} times");
    }
}

#[test]
fn noise_does_not_carry_computers_up() {
    // Few clients, so that none waits: here nothing but the reference holds the limit down.
    for seed in 1..=16 {
        let learn_ns = 0.35 * S;
        let case = Loop {
            clients: 16,
            join_every_ns: 50.0 * MS,
            service_ns: 100.0 * US,
            cores: 2.0,
            learn_ns,
            seed,
        };
        let (_, limit, _) = case.settled();
        assert!(limit <= LIMIT_FOR_TWO_CORES, "{case:?} has a mean limit of {limit}");
    }
}

#[test]
fn clients_that_all_come_at_once_are_sorted_out() {
    let case = Loop {
        clients: 256,
        join_every_ns: 0.0,
        service_ns: 100.0 * US,
        cores: 2.0,
        learn_ns: 2.0 * S,
        seed: 1,
    };
    let (throughput, limit, changes) = case.settled();
    assert!(throughput >= 0.95 * 2.0, "{case:?} got {throughput} of 2");
    assert!(limit <= LIMIT_FOR_TWO_CORES, "{case:?} has a mean limit of {limit}");
    assert!(changes <= CHANGES, "{case:?} changed its limit {changes} times");

    let case = Loop { cores: f64::INFINITY, ..case };
    let (throughput, ..) = case.settled();
    assert!(throughput >= 0.95 * f64::from(MAX), "{case:?} got {throughput} of {MAX}");
}

/// An application in Node over direct channels answers 2,700 requests a second one by one, 8,000
/// with four at once and 21,000 with 64 at once: a request takes 330 us, and 42 us for each one
/// that runs.
const LOOP_SERVICE_NS: f64 = 372.0 * US;
const LOOP_EACH: f64 = 42.0 / 372.0;

#[test]
fn an_event_loop_that_knows_few_clients_gets_what_many_need() {
    let most = 64.0 / (1.0 + 63.0 * LOOP_EACH);
    for (seed, even) in (1..=40).flat_map(|seed| [(seed, false), (seed, true)]) {
        let bounds = Bounds { in_one_go_ns: 2_000_000, ..BOUNDS };
        let mut world = World::new(bounds, LOOP_SERVICE_NS);
        world.random.0 = world.random.0.wrapping_mul(seed);
        world.each = LOOP_EACH;
        world.even = even;
        world.join(1, 0.0);
        world.run(0.5 * S, u64::MAX);
        world.join(3, 0.0);
        world.run(S, u64::MAX);
        world.join(60, 0.0);
        world.run(1.25 * S, u64::MAX);
        let seen = world.run(1.75 * S, u64::MAX);
        let part = seen.throughput(world.now_ns) * LOOP_SERVICE_NS / most;
        println!("seed {seed}, even {even}: {part:.2} of the throughput, limit {}", world.limit);
        assert!(part >= 0.85, "{part} of the throughput, seed {seed}, even {even}");
    }
}

/// Two cores, a function that computes, and a controller that knows it.
fn computers(service_ns: f64) -> World {
    let mut world = World::new(BOUNDS, service_ns);
    world.cores = 2.0;
    world.join(32, 500.0 * service_ns);
    world.run(20_000.0 * service_ns, u64::MAX);
    assert!(f64::from(world.limit) <= 2.0 * LIMIT_FOR_TWO_CORES, "limit {}", world.limit);
    world
}

#[test]
fn a_function_that_turns_from_computing_to_sleeping_gets_more() {
    // The last: fewer calls end than an experiment needs, but not so much fewer than before that it
    // shows by itself.
    let cases = [
        (100.0 * US, 100.0 * US, S),
        (100.0 * US, 2.0 * S, 60.0 * S),
        (100.0 * MS, 0.7 * S, 120.0 * S),
    ];
    for (was_ns, service_ns, learn_ns) in cases {
        let mut world = computers(was_ns);
        world.cores = f64::INFINITY;
        world.service_ns = service_ns;
        world.run(world.now_ns + learn_ns, u64::MAX);
        let seen = world.run(world.now_ns + (0.5 * S).max(200.0 * service_ns), u64::MAX);
        let part = seen.throughput(world.now_ns) * service_ns / 32.0;
        println!(
            "after the turn to {} us: {:.1} % of the throughput",
            service_ns / US,
            100.0 * part
        );
        assert!(part >= 0.95, "{part} of the throughput");
    }
}

#[test]
fn a_cap_is_no_evidence_once_calls_hang() {
    let mut world = computers(100.0 * US);
    world.cores = 1e-9;
    let hung_ns = world.now_ns;
    while world.limit < 32 && world.now_ns < hung_ns + S {
        world.run(world.now_ns + MS, u64::MAX);
    }
    let after_ms = (world.now_ns - hung_ns) / MS;
    println!("all hang: limit {} after {after_ms:.0} ms", world.limit);
    assert!(after_ms <= 200.0, "limit {} after {after_ms} ms", world.limit);
}

#[test]
fn a_rate_that_rises_tenfold_in_an_instant_is_followed() {
    for service_ns in [2.0 * US, 100.0 * US, 100.0 * MS] {
        let mut world = World::new(BOUNDS, service_ns);
        let learn_ns = (0.1 * S).max(200.0 * service_ns);
        world.set_rate(0.8 / service_ns);
        world.run(learn_ns, u64::MAX);
        let before = world.limit;
        world.set_rate(8.0 / service_ns);
        let seen = world.run(2.0 * learn_ns, u64::MAX);
        let wait_ns = seen.mean_wait_ns();
        println!(
            "step {:>9} us: limit {before}, then {} (highest {}), wait {:.3} ms",
            service_ns / US,
            world.limit,
            seen.limit_highest,
            wait_ns / MS
        );
        // What a queue must be old before anything is done, and a few service times to do it in.
        assert!(wait_ns <= 2.0 * MS + 3.0 * service_ns, "mean wait of {wait_ns} ns after the step");
        assert!(world.limit >= 8, "limit {} for tau 8", world.limit);

        world.set_rate(0.8 / service_ns);
        world.run(world.now_ns + 10.0 * S + 100.0 * service_ns, 1_000_000);
        println!("and back: limit {}", world.limit);
        assert!(world.limit <= 4, "limit {} for tau 0.8", world.limit);
    }
}

#[test]
fn a_burst_out_of_quiet_runs_at_max() {
    for service_ns in [2.0 * US, 100.0 * MS] {
        let mut world = World::new(BOUNDS, service_ns);
        for _ in 0..200 {
            world.arrive();
        }
        world.dispatch();
        let seen = world.run(f64::INFINITY, 200 - u64::from(MAX));
        println!("burst {:>9} us: wait {:.2} t", service_ns / US, seen.mean_wait_ns() / service_ns);
        // With 64 running the last of 200 starts after 136 / 64 service times; those that wait do
        // so for half as long.
        assert!(seen.mean_wait_ns() <= 1.5 * service_ns, "{seen:?}");
    }
}

#[test]
fn a_burst_into_a_low_load_raises_the_limit() {
    let service_ns = 100.0 * MS;
    let mut world = World::new(BOUNDS, service_ns);
    world.set_rate(0.5 / service_ns);
    world.run(20.0 * S, u64::MAX);
    assert!(world.limit <= 4, "limit {}", world.limit);
    for _ in 0..200 {
        world.arrive();
    }
    let began_ns = world.now_ns;
    world.dispatch();
    world.run(f64::INFINITY, 200);
    let took = (world.now_ns - began_ns) / service_ns;
    println!("burst into a low load: {took:.1} t, limit {}", world.limit);
    // At the limit of before it would take at least 50, and with τ alone, which follows slowly, 40.
    assert!(took <= 35.0, "{took} service times");
}

#[test]
fn calls_that_hang_do_not_hold_up_the_others_for_long() {
    let mut control = Concurrency::new(BOUNDS);
    let mut now = 0;
    for _ in 0..1_000 {
        control.arrived(now);
        now += 2_000;
        control.ended(now, 2_000, 2_000);
        now += 2_000;
    }
    let limit = control.limit(now, None);
    assert!(limit <= 2, "limit {limit}");
    // From here on nothing ends, and one call is queued.
    let since = now;
    control.arrived(now);
    let mut timers = 0;
    while control.limit(now, Some(since)) < MAX {
        timers += 1;
        assert!(timers < 1_000, "limit {}", control.limit(now, Some(since)));
        let next =
            control.next_change_ns(Some(since)).expect("below max there is always a next time");
        assert!(next > now);
        now = next;
    }
    let waited = now - since;
    println!("at max after {} ms", waited / 1_000_000);
    assert!(waited <= 50_000_000, "{waited} ns");
    assert_eq!(control.next_change_ns(Some(since)), None);
    assert_eq!(control.next_change_ns(None), None);
}

#[test]
fn a_load_that_stops_leaves_nothing_behind() {
    for service_ns in [2.0 * US, 100.0 * MS] {
        let mut world = World::new(Bounds { min: 2, ..BOUNDS }, service_ns);
        world.set_rate(3.9 / service_ns);
        world.run(f64::INFINITY, 2_000);
        let report = world.control.report(world.now());
        println!("{report:?} {}", report.why);
        assert!((2.0..8.0).contains(&report.tau), "{report:?}");
        assert!(matches!(report.why, Why::Tau { .. } | Why::Raised { .. }), "{report:?}");
        assert!(world.control.workers_needed(world.now()) >= 4);
        world.set_rate(0.0);
        world.run(world.now_ns + 40.0 * service_ns, u64::MAX);
        assert_eq!(world.running.len(), 0);

        let quiet = world.now() + QUIET_AFTER_NS;
        assert!(!world.control.is_quiet(world.now()));
        assert!(world.control.is_quiet(quiet));
        assert_eq!(world.control.limit(quiet, None), MAX);
        assert_eq!(world.control.workers_needed(quiet), 2);
        let report = world.control.report(quiet);
        assert_eq!((report.rate_per_s, report.run_ns, report.open_ns), (0.0, 0.0, 0.0));
        assert_eq!((report.tau, report.tau_open, report.why), (0.0, 0.0, Why::Unknown));
        assert_eq!(
            report.why.to_string(),
            "fewer than 16 calls ended in the last 10 s: limit is max"
        );
    }
}

#[test]
fn tau_is_unknown_until_sixteen_calls_have_ended_in_ten_seconds() {
    let mut control = Concurrency::new(BOUNDS);
    let end_one_at = |control: &mut Concurrency, ms: u64| {
        control.arrived(ms * 1_000_000 - 1_000);
        control.ended(ms * 1_000_000, 1_000, 1_000);
        control.limit(ms * 1_000_000, None)
    };
    for call in 1..=15 {
        assert_eq!(end_one_at(&mut control, call * 600), MAX, "after {call} calls");
    }
    assert_eq!(
        end_one_at(&mut control, 9_600),
        2,
        "a tau of nearly 0 needs a worker, and gives it headroom"
    );
    // The first of them ended at 0.6 s.
    assert_eq!(control.limit(10_599_000_000, None), 2);
    assert_eq!(control.limit(11_000_000_000, None), MAX);
}

#[test]
fn open_calls_size_the_worker_set() {
    let mut control = Concurrency::new(Bounds { max: 8, ..BOUNDS });
    // 1,000 calls a second that run for 1 ms and then wait for 15 ms.
    for ms in 0..1_000u64 {
        control.arrived(ms * 1_000_000);
        control.ended(ms * 1_000_000, 1_000_000, 16_000_000);
    }
    let now = 1_000_000_000;
    let report = control.report(now);
    assert!((report.rate_per_s - 1_000.0).abs() < 20.0, "{report:?}");
    assert!((report.tau - 1.0).abs() < 0.02 && (report.tau_open - 16.0).abs() < 0.3, "{report:?}");
    let needed = control.workers_needed(now);
    assert!((20..=22).contains(&needed), "{needed} workers, though only 8 may run");
    assert!(control.limit(now, None) <= 4);
}

#[test]
fn bounds_are_held_and_said() {
    let mut reports = [(1, 2), (9, 64), (4, 3), (0, 0)].map(|(min, max)| {
        let mut world = World::new(Bounds { min, max, ..BOUNDS }, 100.0 * US);
        world.set_rate(if max == 0 { 0.1 } else { 3.9 } / world.service_ns);
        world.run(f64::INFINITY, 20_000);
        world.control.report(world.now())
    });
    for report in &mut reports {
        println!("{}: {}", report.limit, report.why);
    }
    let [at_max, at_min, crossed, zero] = reports;
    assert_eq!((at_max.limit, at_max.why), (2, Why::HeldAtMax));
    assert_eq!((at_min.limit, at_min.why), (9, Why::HeldAtMin));
    assert_eq!(crossed.limit, 4);
    assert_eq!(zero.limit, 1);
}

#[derive(Debug, Clone)]
enum Event {
    Arrived,
    /// At a time that much ago.
    ArrivedLate(u64),
    Ended(u64, u64),
    Limit(Option<u64>),
    Workers,
    Report,
}

/// Small, middling and absurd numbers.
fn nanoseconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..3u64,
        8 => 0..20_000_000u64,
        1 => 0..20_000_000_000u64,
        1 => u64::MAX - 3..=u64::MAX,
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Arrived),
        1 => nanoseconds().prop_map(Event::ArrivedLate),
        6 => (nanoseconds(), nanoseconds()).prop_map(|(run, open)| Event::Ended(run, open)),
        4 => proptest::option::of(nanoseconds()).prop_map(Event::Limit),
        1 => Just(Event::Workers),
        1 => Just(Event::Report),
    ]
}

/// Steps of time; a run of the same event in each, since only many calls get far into the rules.
fn steps() -> impl Strategy<Value = Vec<(u64, Event, u16)>> {
    let step = prop_oneof![6 => Just(0u64), 12 => 0..2_000_000u64, 1 => nanoseconds()];
    proptest::collection::vec((step, event(), 1..200u16), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 1_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_events_breaks_it(min in 0..70u32, max in 0..70u32, steps in steps()) {
        let bounds = Bounds { min, max, in_one_go_ns: u64::from(min) * 100_000 };
        let mut control = Concurrency::new(bounds);
        let max = max.max(min).max(1);
        let mut now = 0u64;
        for (step, event, times) in steps {
            for _ in 0..times {
                now = now.saturating_add(step);
                match event {
                    Event::Arrived => control.arrived(now),
                    Event::ArrivedLate(ago) => control.arrived(now.saturating_sub(ago)),
                    Event::Ended(run, open) => {
                        control.arrived(now);
                        control.ended(now, run, open);
                    }
                    Event::Limit(waited) => {
                        let since = waited.map(|waited| now.saturating_sub(waited));
                        let limit = control.limit(now, since);
                        prop_assert!(limit >= min.max(1) && limit <= max, "limit {limit}");
                        if let Some(next) = control.next_change_ns(since) {
                            prop_assert!(next > now || now == u64::MAX);
                            prop_assert!(since.is_some() && limit < max);
                        }
                    }
                    Event::Workers => prop_assert!(control.workers_needed(now) >= min),
                    Event::Report => {
                        let report = control.report(now);
                        let figures = [report.rate_per_s, report.run_ns, report.open_ns];
                        for figure in figures.into_iter().chain([report.tau, report.tau_open]) {
                            prop_assert!(figure.is_finite() && figure >= 0.0, "{report:?}");
                        }
                        prop_assert!(!report.why.to_string().is_empty());
                    }
                }
            }
        }
    }
}
