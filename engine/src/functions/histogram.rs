//! A latency histogram with fixed buckets, so that counting a time allocates nothing.
//!
//! It is not an HDR histogram: the buckets of an HDR histogram end at powers of two, while the
//! buckets of a metrics page must end where the page says.

use nightcore_runtime::protocol::times::{BUCKETS, STEPS, UP_TO_NS, bucket_of};

/// A histogram of times.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    /// The sum of all times. A `u64` of ns would overflow within weeks if thousands of calls are
    /// always open.
    sum_ns: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [0; BUCKETS], sum_ns: 0 }
    }
}

impl Histogram {
    /// Counts a time, in ns.
    pub(super) fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
        self.sum_ns += u128::from(ns);
    }

    /// Adds times that were counted elsewhere, and their sum in ns.
    pub(super) fn add(&mut self, counts: &[u32; BUCKETS], sum_ns: u64) {
        for (count, more) in self.counts.iter_mut().zip(counts) {
            *count += u64::from(*more);
        }
        self.sum_ns += u128::from(sum_ns);
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all times, s.
    pub fn sum_s(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// The counts in buckets that end at 1, 2 or 5 times a power of ten, and in one bucket for
    /// longer times. Returns for each the longest time, in s, and its count. The first bucket ends
    /// at 1 µs and also has all shorter times.
    pub fn coarse(&self) -> Vec<(f64, u64)> {
        let mut coarse = Vec::new();
        let mut count = 0;
        for (bucket, (up_to_ns, counted)) in UP_TO_NS.iter().zip(self.counts).enumerate() {
            count += counted;
            let shown =
                bucket >= STEPS.len() && matches!(STEPS[bucket % STEPS.len()], 100 | 200 | 500);
            if bucket + 1 == BUCKETS {
                coarse.push((f64::INFINITY, count));
            } else if shown {
                coarse.push((*up_to_ns as f64 / 1e9, std::mem::take(&mut count)));
            }
        }
        coarse
    }

    /// The time, in ns, that this part of all times (from 0 to 1) does not exceed. Within a bucket,
    /// times are assumed to be spread evenly.
    pub fn quantile_ns(&self, part: f64) -> u64 {
        let wanted = part * self.count() as f64;
        let mut before = 0;
        let mut above_ns = 0;
        for (up_to_ns, counted) in UP_TO_NS.iter().zip(self.counts) {
            if counted > 0 && (before + counted) as f64 >= wanted {
                if *up_to_ns == u64::MAX {
                    return above_ns;
                }
                let within = (wanted - before as f64) / counted as f64;
                return above_ns + ((up_to_ns - above_ns) as f64 * within) as u64;
            }
            before += counted;
            above_ns = *up_to_ns;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_first_bucket_that_holds_it() {
        for (bucket, up_to_ns) in UP_TO_NS.iter().enumerate() {
            for (ns, expected) in
                [(*up_to_ns, bucket), (up_to_ns.saturating_add(1), (bucket + 1).min(BUCKETS - 1))]
            {
                let mut histogram = Histogram::default();
                histogram.record(ns);
                assert_eq!(histogram.counts[expected], 1, "{ns} ns");
            }
        }
        let mut histogram = Histogram::default();
        histogram.record(0);
        assert_eq!(histogram.counts[0], 1);
    }

    #[test]
    fn coarse_buckets_hold_all_and_end_at_round_times() {
        let mut histogram = Histogram::default();
        for ns in [50, 1_000, 1_001, 2_000_000, 99_000_000_000, u64::MAX] {
            histogram.record(ns);
        }
        let coarse = histogram.coarse();
        let filled: Vec<_> = coarse.iter().copied().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(1e-6, 2), (2e-6, 1), (2e-3, 1), (f64::INFINITY, 2)]);
        let ends: Vec<_> = coarse.iter().map(|(up_to, _)| *up_to).collect();
        assert_eq!((ends.len(), ends[23]), (25, 50.0));
        assert_eq!(histogram.count(), 6);
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ns(0.5), 0);
        for ns in 1..=100_000 {
            histogram.record(ns);
        }
        for (part, truth) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.1, 10_000.0)] {
            let found = histogram.quantile_ns(part) as f64;
            assert!((found / truth - 1.0).abs() < 0.01, "{part}: {found} for {truth}");
        }
        assert!((histogram.sum_s() - 5.00005).abs() < 1e-9);
    }
}
