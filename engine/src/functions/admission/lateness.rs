//! Measures how fast a function's queue drains, so that a call which would end too late is refused
//! on arrival.
//!
//! Without this, an overloaded function answers no call in time. Its queue is first in, first out:
//! each call gets its turn when most of its time is gone, and then runs for nothing. See
//! `docs/decisions/late-calls.md`.

use super::refusal::Refusal;

/// The time between two starts is averaged over about this many starts. If these times are
/// distributed exponentially, the standard error of the average is an eighth.
const SPAN_STARTS: f64 = 64.0;
/// The time is also averaged over about this many starts, and the lower average is used. So a
/// function that has become faster, or was stopped for a while, is not held to its earlier pace.
const SPAN_LATELY_STARTS: f64 = 16.0;
/// A time counts at most as this many times the average: a pause says nothing about the pace. If a
/// function has become slower for good, the average still follows within some tens of starts.
const OUTLIER: f64 = 8.0;
/// The time that a call is open is averaged over about this many answers.
const SPAN_ANSWERS: f64 = 64.0;
/// With fewer answers than this the average is unknown, for the same reason as the pace.
const KNOWN_ANSWERS: f64 = 16.0;
/// With fewer starts than this the pace is unknown: the error would be more than a quarter.
const KNOWN_STARTS: usize = 16;
/// Older averages say nothing about the calls that arrive now. A time between two starts that is
/// longer than this is not counted.
const FORGET_AFTER_NS: u64 = 5_000_000_000;
/// The estimate of the wait is increased by the error of the average, which is an eighth. For the
/// randomness of the wait itself, it is also increased by twice its standard error, which grows
/// with the square root of the number of calls ahead.
const ERROR: f64 = 0.125;
const DEVIATIONS: f64 = 2.0;

/// The pace at which queued calls start while others wait behind them. At such times the function
/// decides when the next call starts, not its clients.
#[derive(Clone, Debug, Default)]
pub struct Lateness {
    first: First,
    average: Average,
    lately: Average,
    /// When the last call started, if other calls were queued behind it.
    last_start_ns: Option<u64>,
    known_at_ns: u64,
    /// The time from a call's dispatch to its answer, ns.
    open: Average,
}

/// A weighted sum of times and the sum of their weights; both decay at the same rate.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    count: f64,
    sum_ns: f64,
}

/// Limits a time to [`OUTLIER`] averages. If the average is 0, since all calls so far started at
/// one moment, there is no limit.
fn cut(gap_ns: u64, average_ns: f64) -> f64 {
    let most = if average_ns > 0.0 { OUTLIER * average_ns } else { f64::INFINITY };
    (gap_ns as f64).min(most)
}

/// The first times between two starts, ns. Until all of them are known, there is no average that
/// could identify a pause among them.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    gaps_ns: [u64; KNOWN_STARTS],
    known: usize,
}

impl First {
    /// Adds a time. Returns false if all are known already.
    fn add(&mut self, gap_ns: u64) -> bool {
        let Some(place) = self.gaps_ns.get_mut(self.known) else { return false };
        *place = gap_ns;
        self.known += 1;
        true
    }

    fn are_all(&self) -> bool {
        self.known == KNOWN_STARTS
    }

    /// The times, of which the longest counts at most as [`OUTLIER`] times the average of the
    /// others.
    fn without_outlier(&self) -> [f64; KNOWN_STARTS] {
        let longest = self.gaps_ns.into_iter().max().unwrap_or(0);
        let all: f64 = self.gaps_ns.iter().map(|gap_ns| *gap_ns as f64).sum();
        let others = (all - longest as f64) / (KNOWN_STARTS - 1) as f64;
        self.gaps_ns.map(|gap_ns| cut(gap_ns, others))
    }
}

impl Average {
    fn add(&mut self, ns: f64, span: f64) {
        let keep = 1.0 - 1.0 / span;
        self.count = self.count * keep + 1.0;
        self.sum_ns = self.sum_ns * keep + ns;
    }

    fn mean_ns(self) -> f64 {
        self.sum_ns / self.count.max(1.0)
    }
}

/// The facts of a call that is to be admitted, and of the calls ahead of it.
#[derive(Clone, Copy, Debug)]
pub struct Turnaround {
    /// How many calls are in the queue.
    pub queued: u32,
    /// The time until the call's deadline, ns.
    pub left_ns: u64,
}

impl Lateness {
    /// Admits a call unless it would end after its deadline. The estimate is the time until its
    /// turn, and then the average time that a call is open.
    pub fn check(&self, now_ns: u64, call: Turnaround) -> Result<(), Refusal> {
        let Turnaround { queued, left_ns } = call;
        if queued == 0 {
            return Ok(());
        }
        let wait_ns = self.wait_ns(now_ns, queued);
        let takes_ns = wait_ns.map(|wait_ns| wait_ns.saturating_add(self.open_ns()));
        match takes_ns.filter(|takes_ns| *takes_ns > left_ns) {
            Some(takes_ns) => Err(Refusal::TooLate { queued, takes_ns, left_ns }),
            None => Ok(()),
        }
    }

    /// Notes that a call enters an empty queue. The time without a queue is not a time between two
    /// starts.
    pub fn queue_began(&mut self) {
        self.last_start_ns = None;
    }

    /// Notes that a queued call starts while this many are still queued.
    pub fn started(&mut self, now_ns: u64, queued: u32) {
        if let Some(last_ns) = self.last_start_ns
            && now_ns.saturating_sub(last_ns) < FORGET_AFTER_NS
        {
            if self.is_forgotten(now_ns) {
                self.forget();
            }
            let gap_ns = now_ns.saturating_sub(last_ns);
            if !self.first.add(gap_ns) {
                self.add(cut(gap_ns, self.average.mean_ns()));
            } else if self.first.are_all() {
                self.first.without_outlier().into_iter().for_each(|gap_ns| self.add(gap_ns));
            }
            self.known_at_ns = now_ns;
        }
        self.last_start_ns = (queued > 0).then_some(now_ns);
    }

    fn add(&mut self, gap_ns: f64) {
        self.average.add(gap_ns, SPAN_STARTS);
        self.lately.add(gap_ns, SPAN_LATELY_STARTS);
    }

    /// Notes that a call was answered before its deadline, `open_ns` after its dispatch. Calls that
    /// are open until their deadline say nothing about others: the thing they waited for may have
    /// recovered.
    pub fn answered(&mut self, open_ns: u64) {
        self.open.add(open_ns as f64, SPAN_ANSWERS);
    }

    /// The average time from a call's dispatch to its answer, ns; 0 while it is unknown.
    fn open_ns(&self) -> u64 {
        if self.open.count < KNOWN_ANSWERS { 0 } else { self.open.mean_ns() as u64 }
    }

    /// Forgets the pace, which is not that of the calls that arrive now.
    pub fn forget(&mut self) {
        *self = Lateness::default();
    }

    fn is_forgotten(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.known_at_ns) > FORGET_AFTER_NS
    }

    /// How long it may take, in ns, until a call behind `queued` others has its turn. `None` if the
    /// pace is unknown.
    pub fn wait_ns(&self, now_ns: u64, queued: u32) -> Option<u64> {
        if !self.first.are_all() || self.is_forgotten(now_ns) {
            return None;
        }
        let before = f64::from(queued);
        let starts = before * (1.0 + ERROR) + DEVIATIONS * before.sqrt();
        // The cast saturates.
        Some((starts * self.average.mean_ns().min(self.lately.mean_ns())) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn drained(starts: u64, gap_ns: u64) -> (Lateness, u64) {
        let mut lateness = Lateness::default();
        for start in 0..=starts {
            lateness.started(start * gap_ns, 10);
        }
        (lateness, starts * gap_ns)
    }

    #[test]
    fn a_wait_is_the_calls_before_times_the_time_between_two_starts_and_a_margin() {
        let (lateness, now) = drained(200, 5 * MS);
        assert_eq!(lateness.wait_ns(now, 0), Some(0));
        let wait = lateness.wait_ns(now, 100).unwrap();
        assert!(wait.abs_diff(5 * MS * (112 + 20)) < 5 * MS, "{wait}");
    }

    #[test]
    fn few_starts_and_old_ones_say_nothing() {
        let (lateness, now) = drained(15, MS);
        assert_eq!(lateness.wait_ns(now, 1), None);
        let (lateness, now) = drained(20, MS);
        assert!(lateness.wait_ns(now, 1).is_some());
        assert_eq!(lateness.wait_ns(now + FORGET_AFTER_NS + 1, 1), None);
    }

    #[test]
    fn time_without_a_queue_does_not_count() {
        let (mut lateness, now) = drained(200, MS);
        let before = lateness.wait_ns(now, 10);
        lateness.started(now + MS, 0);
        lateness.started(now + 500 * MS, 10);
        lateness.queue_began();
        lateness.started(now + 900 * MS, 10);
        assert_eq!(lateness.wait_ns(now + 900 * MS, 10), before);
    }

    #[test]
    fn a_pause_is_no_pace() {
        for pause_ns in [100 * MS, 1000 * MS, FORGET_AFTER_NS, 60_000 * MS] {
            let (mut lateness, mut now) = drained(200, MS);
            now += pause_ns;
            for _ in 0..20 {
                now += MS;
                lateness.started(now, 10);
            }
            let wait = lateness.wait_ns(now, 10).unwrap_or(0);
            assert!(wait < 30 * MS, "after {pause_ns} ns: {wait}");
        }
    }

    #[test]
    fn a_pause_among_the_first_starts_is_no_pace() {
        for before in 0..16 {
            let (mut lateness, mut now) = drained(before, MS);
            now += 1400 * MS;
            lateness.started(now, 10);
            for _ in 0..20 {
                now += MS;
                lateness.started(now, 10);
            }
            let wait = lateness.wait_ns(now, 10).unwrap_or(0);
            assert!(wait < 60 * MS, "after {before} starts: {wait}");
        }
    }

    #[test]
    fn starts_at_one_moment_do_not_hide_the_pace() {
        let mut lateness = Lateness::default();
        for _ in 0..100 {
            lateness.started(0, 10);
        }
        for start in 1..=100 {
            lateness.started(start * 10 * MS, 10);
        }
        let wait = lateness.wait_ns(1000 * MS, 10).unwrap();
        assert!(wait > 50 * MS, "{wait}");
    }

    #[test]
    fn a_function_that_becomes_faster_or_slower_is_seen_within_some_starts() {
        let (mut lateness, mut now) = drained(200, 100 * MS);
        for _ in 0..4 * SPAN_STARTS as u32 {
            now += MS;
            lateness.started(now, 1);
        }
        let wait = lateness.wait_ns(now, 1).unwrap();
        assert!(wait < 10 * MS, "{wait}");
        for _ in 0..4 * SPAN_STARTS as u32 {
            now += 100 * MS;
            lateness.started(now, 1);
        }
        let wait = lateness.wait_ns(now, 1).unwrap();
        assert!(wait > 200 * MS, "{wait}");
    }
}
