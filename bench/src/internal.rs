//! Internal calls in C: the function `Caller` times its own calls to `Echo`, over named pipes.

use anyhow::Result;

use crate::calls::{Calls, Samples};
use crate::engine::Engine;
use crate::floors::{Floor, Floors};
use crate::functions::Function;
use crate::pairs::Pairs;
use crate::report::Report;
use crate::settings::{Placement, Settings};

/// Their names in the keys of the report. The callee echoes, so each size goes both ways.
const SIZES: [(&str, usize); 5] =
    [("16B", 16), ("512B", 512), ("4KiB", 4 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
/// The size that the relay floor carries.
const FLOOR_SIZE: &str = "16B";
/// The bar: an internal call takes at most so many relay floors of the same placement.
const RATIO_BAR: f64 = 1.15;

/// Measures `internal.fifo.PLACEMENT.*` on an engine of its own.
pub fn measure(
    settings: &Settings,
    floors: &Floors,
    functions: &[Function],
    placement: Placement,
    report: &mut Report,
) -> Result<()> {
    let engine = Engine::start(settings, functions, placement)?;
    for (name, bytes) in SIZES {
        let key = format!("internal.fifo.{}.{name}", placement.name());
        if !settings.wants(&key) {
            continue;
        }
        let calls = Calls { engine: &engine, caller: "Caller", target: "Echo", bytes };
        let samples = if name == FLOOR_SIZE {
            let (pairs, samples) = beside_floor(settings, floors, calls, placement)?;
            report.add_with_bar(&format!("{key}.ratio_to_relay"), pairs.ratio(), RATIO_BAR);
            samples
        } else {
            calls.run(calls.size_for(settings.effort.internal)?)?
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
    calls: Calls<'_>,
    placement: Placement,
) -> Result<(Pairs, Samples)> {
    let half = settings.effort.half_pair;
    let floor_size = floors.size_for(Floor::Relay, placement, half)?;
    let work_size = calls.size_for(half)?;
    let mut all = Vec::new();
    let pairs = Pairs::alternate(
        settings.effort.pairs,
        || floors.p50_us(Floor::Relay, placement, floor_size),
        || {
            let samples = calls.run(work_size)?;
            all.extend_from_slice(&samples.0);
            Ok(samples.quantile_us(50))
        },
    )?;
    Ok((pairs, Samples::sorted(all)))
}
