//! Clients that each make the next call when the last one has ended.

use super::*;

/// Clients in a closed loop, and the properties of their function.
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
    /// Returns the throughput in calls per service time, the mean limit, and how often the limit
    /// changed, once all clients have joined and the controller has had time to learn.
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

/// Returns loads of clients that join slowly, for every kind of handler.
fn loops(cores: f64) -> impl Iterator<Item = Loop> {
    [2.0 * US, 100.0 * US, 100.0 * MS].into_iter().flat_map(move |service_ns| {
        // For calls of 2 us, one new client every 2 ms is slow enough; 50 ms would only make the
        // test slower.
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

/// An experiment changes the limit about ten times, and at most six experiments fit into the
/// measured time.
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
    // There are so few clients that none waits, so only the reference holds the limit down.
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

/// A Node application over direct channels answers 2,700 requests per second one by one, 8,000 with
/// four at once, and 21,000 with 64 at once. So a request takes 330 us, plus 42 us for each request
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
