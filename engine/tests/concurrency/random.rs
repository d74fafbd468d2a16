//! Random events: the limit stays within its bounds, and no reported number is absurd.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Event {
    Arrived,
    /// A call arrived this many ns ago.
    ArrivedLate(u64),
    /// A call ended. The numbers are the times, in ns, for which it ran and was open.
    Ended(u64, u64),
    Limit(Option<u64>),
    Workers,
    Report,
}

/// Returns small, usual and absurd numbers.
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

/// Returns steps: a time in ns, an event, and how often the event happens. Only many calls reach
/// all rules.
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
