//! The report of a load, for people and for programs.

use super::super::ps::duration;
use super::load::{ANSWERS_WITHIN, LoadEnd, LoadResult, Pace};
use crate::config::format_duration;
use hdrhistogram::Histogram;
use nightcore_runtime::protocol::Status;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The share of the requested rate below which the rate counts as far from it. Calls under way at
/// the end make less of a difference, unless calls take as long as the run.
const FAR_BELOW: f64 = 0.9;

/// The load that was requested.
#[derive(Clone, Copy, Debug)]
pub(super) struct BenchParameters<'a> {
    pub function: &'a str,
    pub pace: Pace,
    pub connections: usize,
    pub warm_up: Duration,
    pub duration: Duration,
}

/// The result of a load.
#[derive(Debug, Serialize)]
pub(super) struct BenchReport {
    function: String,
    /// "open" or "closed".
    #[serde(rename = "loop")]
    kind: &'static str,
    connections: usize,
    warm_up_s: f64,
    /// The duration of the measurement, in s.
    duration_s: f64,
    /// The requested rate, of an open loop.
    asked_per_s: Option<u32>,
    answered_per_s: f64,
    calls: CallCounts,
    /// The number of failed calls, by the error's name.
    errors: BTreeMap<String, u64>,
    /// The time from due, which in a closed loop is from sent, to answered; `None` if no call was
    /// answered.
    latency: Option<Quantiles>,
    /// The part of the latency before a call was sent, of an open loop.
    waited: Option<Quantiles>,
    warnings: Vec<String>,
}

/// The calls that were due during the measurement.
#[derive(Debug, Serialize)]
struct CallCounts {
    due: u64,
    answered: u64,
    failed: u64,
    /// Calls that were sent, and neither answered nor failed by the end.
    unfinished: u64,
    /// Calls that were never sent, because no connection was free.
    unsent: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Quantiles {
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    #[serde(rename = "p99_9_us")]
    p999_us: f64,
    max_us: f64,
}

impl Quantiles {
    fn of(latency_ns: &Histogram<u64>) -> Option<Quantiles> {
        let us = |ns: u64| ns as f64 / 1000.0;
        let at = |quantile| us(latency_ns.value_at_quantile(quantile));
        (!latency_ns.is_empty()).then(|| Quantiles {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: us(latency_ns.max()),
        })
    }

    fn cells(self) -> [String; 5] {
        [self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us].map(duration)
    }
}

impl BenchReport {
    /// Creates the report of an outcome.
    pub(super) fn new(asked: BenchParameters, outcome: &LoadResult) -> BenchReport {
        let tally = &outcome.tally;
        let seconds = outcome.window.seconds();
        let failed = tally.failures();
        let (kind, asked_per_s) = match asked.pace {
            Pace::Open(per_second) => ("open", Some(per_second)),
            Pace::Closed => ("closed", None),
        };
        let is_open = asked_per_s.is_some();
        let mut report = BenchReport {
            function: asked.function.to_owned(),
            kind,
            connections: asked.connections,
            warm_up_s: asked.warm_up.as_secs_f64(),
            duration_s: seconds,
            asked_per_s,
            answered_per_s: if seconds > 0.0 {
                tally.answered_in_time as f64 / seconds
            } else {
                0.0
            },
            calls: CallCounts {
                due: tally.due,
                answered: tally.answered,
                failed,
                unfinished: tally.sent.saturating_sub(tally.answered + failed),
                unsent: tally.due.saturating_sub(tally.sent),
            },
            errors: tally.failed.clone(),
            latency: Quantiles::of(&tally.latency),
            waited: Quantiles::of(&tally.waited).filter(|_| is_open),
            warnings: Vec::new(),
        };
        report.warnings = report.warnings(asked, outcome);
        report
    }

    fn warnings(&self, asked: BenchParameters, outcome: &LoadResult) -> Vec<String> {
        let mut warnings = Vec::new();
        let CallCounts { due, unfinished, unsent, .. } = self.calls;
        match outcome.end {
            LoadEnd::Complete => {}
            LoadEnd::Interrupted | LoadEnd::Lost(_) => {
                let asked = format_duration(asked.duration);
                warnings.push(format!("ended early: {asked} was asked for"));
            }
            LoadEnd::GaveUp => warnings.push(format!(
                "{} calls had not ended {} after the last was due, and are in none of the \
                 latencies",
                unfinished + unsent,
                format_duration(ANSWERS_WITHIN)
            )),
        }
        let is_far_below = (outcome.tally.ended_in_time as f64) < due as f64 * FAR_BELOW;
        if matches!(asked.pace, Pace::Open(_)) && is_far_below {
            warnings.push(format!(
                "of {due} calls that were due only {} ended in time: the function, the engine or \
                 this client is saturated, and latencies grow with the duration; a lower --rate or \
                 more --connections may help",
                outcome.tally.ended_in_time
            ));
        }
        if self.errors.contains_key(Status::NotFound.name()) {
            warnings.push(format!(
                "bench calls as a client does, and clients may not call {}: it has \
                 external = false",
                self.function
            ));
        }
        warnings
    }

    /// Returns an error text if a call failed, or none was answered.
    pub(super) fn failure(&self) -> Option<String> {
        let CallCounts { due, answered, failed, .. } = self.calls;
        match (answered, failed) {
            (0, 0) => Some("no call was answered".to_owned()),
            (_, 0) => None,
            _ => Some(format!("{failed} of {due} calls failed")),
        }
    }

    /// Returns the report as JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Returns the report as text for people.
    pub(super) fn text(&self) -> String {
        let BenchReport { function, connections, .. } = self;
        let (warm_up, measured) = (duration(self.warm_up_s * 1e6), duration(self.duration_s * 1e6));
        let warm_up = if self.warm_up_s > 0.0 {
            format!(" after {warm_up} of warm-up")
        } else {
            String::new()
        };
        let mut text = match self.asked_per_s {
            Some(rate) => {
                format!(
                    "{function}: open loop, {rate} calls/s (Poisson) on {connections} connections"
                )
            }
            None => format!(
                "{function}: closed loop, {connections} connections that call again when they have \
                 their answer"
            ),
        };
        text.push_str(&format!(", {measured}{warm_up}\n\n"));

        let mut rows = vec![("calls".to_owned(), self.calls.due.to_string())];
        rows.push(("answered".to_owned(), self.calls.answered.to_string()));
        rows.extend(self.errors.iter().map(|(error, count)| (error.clone(), count.to_string())));
        for (name, count) in [("unfinished", self.calls.unfinished), ("unsent", self.calls.unsent)]
        {
            if count > 0 {
                rows.push((name.to_owned(), count.to_string()));
            }
        }
        if let Some(rate) = self.asked_per_s {
            rows.push(("asked/s".to_owned(), format!("{:.1}", f64::from(rate))));
        }
        rows.push(("answered/s".to_owned(), format!("{:.1}", self.answered_per_s)));
        let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
        let (names, values) = (
            width(&mut rows.iter().map(|row| row.0.len())),
            width(&mut rows.iter().map(|row| row.1.len())),
        );
        for (name, value) in &rows {
            text.push_str(&format!("{name:<names$}  {value:>values$}\n"));
        }

        if let Some(latency) = self.latency {
            let mut table = vec![["", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned)];
            for (name, quantiles) in [("latency", Some(latency)), ("waited", self.waited)] {
                let Some(quantiles) = quantiles else { continue };
                let [p50, p90, p99, p999, max] = quantiles.cells();
                table.push([name.to_owned(), p50, p90, p99, p999, max]);
            }
            text.push('\n');
            for row in &table {
                let cells = row.iter().enumerate().map(|(i, cell)| {
                    let width = width(&mut table.iter().map(|row| row[i].len()));
                    if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                });
                text.push_str(&(cells.collect::<Vec<_>>().join("  ") + "\n"));
            }
            text.push_str(match self.asked_per_s {
                Some(_) => {
                    "\nlatency: of calls that were answered, from when they were due; waited: its \
                     part until they were sent\n"
                }
                None => {
                    "\nlatency: of calls that were answered, from when they were sent; at a given \
                     rate it is another\n"
                }
            });
        }
        for warning in &self.warnings {
            text.push_str(&format!("warning: {warning}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::{CallResult, MeasuredTime, Tally};
    use super::*;
    use nightcore_load::Sent;

    const SECOND: u64 = 1_000_000_000;
    const WINDOW: MeasuredTime = MeasuredTime { from: SECOND, until: 2 * SECOND };

    fn asked(pace: Pace) -> BenchParameters<'static> {
        let second = Duration::from_secs(1);
        BenchParameters {
            function: "Foo",
            pace,
            connections: 4,
            warm_up: Duration::ZERO,
            duration: second,
        }
    }

    /// Returns the outcome of a second of calls, one due each millisecond. `took` returns how many
    /// µs each takes, and how it ends.
    fn outcome(end: LoadEnd, took: impl Fn(u64) -> Option<(u64, CallResult)>) -> LoadResult {
        let mut tally = Tally::new(WINDOW).unwrap();
        for number in 0..1000 {
            let due = SECOND + number * 1_000_000;
            tally.due(due);
            if let Some((us, ending)) = took(number) {
                let sent = Sent { due, at: due + 1000 };
                tally.sent(due);
                tally.ended(sent, due + us * 1000, ending);
            }
        }
        LoadResult { tally, window: WINDOW, end }
    }

    #[test]
    fn a_good_run_has_its_quantiles_and_no_warning() {
        let outcome = outcome(LoadEnd::Complete, |number| Some((number + 1, CallResult::Answered)));
        let report = BenchReport::new(asked(Pace::Open(1000)), &outcome);
        assert_eq!(report.failure(), None);
        assert_eq!(report.warnings, Vec::<String>::new());
        let latency = report.latency.unwrap();
        for (found, expected) in [
            (latency.p50_us, 500.0),
            (latency.p99_us, 990.0),
            (latency.p999_us, 999.0),
            (latency.max_us, 1000.0),
        ] {
            assert!((found / expected - 1.0f64).abs() < 0.002, "{found} is not {expected}");
        }
        let text = report.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Foo: open loop, 1000 calls/s (Poisson) on 4 connections, 1.0s");
        assert_eq!(lines[2], "calls         1000");
        assert_eq!(lines[3], "answered      1000");
        assert_eq!(lines[4], "asked/s     1000.0");
        assert_eq!(lines[7], "             p50      p90      p99    p99.9    max");
        assert!(
            lines[8].starts_with("latency  500.") && lines[8].ends_with("  1.0ms"),
            "{}",
            lines[8]
        );
        assert!(lines[9].starts_with("waited     1.0us"), "{}", lines[9]);
    }

    #[test]
    fn errors_stand_below_the_answers_and_fail_the_command() {
        let outcome = outcome(LoadEnd::Complete, |number| {
            let failed = CallResult::Failed("OVERLOADED".to_owned());
            Some((10, if number < 12 { failed } else { CallResult::Answered }))
        });
        let report = BenchReport::new(asked(Pace::Open(1000)), &outcome);
        assert_eq!(report.failure().as_deref(), Some("12 of 1000 calls failed"));
        assert!(
            report.text().contains("answered       988\nOVERLOADED      12\n"),
            "{}",
            report.text()
        );
        assert_eq!(report.warnings, Vec::<String>::new(), "the errors say enough");
    }

    #[test]
    fn a_rate_that_is_not_reached_is_told() {
        let outcome = outcome(LoadEnd::GaveUp, |number| {
            (number < 500)
                .then_some((if number < 400 { 10 } else { 2_000_000 }, CallResult::Answered))
        });
        let report = BenchReport::new(asked(Pace::Open(1000)), &outcome);
        assert_eq!(
            (report.calls.answered, report.calls.unsent, report.calls.unfinished),
            (500, 500, 0)
        );
        assert_eq!(report.answered_per_s, 400.0);
        assert!(
            report.warnings[0].starts_with("500 calls had not ended 5s after"),
            "{:?}",
            report.warnings
        );
        assert!(report.warnings[1].contains("only 400 ended in time"), "{:?}", report.warnings);
        assert!(report.text().contains("unsent         500\n"), "{}", report.text());
    }

    #[test]
    fn a_closed_loop_says_that_it_is_one_and_does_not_warn() {
        let outcome =
            outcome(LoadEnd::Complete, |number| (number < 5).then_some((10, CallResult::Answered)));
        let report = BenchReport::new(asked(Pace::Closed), &outcome);
        assert!(
            report.text().starts_with("Foo: closed loop, 4 connections that call again"),
            "{}",
            report.text()
        );
        assert!(
            !report.text().contains("waited") && !report.text().contains("asked/s"),
            "{}",
            report.text()
        );
        assert_eq!(report.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_run_that_ended_in_its_warm_up_has_measured_nothing() {
        let tally = Tally::new(WINDOW).unwrap();
        let window = WINDOW.ended_at(SECOND / 2);
        let report = BenchReport::new(
            asked(Pace::Open(1000)),
            &LoadResult { tally, window, end: LoadEnd::Interrupted },
        );
        assert_eq!(report.failure().as_deref(), Some("no call was answered"));
        assert_eq!(report.answered_per_s, 0.0);
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert!(json["latency"].is_null(), "{json}");
    }
}
