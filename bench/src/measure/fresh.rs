//! Measures the small internal call in fresh engines, and reports the worst p50 of all of them.
//! Each engine serves requests of growing size.
//!
//! The time of a call may have several modes, and an engine may stay in one of them for good. One
//! engine that serves one large request shows only one mode.

use std::time::Duration;

use anyhow::Result;

use crate::calls::pairs::{Sized, median};
use crate::calls::self_timed::Calls;
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::floors::{Floor, Floors};
use crate::run::functions::Function;
use crate::run::interrupt;
use crate::run::settings::{Placement, Settings};

/// The numbers of internal calls of the requests, in the order in which they are sent.
pub const REQUESTS: [usize; 4] = [10, 100, 10_000, 100_000];
/// The number of times that each engine serves all of [`REQUESTS`]. It is more than one, because
/// one of the modes began only with the third request that took milliseconds.
const TURNS: usize = 2;
/// The number of calls that a request must have for its p50 to count. The p50 of a smaller request
/// mostly shows its first wakes.
const LEAST_CALLS: usize = 10_000;
/// The size of a body, in bytes.
const BYTES: usize = 16;
/// The silence before a request that comes alone. After this silence, every thread of the engine is
/// parked, and its core is halted. After a longer silence, the host of a virtual machine takes
/// longer to run a core again: the first call took 50 to 120 µs after a silence of 20 ms, and 200
/// to 700 µs after 250 ms.
const SILENCE: Duration = Duration::from_millis(20);
/// The number of requests that come alone, for each engine. The median of the requests counts.
const ALONE_REQUESTS: usize = 5;
/// The number of internal calls of a request that comes alone.
const FEW_CALLS: usize = 10;

/// The bar: the worst p50 is at most this many times the median p50.
const WORST_TO_MEDIAN: f64 = 2.0;
/// The bar on one core: the worst p50 is at most this many times the ping-pong floor.
const WORST_TO_FLOOR: f64 = 1.35;
/// The bar of the median p50 of unpinned calls, in µs.
const MEDIAN_US: f64 = 2.0;
/// The bar of the mean of ten unpinned calls, in µs.
const FEW_MEAN_US: f64 = 8.0;

/// Returns the prefix of the keys of one placement.
pub fn key_of(placement: Placement) -> String {
    format!("internal.{}.16B", placement.name())
}

/// Makes an engine serve these requests in turn. Returns the p50 of each request with at least
/// `least_calls` calls, in µs.
pub fn p50s_us(engine: &Engine, requests: &[usize], least_calls: usize) -> Result<Vec<f64>> {
    let calls = Calls::in_c(engine, BYTES);
    let mut p50s_us = Vec::new();
    for &count in requests {
        let samples = calls.run(Sized { count, warm_up: 0 })?;
        if count >= least_calls {
            p50s_us.push(samples.quantile_us(50));
        }
    }
    Ok(p50s_us)
}

/// Sends several requests, each after a silence. Returns the median of the requests' mean call
/// times, in µs.
pub fn few_mean_us(engine: &Engine) -> Result<f64> {
    let mut means_us = Vec::new();
    for _ in 0..ALONE_REQUESTS {
        interrupt::sleep(SILENCE)?;
        let samples = Calls::in_c(engine, BYTES).run(Sized { count: FEW_CALLS, warm_up: 0 })?;
        means_us.push(samples.mean_us());
    }
    Ok(median(&means_us))
}

/// Measures `internal.PLACEMENT.16B.*`.
pub fn measure(
    settings: &Settings,
    floors: &Floors,
    functions: &[Function],
    placement: Placement,
    report: &mut Report,
) -> Result<()> {
    let mut all_p50s_us = Vec::new();
    let mut few_means_us = Vec::new();
    for _ in 0..settings.effort.fresh_engines {
        let engine = Engine::start(settings, functions, placement, Channel::Default)?;
        all_p50s_us.extend(p50s_us(&engine, [REQUESTS; TURNS].as_flattened(), LEAST_CALLS)?);
        few_means_us.push(few_mean_us(&engine)?);
        engine.stop()?;
    }
    let median_us = median(&all_p50s_us);
    let worst_us = all_p50s_us.into_iter().fold(f64::NAN, f64::max);
    let few_mean_us = median(&few_means_us);
    let worst_bar_us = WORST_TO_MEDIAN * median_us;
    let key = key_of(placement);
    let (median_key, worst_key) = (format!("{key}.median_p50_us"), format!("{key}.worst_p50_us"));
    let few_key = format!("{key}.first_ten_mean_us");
    match placement {
        Placement::OneCore(_) => {
            let floor_us = floors.reported_us(Floor::PingPong, placement, report)?;
            report.add(&median_key, median_us);
            let bar_us = worst_bar_us.min(WORST_TO_FLOOR * floor_us);
            report.add_with_bar(&worst_key, worst_us, bar_us);
            report.add(&few_key, few_mean_us);
        }
        Placement::Unpinned => {
            report.add_with_bar(&median_key, median_us, MEDIAN_US);
            report.add_with_bar(&worst_key, worst_us, worst_bar_us);
            report.add_with_bar(&few_key, few_mean_us, FEW_MEAN_US);
        }
    }
    Ok(())
}
