//! Loads and functions that change, bursts, and calls that hang.

use super::*;

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
    // In the last case fewer calls end than an experiment needs, but the drop is too small to show
    // by itself.
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
        // The controller acts when a queue has reached a certain age. After that it needs a few
        // service times.
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
        // With 64 running calls, the last of 200 starts after 136 / 64 service times. The mean wait
        // is half of that.
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
    // At the previous limit it would take at least 50 service times, and with τ alone, which
    // follows slowly, 40.
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
    // From here on no call ends, and one call is queued.
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
