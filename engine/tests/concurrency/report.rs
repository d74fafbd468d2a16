//! Tests of the controller's reports, and of the number of workers that it asks for.

use super::*;

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
    // The first of these calls ended at 0.6 s.
    assert_eq!(control.limit(10_599_000_000, None), 2);
    assert_eq!(control.limit(11_000_000_000, None), MAX);
}

#[test]
fn open_calls_size_the_worker_set() {
    let mut control = Concurrency::new(Bounds { max: 8, ..BOUNDS });
    // The function gets 1,000 calls per second that run for 1 ms and then wait for 15 ms.
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
fn bounds_are_held_and_reported() {
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
