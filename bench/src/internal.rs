//! Internal calls: the function `Caller` times its own calls to `Echo`, over named pipes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::engine::Engine;
use crate::floors::{Floor, Floors};
use crate::http;
use crate::pairs::{Pairs, Sized};
use crate::report::Report;
use crate::settings::{Placement, Settings};

/// Their names in the keys of the report. The callee echoes, so each size goes both ways.
const SIZES: [(&str, usize); 5] =
    [("16B", 16), ("512B", 512), ("4KiB", 4 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
/// The size that the relay floor carries.
const FLOOR_SIZE: &str = "16B";
/// The bar: an internal call takes at most so many relay floors of the same placement.
const RATIO_BAR: f64 = 1.15;
/// Enough for a first look at the p50, by which the measured runs are sized.
const LOOK: Sized = Sized { count: 200, warm_up: 100 };
/// Longer than any sized run, and than the timeout that `Caller` has in the config.
const ANSWER_WITHIN: Duration = Duration::from_secs(65);
const SAMPLE_BYTES: usize = 8;

/// The ns samples of one run, sorted.
struct Samples(Vec<u64>);

impl Samples {
    /// Counted as in the floors: the sample at that share of the count, rounded down.
    fn quantile_us(&self, percent: usize) -> f64 {
        self.0[self.0.len() * percent / 100] as f64 / 1000.0
    }

    fn sorted(mut samples: Vec<u64>) -> Samples {
        samples.sort_unstable();
        Samples(samples)
    }
}

/// Lets `Caller` make `size.count` timed calls with a body of `bytes`.
fn run(engine: &Engine, bytes: usize, size: Sized) -> Result<Samples> {
    let body = format!("{bytes} {} {}", size.count, size.warm_up);
    let answer = http::call_once(engine.address(), "/function/Caller", body.as_bytes(), ANSWER_WITHIN)?;
    ensure!(
        answer.len() == size.count * SAMPLE_BYTES,
        "Caller answered {} bytes for {} samples",
        answer.len(),
        size.count
    );
    let (samples, _) = answer.as_chunks::<SAMPLE_BYTES>();
    Ok(Samples::sorted(samples.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()))
}

fn size_for(engine: &Engine, bytes: usize, time: Duration) -> Result<Sized> {
    Ok(Sized::filling(time, run(engine, bytes, LOOK)?.quantile_us(50)))
}

/// Measures `internal.fifo.PLACEMENT.*` on an engine of its own.
pub fn measure(
    settings: &Settings,
    floors: &Floors,
    program: &Path,
    placement: Placement,
    report: &mut Report,
) -> Result<()> {
    let engine = Engine::start(settings, program, placement)?;
    for (name, bytes) in SIZES {
        let key = format!("internal.fifo.{}.{name}", placement.name());
        if !settings.wants(&key) {
            continue;
        }
        let samples = if name == FLOOR_SIZE {
            let (pairs, samples) = beside_floor(settings, floors, &engine, placement, bytes)?;
            report.add_with_bar(&format!("{key}.ratio_to_relay"), pairs.ratio(), RATIO_BAR);
            samples
        } else {
            let size = size_for(&engine, bytes, settings.effort.internal)?;
            run(&engine, bytes, size)?
        };
        report.add(&format!("{key}.p50_us"), samples.quantile_us(50));
        report.add(&format!("{key}.p99_us"), samples.quantile_us(99));
    }
    engine.stop()
}

/// Alternates with the relay floor; the samples of all works' halves together.
fn beside_floor(
    settings: &Settings,
    floors: &Floors,
    engine: &Engine,
    placement: Placement,
    bytes: usize,
) -> Result<(Pairs, Samples)> {
    let half = settings.effort.half_pair;
    let floor_size = floors.size_for(Floor::Relay, placement, half)?;
    let work_size = size_for(engine, bytes, half)?;
    let mut all = Vec::new();
    let pairs = Pairs::alternate(
        settings.effort.pairs,
        || floors.p50_us(Floor::Relay, placement, floor_size),
        || {
            let samples = run(engine, bytes, work_size)?;
            all.extend_from_slice(&samples.0);
            Ok(samples.quantile_us(50))
        },
    )?;
    Ok((pairs, Samples::sorted(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_floors() {
        let samples = Samples::sorted((0..1000).rev().map(|n| n * 1000).collect());
        assert_eq!((samples.quantile_us(50), samples.quantile_us(99)), (500.0, 990.0));
        assert_eq!(Samples::sorted(vec![7000]).quantile_us(99), 7.0);
    }
}
