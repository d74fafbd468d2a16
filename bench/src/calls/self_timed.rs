//! Measures calls that a function times itself: `Caller` in each language times its own calls.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::calls::http;
use crate::calls::pairs::Sized;
use crate::run::engine::Engine;

/// The calls for a first estimate of the mean, which determines the size of the measured runs.
const FIRST: Sized = Sized { count: 1000, warm_up: 100 };
/// The time limit for an answer. It is longer than any measured run, and longer than the timeout of
/// `Caller` in the configuration.
const ANSWER_WITHIN: Duration = Duration::from_secs(65);
const SAMPLE_BYTES: usize = 8;

/// The samples of one run in ns, sorted.
pub struct Samples(pub Vec<u64>);

impl Samples {
    /// Sorts the samples.
    pub fn sorted(mut samples: Vec<u64>) -> Samples {
        samples.sort_unstable();
        Samples(samples)
    }

    /// Returns a percentile, in µs. Its sample is chosen as the floors choose theirs: the index is
    /// `percent` % of the number of samples, rounded down.
    pub fn quantile_us(&self, percent: usize) -> f64 {
        self.permille_us(percent * 10)
    }

    /// Returns the mean, in µs.
    pub fn mean_us(&self) -> f64 {
        self.0.iter().sum::<u64>() as f64 / self.0.len() as f64 / 1000.0
    }

    /// Returns the quantile for a share in thousandths, in µs.
    pub fn permille_us(&self, permille: usize) -> f64 {
        self.0[self.0.len() * permille / 1000] as f64 / 1000.0
    }
}

/// Calls of one function by another.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    /// The engine with both functions.
    pub engine: &'a Engine,
    /// The function that makes the calls and times them.
    pub caller: &'a str,
    /// The function that is called. It answers with the body that it gets.
    pub target: &'a str,
    /// The size of the body, in bytes.
    pub bytes: usize,
}

impl<'a> Calls<'a> {
    /// Returns the calls of a C function by a C function.
    pub fn in_c(engine: &'a Engine, bytes: usize) -> Calls<'a> {
        Calls { engine, caller: "Caller", target: "Echo", bytes }
    }
}

impl Calls<'_> {
    /// Makes the caller do `size.count` timed calls.
    pub fn run(&self, size: Sized) -> Result<Samples> {
        let Calls { engine, caller, target, bytes } = *self;
        let body = format!("{bytes} {} {} {target}", size.count, size.warm_up);
        let path = format!("/function/{caller}");
        let answer = http::call_once(engine.address(), &path, body.as_bytes(), ANSWER_WITHIN)?;
        ensure!(
            answer.len() == size.count * SAMPLE_BYTES,
            "{caller} answered {} bytes for {} samples",
            answer.len(),
            size.count
        );
        let (samples, _) = answer.as_chunks::<SAMPLE_BYTES>();
        Ok(Samples::sorted(samples.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()))
    }

    /// Returns the number of calls that take about `time`. It is computed from the mean time of a
    /// call, because the mean is many times the p50 when the cores are busy.
    pub fn size_for(&self, time: Duration) -> Result<Sized> {
        Ok(Sized::filling(time, self.run(FIRST)?.mean_us()))
    }
}

/// One kind of call, measured in several rounds, with other calls made in between.
pub struct Rounds<'a> {
    calls: Calls<'a>,
    size: Sized,
    /// The p50 of each round, in µs.
    pub p50_us: Vec<f64>,
    samples: Vec<u64>,
}

impl<'a> Rounds<'a> {
    /// Creates rounds that take about `time` each.
    pub fn new(calls: Calls<'a>, time: Duration) -> Result<Rounds<'a>> {
        Ok(Rounds { size: calls.size_for(time)?, calls, p50_us: Vec::new(), samples: Vec::new() })
    }

    /// Runs the next round.
    pub fn run(&mut self) -> Result<()> {
        let samples = self.calls.run(self.size)?;
        self.p50_us.push(samples.quantile_us(50));
        self.samples.extend_from_slice(&samples.0);
        Ok(())
    }

    /// Returns the samples of all rounds together.
    pub fn samples(self) -> Samples {
        Samples::sorted(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_computed_as_in_the_floors() {
        let samples = Samples::sorted((0..1000).rev().map(|n| n * 1000).collect());
        assert_eq!((samples.quantile_us(50), samples.quantile_us(99)), (500.0, 990.0));
        assert_eq!(samples.mean_us(), 499.5);
        assert_eq!(Samples::sorted(vec![7000]).quantile_us(99), 7.0);
    }
}
