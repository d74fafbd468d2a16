//! Calls that arrive at their own rate, whether or not others have ended.

use super::*;

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
