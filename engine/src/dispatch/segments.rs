//! Where the time of a function's calls went, since the engine started.
//!
//! queued: from its arrival to its dispatch; woken: from there until the handler began; ran: until it ended, waits for internal
//! calls included; returned: until the engine had the answer.

use hdrhistogram::Histogram;

/// Longer than any call: times beyond it count as this long.
const MAX_NS: u64 = 24 * 3600 * 1_000_000_000;
/// A sixteenth of a time is lost; one digit more would cost eight times the memory, for each function.
const DIGITS: u8 = 1;

/// When a handler began and ended, as its worker says: ns of the monotonic clock, which all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// When the handler began.
    pub began_at: u64,
    /// When it ended.
    pub ended_at: u64,
}

impl Ran {
    /// As far as it can be true of a call that was dispatched then and answered now.
    pub(super) fn within(self, dispatched_at: u64, now: u64) -> Ran {
        let began_at = self.began_at.clamp(dispatched_at, now);
        Ran { began_at, ended_at: self.ended_at.clamp(began_at, now) }
    }
}

/// Quantiles of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Median, ns.
    pub p50_ns: u64,
    /// 99 of 100 are at most this, ns.
    pub p99_ns: u64,
}

/// Quantiles of all segments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SegmentTimes {
    /// In the queue.
    pub queued: Quantiles,
    /// On the way to the handler.
    pub woken: Quantiles,
    /// In the handler.
    pub ran: Quantiles,
    /// On the way back.
    pub returned: Quantiles,
}

/// The segments of a function's calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments(Option<Box<[Histogram<u32>; 4]>>);

impl Segments {
    /// Counts a call that was answered now.
    pub(super) fn record(&mut self, queued_at: u64, dispatched_at: u64, ran: Ran, now: u64) {
        let segments = self.0.get_or_insert_with(|| {
            // The bounds are good ones.
            Box::new(std::array::from_fn(|_| {
                Histogram::new_with_bounds(1, MAX_NS, DIGITS).unwrap_or_else(|_| unreachable!())
            }))
        });
        let times = [queued_at, dispatched_at, ran.began_at, ran.ended_at, now];
        for (segment, ends) in segments.iter_mut().zip(times.windows(2)) {
            segment.saturating_record(ends[1].saturating_sub(ends[0]));
        }
    }

    /// The quantiles of each; none if no call was answered.
    pub(super) fn times(&self) -> Option<SegmentTimes> {
        let quantiles = |segment: &Histogram<u32>| Quantiles {
            p50_ns: segment.value_at_quantile(0.50),
            p99_ns: segment.value_at_quantile(0.99),
        };
        let [queued, woken, ran, returned] = self.0.as_ref()?.each_ref().map(quantiles);
        Some(SegmentTimes { queued, woken, ran, returned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_segment_is_what_lies_between() {
        let mut segments = Segments::default();
        assert_eq!(segments.times(), None);
        for _ in 0..100 {
            segments.record(1_000, 2_000, Ran { began_at: 4_000, ended_at: 12_000 }, 16_000);
        }
        let times = segments.times().unwrap();
        let p50 = [times.queued, times.woken, times.ran, times.returned].map(|segment| segment.p50_ns);
        for (got, expected) in p50.into_iter().zip([1_000, 2_000, 8_000, 4_000]) {
            assert!(got.abs_diff(expected) <= expected / 16, "{p50:?}");
        }
    }

    #[test]
    fn what_cannot_be_true_is_not_believed() {
        let ran = |began_at, ended_at| Ran { began_at, ended_at }.within(100, 200);
        assert_eq!(ran(110, 150), Ran { began_at: 110, ended_at: 150 });
        assert_eq!(ran(0, u64::MAX), Ran { began_at: 100, ended_at: 200 });
        assert_eq!(ran(u64::MAX, 0), Ran { began_at: 200, ended_at: 200 });
    }
}
