//! The results of a load: how its calls ended, and how long they took.

use hdrhistogram::{CreationError, Histogram};
use nightcore_load::Sent;
use std::collections::BTreeMap;

/// The number of digits of each latency that are kept. More digits would not be repeatable.
const DIGITS: u8 = 3;
/// An hour, in ns: longer than the longest run, so that no latency is cut off.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// The time in which calls are measured, in ns of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MeasuredTime {
    pub from: u64,
    pub until: u64,
}

impl MeasuredTime {
    /// Returns its length in seconds.
    pub(super) fn seconds(self) -> f64 {
        self.until.saturating_sub(self.from) as f64 / 1e9
    }

    /// Returns the part of the window before `now`.
    pub(super) fn ended_at(self, now: u64) -> MeasuredTime {
        MeasuredTime { from: self.from, until: self.until.min(now) }
    }

    fn contains(self, at: u64) -> bool {
        (self.from..=self.until).contains(&at)
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallResult {
    Answered,
    /// With an error of this name.
    Failed(String),
}

/// The results of the calls that were due in a window.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    window: MeasuredTime,
    /// The number of calls that were due.
    pub due: u64,
    /// The number of due calls that were sent.
    pub sent: u64,
    /// The number of due calls that were answered.
    pub answered: u64,
    /// The number of due calls that failed, by the error's name.
    pub failed: BTreeMap<String, u64>,
    /// The number of calls that ended within the window, whenever they were due. In a steady state
    /// it equals the number of calls that were due.
    pub ended_in_time: u64,
    /// The number of these calls that were answered.
    pub answered_in_time: u64,
    /// The time from due to answered, in ns.
    pub latency: Histogram<u64>,
    /// The time from due to sent, in ns, of the calls that were answered.
    pub waited: Histogram<u64>,
}

impl Tally {
    /// Creates an empty tally.
    pub(super) fn new(window: MeasuredTime) -> Result<Tally, CreationError> {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_NS, DIGITS)?;
        Ok(Tally {
            window,
            due: 0,
            sent: 0,
            answered: 0,
            failed: BTreeMap::new(),
            ended_in_time: 0,
            answered_in_time: 0,
            latency: histogram.clone(),
            waited: histogram,
        })
    }

    /// Records that a call is due. Calls due before the window are warm-up.
    pub(super) fn due(&mut self, due: u64) {
        self.due += u64::from(due >= self.window.from);
    }

    /// Records that a call that was due at this time is sent.
    pub(super) fn sent(&mut self, due: u64) {
        self.sent += u64::from(due >= self.window.from);
    }

    /// Records that a call has ended.
    pub(super) fn ended(&mut self, call: Sent, now: u64, ending: CallResult) {
        let in_time = u64::from(self.window.contains(now));
        self.ended_in_time += in_time;
        if ending == CallResult::Answered {
            self.answered_in_time += in_time;
        }
        if call.due < self.window.from {
            return;
        }
        match ending {
            CallResult::Answered => {
                self.answered += 1;
                self.latency.saturating_record(now.saturating_sub(call.due));
                self.waited.saturating_record(call.at.saturating_sub(call.due));
            }
            CallResult::Failed(error) => *self.failed.entry(error).or_default() += 1,
        }
    }

    /// Returns the number of failed calls.
    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: MeasuredTime = MeasuredTime { from: 1_000_000, until: 2_000_000 };

    fn tally(calls: &[(u64, u64, u64, CallResult)]) -> Tally {
        let mut tally = Tally::new(WINDOW).unwrap();
        for (due, at, now, ending) in calls {
            let call = Sent { due: *due, at: *at };
            tally.due(*due);
            tally.sent(*due);
            tally.ended(call, *now, ending.clone());
        }
        tally
    }

    #[test]
    fn latency_counts_from_when_a_call_was_due() {
        let tally = tally(&[(1_000_000, 1_300_000, 1_400_000, CallResult::Answered)]);
        assert_eq!((tally.due, tally.sent, tally.answered), (1, 1, 1));
        assert!(tally.latency.equivalent(tally.latency.max(), 400_000), "{}", tally.latency.max());
        assert!(tally.waited.equivalent(tally.waited.max(), 300_000), "{}", tally.waited.max());
    }

    #[test]
    fn errors_are_counted_by_name_and_have_no_latency() {
        let failed = |name: &str| CallResult::Failed(name.to_owned());
        let tally = tally(&[
            (1_000_000, 1_000_000, 1_000_100, failed("OVERLOADED")),
            (1_000_000, 1_000_000, 1_000_100, failed("FUNCTION_FAILED")),
            (1_000_000, 1_000_000, 1_000_100, failed("OVERLOADED")),
        ]);
        let counts: Vec<(&str, u64)> =
            tally.failed.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(counts, [("FUNCTION_FAILED", 1), ("OVERLOADED", 2)]);
        assert_eq!((tally.failures(), tally.answered, tally.latency.len()), (3, 0, 0));
        assert_eq!((tally.ended_in_time, tally.answered_in_time), (3, 0));
    }

    #[test]
    fn warming_up_is_not_measured_and_ends_in_time_all_the_same() {
        let tally = tally(&[
            (999_999, 999_999, 999_999, CallResult::Answered),
            (999_999, 999_999, 1_000_000, CallResult::Answered),
            (1_999_999, 1_999_999, 2_000_001, CallResult::Answered),
        ]);
        assert_eq!((tally.due, tally.sent, tally.answered, tally.latency.len()), (1, 1, 1, 1));
        assert_eq!((tally.ended_in_time, tally.answered_in_time), (1, 1));
    }

    #[test]
    fn a_window_that_is_cut_short_is_never_less_than_nothing() {
        assert_eq!(WINDOW.ended_at(1_500_000), MeasuredTime { from: 1_000_000, until: 1_500_000 });
        assert_eq!(WINDOW.ended_at(3_000_000), WINDOW);
        assert_eq!(WINDOW.ended_at(5).seconds(), 0.0);
    }
}
