//! The times at which the calls of an open loop are due. They are fixed before the first call is
//! sent, whatever happens to the calls.

use std::time::Duration;

/// Random times in a span, in order: a Poisson process with a known number of calls.
///
/// Calls of independent clients arrive in this way, some close together and some far apart. Evenly
/// spaced calls would find shorter queues than real calls do.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    random: u64,
    from: u64,
    /// The position of the last call in the span.
    at: f64,
    span: f64,
    left: u64,
}

/// Returns the number of calls at a rate in a span.
pub(super) fn count(per_second: u32, span: Duration) -> u64 {
    (f64::from(per_second) * span.as_secs_f64()).round() as u64
}

impl Arrivals {
    /// Returns calls from `from` on, in ns, at this rate for `duration`. The same `seed` gives the
    /// same times, so that two runs differ only by what is measured.
    pub(super) fn new(seed: u64, from: u64, per_second: u32, duration: Duration) -> Arrivals {
        let left = count(per_second, duration);
        Arrivals { random: seed, from, at: 0.0, span: duration.as_nanos() as f64, left }
    }

    /// Returns the next number in (0, 1]: splitmix64, whose upper 53 bits fit into a float.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.left == 0 {
            return None;
        }
        // The first of n times that are spread evenly over the rest of the span lies beyond a part
        // x of it with probability (1 - x)^n.
        let part = -(self.uniform().ln() / self.left as f64).exp_m1();
        self.at += (self.span - self.at) * part;
        self.left -= 1;
        Some(self.from + self.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn arrivals(seed: u64, per_second: u32, duration: Duration) -> Vec<u64> {
        Arrivals::new(seed, 5 * SECOND, per_second, duration).collect()
    }

    #[test]
    fn there_are_as_many_as_the_rate_says_in_order_and_within_the_span() {
        for (per_second, duration) in [(1, 10_000), (7, 1_500), (1_000, 1_000), (100_000, 2_000)] {
            let times = arrivals(1, per_second, Duration::from_millis(duration));
            let expected = (f64::from(per_second) * duration as f64 / 1000.0).round();
            assert_eq!(times.len() as f64, expected, "{per_second}/s for {duration} ms");
            assert!(times.is_sorted());
            assert!(
                times[0] >= 5 * SECOND
                    && times[times.len() - 1] <= 5 * SECOND + duration * 1_000_000
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_times_and_another_one_others() {
        let second = Duration::from_secs(1);
        assert_eq!(arrivals(1, 1000, second), arrivals(1, 1000, second));
        assert_ne!(arrivals(1, 1000, second), arrivals(2, 1000, second));
    }

    #[test]
    fn a_span_that_is_too_short_for_a_call_has_none() {
        assert!(arrivals(1, 1, Duration::from_millis(100)).is_empty());
    }

    /// In a Poisson process the gaps are exponential: their standard deviation equals their mean,
    /// and a share of e^-2 of them is longer than twice the mean. Evenly spaced calls would have a
    /// deviation of 0.
    #[test]
    fn the_gaps_are_those_of_a_poisson_process_all_along() {
        let times = arrivals(3, 10_000, Duration::from_secs(10));
        for part in times.chunks(20_000) {
            let gaps: Vec<f64> = part.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance =
                gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let long =
                gaps.iter().filter(|gap| **gap > 2.0 * mean).count() as f64 / gaps.len() as f64;
            assert!((mean / 100_000.0 - 1.0).abs() < 0.03, "mean {mean}");
            assert!(
                (variance.sqrt() / mean - 1.0).abs() < 0.03,
                "deviation {}",
                variance.sqrt() / mean
            );
            assert!((long - (-2.0f64).exp()).abs() < 0.01, "{long} of the gaps are long");
        }
    }
}
