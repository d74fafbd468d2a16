//! Compares measurements in alternating rounds: floor, work, floor, work, … The result is the
//! median of the rounds' ratios.
//!
//! A machine's speed drifts within a run (frequency, neighbours, which core is awake). Measurements
//! that are compared within a round are less than a second apart, so they see the same machine. A
//! disturbed round does not move the median.

use std::time::Duration;

/// The minimum number of samples for a meaningful p99.
const LEAST_COUNT: usize = 100;
/// The maximum number of samples that both the floors and the function `Caller` accept.
const MOST_COUNT: usize = 2_000_000;
/// The number of samples divided by this is the number of calls in the warm-up, after which caches
/// are warm and workers exist.
const WARM_UP_SHARE: usize = 10;
/// The minimum number of calls in the warm-up. After fewer calls, the samples would include the
/// first wakes.
const LEAST_WARM_UP: usize = 50;

/// The number of round trips of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sized {
    /// The number of timed round trips.
    pub count: usize,
    /// The number of round trips before the timed ones, which are not timed.
    pub warm_up: usize,
}

impl Sized {
    /// Returns the number of round trips that take about `time` if each takes `each_us` µs.
    pub fn filling(time: Duration, each_us: f64) -> Sized {
        // A cast from float to integer saturates, so an `each_us` of 0 results in the maximum.
        let fitting = (time.as_secs_f64() * 1e6 / each_us) as usize;
        let count = fitting.clamp(LEAST_COUNT, MOST_COUNT);
        Sized { count, warm_up: (count / WARM_UP_SHARE).max(LEAST_WARM_UP) }
    }
}

/// Returns the median of the rounds' ratios of work to base.
pub fn median_ratio(works: &[f64], bases: &[f64]) -> f64 {
    let ratios: Vec<f64> = works.iter().zip(bases).map(|(work, base)| work / base).collect();
    median(&ratios)
}

/// Returns the median. For an even number of values, this is the upper of the two middle ones.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_round_does_not_move_the_ratio() {
        assert!((median_ratio(&[11.0, 22.0, 90.0], &[10.0, 20.0, 10.0]) - 1.1).abs() < 1e-9);
    }

    #[test]
    fn sizes_are_bounded() {
        let second = Duration::from_secs(1);
        assert_eq!(Sized::filling(second, 50.0), Sized { count: 20_000, warm_up: 2_000 });
        assert_eq!(Sized::filling(second, 0.0).count, MOST_COUNT);
        assert_eq!(
            Sized::filling(second, 1e9),
            Sized { count: LEAST_COUNT, warm_up: LEAST_WARM_UP }
        );
    }
}
