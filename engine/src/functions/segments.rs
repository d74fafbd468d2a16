//! How long a function's calls spent in each segment of their way, since the engine started.
//!
//! The segments are: queued, from a call's arrival to its dispatch; woken, from there until the
//! handler began; ran, until the handler ended, including its waits for internal calls; returned,
//! until the engine had the answer.

use super::histogram::Histogram;
use nightcore_runtime::protocol::desk_counts::{DeskCounts, Segment};

/// When a handler began and ended, as its worker reports it, in ns of the monotonic clock, which
/// all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// When the handler began.
    pub began_at: u64,
    /// When it ended.
    pub ended_at: u64,
}

impl Ran {
    /// Limits the worker's times to what is possible for a call that was dispatched at
    /// `dispatched_at` and answered at `now`.
    pub fn within(self, dispatched_at: u64, now: u64) -> Ran {
        let began_at = self.began_at.clamp(dispatched_at, now);
        Ran { began_at, ended_at: self.ended_at.clamp(began_at, now) }
    }
}

/// How long a function's calls spent in each segment.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    /// In the queue.
    pub queued: Histogram,
    /// On the way to the handler.
    pub woken: Histogram,
    /// In the handler.
    pub ran: Histogram,
    /// On the way back.
    pub returned: Histogram,
    /// In all segments together.
    pub whole: Histogram,
}

impl Segments {
    /// Adds direct calls. They are not queued, and the time of their way back is not known.
    pub fn add(&mut self, counts: &DeskCounts) {
        for segment in Segment::ALL {
            let histogram = match segment {
                Segment::Woken => &mut self.woken,
                Segment::Ran => &mut self.ran,
                Segment::Whole => &mut self.whole,
            };
            let at = segment as usize;
            histogram.add(&counts.histograms[at], counts.sums_ns[at]);
        }
    }

    /// Counts a call that is answered at `now`.
    pub fn record(&mut self, queued_at: u64, dispatched_at: u64, ran: Ran, now: u64) {
        self.queued.record(dispatched_at.saturating_sub(queued_at));
        self.woken.record(ran.began_at.saturating_sub(dispatched_at));
        self.ran.record(ran.ended_at.saturating_sub(ran.began_at));
        self.returned.record(now.saturating_sub(ran.ended_at));
        self.whole.record(now.saturating_sub(queued_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_segment_is_what_lies_between() {
        let mut segments = Segments::default();
        segments.record(1_000, 2_000, Ran { began_at: 4_000, ended_at: 12_000 }, 16_000);
        let Segments { queued, woken, ran, returned, whole } = segments;
        let sums = [queued, woken, ran, returned, whole]
            .map(|segment| (segment.count(), segment.sum_s() * 1e9));
        assert_eq!(
            sums.map(|(count, ns)| (count, ns.round() as u64)),
            [(1, 1_000), (1, 2_000), (1, 8_000), (1, 4_000), (1, 15_000)]
        );
    }

    #[test]
    fn impossible_times_are_clamped() {
        let ran = |began_at, ended_at| Ran { began_at, ended_at }.within(100, 200);
        assert_eq!(ran(110, 150), Ran { began_at: 110, ended_at: 150 });
        assert_eq!(ran(0, u64::MAX), Ran { began_at: 100, ended_at: 200 });
        assert_eq!(ran(u64::MAX, 0), Ran { began_at: 200, ended_at: 200 });
    }
}
