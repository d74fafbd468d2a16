//! Calls that a function times itself: the function `Caller` of each language, around its own calls.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::engine::Engine;
use crate::http;
use crate::pairs::Sized;

/// Enough for a first look at the mean, by which the measured runs are sized.
const LOOK: Sized = Sized { count: 1000, warm_up: 100 };
/// Longer than any sized run, and than the timeout that `Caller` has in the config.
const ANSWER_WITHIN: Duration = Duration::from_secs(65);
const SAMPLE_BYTES: usize = 8;

/// The ns samples of one run, sorted.
pub struct Samples(pub Vec<u64>);

impl Samples {
    /// Sorts them.
    pub fn sorted(mut samples: Vec<u64>) -> Samples {
        samples.sort_unstable();
        Samples(samples)
    }

    /// Counted as in the floors: the sample at that share of the count, rounded down.
    pub fn quantile_us(&self, percent: usize) -> f64 {
        self.permille_us(percent * 10)
    }

    /// All of them together, by their number.
    pub fn mean_us(&self) -> f64 {
        self.0.iter().sum::<u64>() as f64 / self.0.len() as f64 / 1000.0
    }

    /// A quantile for a share in thousandths.
    pub fn permille_us(&self, permille: usize) -> f64 {
        self.0[self.0.len() * permille / 1000] as f64 / 1000.0
    }
}

/// Calls of one function by another.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    /// Where both are.
    pub engine: &'a Engine,
    /// The function that calls and times.
    pub caller: &'a str,
    /// The function that is called; it echoes.
    pub target: &'a str,
    /// The size of the body.
    pub bytes: usize,
}

impl<'a> Calls<'a> {
    /// Of C by C.
    pub fn in_c(engine: &'a Engine, bytes: usize) -> Calls<'a> {
        Calls { engine, caller: "Caller", target: "Echo", bytes }
    }
}

impl Calls<'_> {
    /// Lets the caller make `size.count` timed calls.
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

    /// How many calls fill about `time`: by their mean, which beside busy cores is many times the p50.
    pub fn size_for(&self, time: Duration) -> Result<Sized> {
        Ok(Sized::filling(time, self.run(LOOK)?.mean_us()))
    }
}

/// The same calls in several rounds, between which others are made.
pub struct Rounds<'a> {
    calls: Calls<'a>,
    size: Sized,
    /// The p50 of each round.
    pub p50_us: Vec<f64>,
    samples: Vec<u64>,
}

impl<'a> Rounds<'a> {
    /// Rounds that take about `time` each.
    pub fn new(calls: Calls<'a>, time: Duration) -> Result<Rounds<'a>> {
        Ok(Rounds { size: calls.size_for(time)?, calls, p50_us: Vec::new(), samples: Vec::new() })
    }

    /// The next round.
    pub fn run(&mut self) -> Result<()> {
        let samples = self.calls.run(self.size)?;
        self.p50_us.push(samples.quantile_us(50));
        self.samples.extend_from_slice(&samples.0);
        Ok(())
    }

    /// Those of all rounds together.
    pub fn samples(self) -> Samples {
        Samples::sorted(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_floors() {
        let samples = Samples::sorted((0..1000).rev().map(|n| n * 1000).collect());
        assert_eq!((samples.quantile_us(50), samples.quantile_us(99)), (500.0, 990.0));
        assert_eq!(samples.mean_us(), 499.5);
        assert_eq!(Samples::sorted(vec![7000]).quantile_us(99), 7.0);
    }
}
