//! Measures internal calls in C: the function `Caller` times its own calls to `Echo`, over named
//! pipes and over rings.

use anyhow::Result;

use crate::calls::pairs::median_ratio;
use crate::calls::segments;
use crate::calls::self_timed::{Calls, Rounds, Samples};
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::floors::{Floor, Floors, copy_key};
use crate::run::functions::Function;
use crate::run::settings::{Placement, Settings};

/// The names of the sizes in the keys of the report, and the sizes in bytes. The callee echoes, so
/// each call moves this number of bytes in both directions.
const SIZES: [(&str, usize); 5] =
    [("16B", 16), ("512B", 512), ("4KiB", 4 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
/// The size that the relay floor carries.
const FLOOR_SIZE: &str = "16B";
/// The bar: the p99 over rings is at most this multiple of the p50.
const RING_TAIL_BAR: f64 = 4.0;
/// A large payload over rings goes through shared memory. Its bar is the time of a small call plus
/// the time of this many copies from core to core. Four of them are real copies (into the arena,
/// through the engine, and back). The other two allow for the data that the copies displace from
/// the caches.
const RING_COPIES: f64 = 6.0;
/// The bar of a large payload over rings never exceeds this time, in µs.
const RING_BOUNDS_US: [(&str, f64); 2] = [("64KiB", 40.0), ("1MiB", 500.0)];

/// Returns the bar: the maximum time of an internal call as a multiple of the relay floor of the
/// same placement.
fn ratio_bar(channel: Channel, placement: Placement) -> f64 {
    match (channel, placement) {
        // No thread sleeps, so none is woken.
        (Channel::Ring, Placement::Unpinned) => 0.10,
        // The threads take turns on the core.
        (Channel::Ring, Placement::OneCore(_)) => 0.75,
        // The floor itself uses named pipes.
        (Channel::Fifo | Channel::Default, _) => 1.10,
    }
}

/// Returns the prefix of the keys for one kind of channel and one placement.
pub fn key_of(channel: Channel, placement: Placement) -> String {
    format!("internal.{}.{}", channel.name(), placement.name())
}

/// Measures `internal.{fifo,ring}.PLACEMENT.*`. Each channel has its own engine, and the two
/// engines are measured in turn.
pub fn measure(
    settings: &Settings,
    floors: &Floors,
    functions: &[Function],
    placement: Placement,
    report: &mut Report,
) -> Result<()> {
    let mut engines = Vec::new();
    for channel in Channel::KINDS {
        if settings.wants(&key_of(channel, placement)) {
            engines.push((channel, Engine::start(settings, functions, placement, channel)?));
        }
    }
    for (name, bytes) in SIZES {
        let is_wanted =
            |channel: Channel| settings.wants(&format!("{}.{name}", key_of(channel, placement)));
        let wanted: Vec<&(Channel, Engine)> =
            engines.iter().filter(|(channel, _)| is_wanted(*channel)).collect();
        if wanted.is_empty() {
            continue;
        }
        let has_floor = name == FLOOR_SIZE;
        let effort = settings.effort;
        let time = if has_floor { effort.half_pair } else { effort.size_round };
        let mut rounds = Vec::new();
        for (_, engine) in &wanted {
            rounds.push(Rounds::new(Calls::in_c(engine, bytes), time)?);
        }
        let mut relay_us = Vec::new();
        if has_floor {
            let size = floors.size_for(Floor::Relay, placement, time)?;
            for _ in 0..effort.pairs {
                relay_us.push(floors.p50_us(Floor::Relay, placement, size)?);
                rounds.iter_mut().try_for_each(Rounds::run)?;
            }
        } else {
            for _ in 0..effort.size_rounds {
                rounds.iter_mut().try_for_each(Rounds::run)?;
            }
        }
        for ((channel, engine), rounds) in wanted.into_iter().zip(rounds) {
            let key = format!("{}.{name}", key_of(*channel, placement));
            if has_floor {
                let ratio = median_ratio(&rounds.p50_us, &relay_us);
                report.add_with_bar(
                    &format!("{key}.ratio_to_relay"),
                    ratio,
                    ratio_bar(*channel, placement),
                );
                segments::measure(engine, "Echo", *channel, placement, report)?;
            }
            tell(report, *channel, placement, name, &rounds.samples());
        }
    }
    engines.into_iter().try_for_each(|(_, engine)| engine.stop())
}

/// Adds the quantiles. Rings whose readers spin on their own core have bars.
fn tell(
    report: &mut Report,
    channel: Channel,
    placement: Placement,
    size: &str,
    samples: &Samples,
) {
    let key = format!("{}.{size}", key_of(channel, placement));
    let (p50_us, p99_us) = (samples.quantile_us(50), samples.quantile_us(99));
    let (p50_key, p99_key) = (format!("{key}.p50_us"), format!("{key}.p99_us"));
    let has_bars = (channel, placement) == (Channel::Ring, Placement::Unpinned);
    let bound_us = RING_BOUNDS_US.iter().find(|(name, _)| *name == size).map(|(_, bound)| *bound);
    match bound_us {
        Some(bound_us) if has_bars => {
            let small_us =
                report.get(&format!("{}.{FLOOR_SIZE}.p50_us", key_of(channel, placement)));
            let copies_us = report.get(&copy_key(size)).map(|copy_us| RING_COPIES * copy_us);
            let by_copies =
                small_us.zip(copies_us).map_or(f64::INFINITY, |(small, copies)| small + copies);
            report.add_with_bar(&p50_key, p50_us, bound_us.min(by_copies));
        }
        _ => report.add(&p50_key, p50_us),
    }
    report.add_detail(&format!("{key}.p90_us"), samples.quantile_us(90));
    if has_bars && size == FLOOR_SIZE {
        report.add_with_bar(&p99_key, p99_us, RING_TAIL_BAR * p50_us);
    } else {
        report.add(&p99_key, p99_us);
    }
    report.add_detail(&format!("{key}.p999_us"), samples.permille_us(999));
}
