//! How fast a function's queue drains, so that a call that would come too late is refused when it comes.
//!
//! Without that, a function that gets more than it can do answers nobody: first in, first out, each call gets its turn when
//! most of its time is gone, and what runs then runs for nothing. See `docs/decisions/late-calls.md`.
//!
//! Pure state: time is an argument, in ns of the monotonic clock.

/// The time between two starts is an average over about so many: of exponential times its standard error is an eighth.
const SPAN_STARTS: f64 = 64.0;
/// Or over so many, if that is less: a function that has become faster, or was stopped for a while, is not held to what it was.
const SPAN_LATELY_STARTS: f64 = 16.0;
/// A time counts as so many times the average at most: a pause is no pace. What has become slower for good is followed all the
/// same, within some tens of starts.
const OUTLIER: f64 = 8.0;
/// Or as what it is, while there are fewer to compare it with.
const OUTLIER_STARTS: f64 = 4.0;
/// From fewer nothing is said: the error would be more than a quarter.
const KNOWN_STARTS: f64 = 16.0;
/// What was learned so long ago says nothing about the calls that come now, and so long a time between two starts nothing at
/// all.
const FORGET_AFTER_NS: u64 = 5_000_000_000;
/// For the error of the average, an eighth, the wait is taken to be longer by as much; and for the randomness of the
/// wait itself, which grows with the root of the calls before, by twice its standard error.
const ERROR: f64 = 0.125;
const DEVIATIONS: f64 = 2.0;

/// The starts of calls that had to wait, while others waited behind them: then it is the function that says how soon the next
/// one starts, not its clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Drain {
    average: Average,
    lately: Average,
    /// When the last call started, if there were others behind it.
    last_start_ns: Option<u64>,
    known_at_ns: u64,
}

/// Two sums that fade alike.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    starts: f64,
    gaps_ns: f64,
}

impl Average {
    fn add(&mut self, gap_ns: f64, span_starts: f64) {
        let keep = 1.0 - 1.0 / span_starts;
        self.starts = self.starts * keep + 1.0;
        self.gaps_ns = self.gaps_ns * keep + gap_ns;
    }

    fn gap_ns(self) -> f64 {
        self.gaps_ns / self.starts.max(1.0)
    }
}

impl Drain {
    /// A call is queued before which there is none: the time without a queue is no time between two starts.
    pub(super) fn began(&mut self) {
        self.last_start_ns = None;
    }

    /// A queued call starts, and so many are still queued.
    pub(super) fn started(&mut self, now_ns: u64, queued: u32) {
        if let Some(last_ns) = self.last_start_ns
            && now_ns.saturating_sub(last_ns) < FORGET_AFTER_NS
        {
            if self.is_forgotten(now_ns) {
                (self.average, self.lately) = (Average::default(), Average::default());
            }
            let mut gap_ns = now_ns.saturating_sub(last_ns) as f64;
            if self.average.starts >= OUTLIER_STARTS {
                gap_ns = gap_ns.min(OUTLIER * self.average.gap_ns());
            }
            self.average.add(gap_ns, SPAN_STARTS);
            self.lately.add(gap_ns, SPAN_LATELY_STARTS);
            self.known_at_ns = now_ns;
        }
        self.last_start_ns = (queued > 0).then_some(now_ns);
    }

    /// What was learned is not true of the calls that come now.
    pub(super) fn forget(&mut self) {
        *self = Drain::default();
    }

    fn is_forgotten(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.known_at_ns) > FORGET_AFTER_NS
    }

    /// How long the queue may take to come to a call behind so many others, ns; `None` if nobody knows.
    pub(super) fn wait_ns(&self, now_ns: u64, queued: u32) -> Option<u64> {
        if self.average.starts < KNOWN_STARTS || self.is_forgotten(now_ns) {
            return None;
        }
        let before = f64::from(queued);
        let starts = before * (1.0 + ERROR) + DEVIATIONS * before.sqrt();
        // The cast saturates.
        Some((starts * self.average.gap_ns().min(self.lately.gap_ns())) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn drained(starts: u64, gap_ns: u64) -> (Drain, u64) {
        let mut drain = Drain::default();
        for start in 0..=starts {
            drain.started(start * gap_ns, 10);
        }
        (drain, starts * gap_ns)
    }

    #[test]
    fn a_wait_is_the_calls_before_times_the_time_between_two_starts_and_a_margin() {
        let (drain, now) = drained(200, 5 * MS);
        assert_eq!(drain.wait_ns(now, 0), Some(0));
        let wait = drain.wait_ns(now, 100).unwrap();
        assert!(wait.abs_diff(5 * MS * (112 + 20)) < 5 * MS, "{wait}");
    }

    #[test]
    fn few_starts_and_old_ones_say_nothing() {
        let (drain, now) = drained(15, MS);
        assert_eq!(drain.wait_ns(now, 1), None);
        let (drain, now) = drained(20, MS);
        assert!(drain.wait_ns(now, 1).is_some());
        assert_eq!(drain.wait_ns(now + FORGET_AFTER_NS + 1, 1), None);
    }

    #[test]
    fn time_without_a_queue_does_not_count() {
        let (mut drain, now) = drained(200, MS);
        let before = drain.wait_ns(now, 10);
        drain.started(now + MS, 0);
        drain.started(now + 500 * MS, 10);
        drain.began();
        drain.started(now + 900 * MS, 10);
        assert_eq!(drain.wait_ns(now + 900 * MS, 10), before);
    }

    #[test]
    fn a_pause_is_no_pace() {
        for pause_ns in [100 * MS, 1000 * MS, FORGET_AFTER_NS, 60_000 * MS] {
            let (mut drain, mut now) = drained(200, MS);
            now += pause_ns;
            for _ in 0..20 {
                now += MS;
                drain.started(now, 10);
            }
            let wait = drain.wait_ns(now, 10).unwrap_or(0);
            assert!(wait < 30 * MS, "after {pause_ns} ns: {wait}");
        }
    }

    #[test]
    fn a_function_that_becomes_faster_or_slower_is_seen_within_some_starts() {
        let (mut drain, mut now) = drained(200, 100 * MS);
        for _ in 0..4 * SPAN_STARTS as u32 {
            now += MS;
            drain.started(now, 1);
        }
        let wait = drain.wait_ns(now, 1).unwrap();
        assert!(wait < 10 * MS, "{wait}");
        for _ in 0..4 * SPAN_STARTS as u32 {
            now += 100 * MS;
            drain.started(now, 1);
        }
        let wait = drain.wait_ns(now, 1).unwrap();
        assert!(wait > 200 * MS, "{wait}");
    }
}
