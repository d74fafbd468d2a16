//! External calls: clients over HTTP to an empty function, and to one that makes three internal calls.

use std::time::Duration;

use anyhow::Result;

use crate::engine::Engine;
use crate::functions::Function;
use crate::load::{self, Load};
use crate::report::Report;
use crate::settings::{Placement, Settings};

/// The numbers of connections that have figures.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// The number of connections for the function that makes three internal calls.
const THREE_CONNECTIONS: usize = 16;
/// Beyond any rate that a machine of this kind reaches in the time of a run.
const MAX_CALLS: u64 = 5_000_000;
/// A small body, as a client of an empty function would send.
pub const BODY: &[u8] = b"ping";
/// CPU time is told for so many calls.
const CPU_CALLS: f64 = 100_000.0;
/// Each load runs for this share of its time before it is measured: the engine's workers and averages settle.
const WARM_UP_SHARE: u32 = 4;

/// One load on the engine, measured after a shorter one.
fn run(engine: &Engine, path: &str, connections: usize, time: Duration) -> Result<(load::Outcome, Duration)> {
    let load = Load {
        address: engine.address(),
        path,
        body: BODY,
        connections,
        max_calls: MAX_CALLS,
        max_time: time,
    };
    load::run(&Load { max_time: time / WARM_UP_SHARE, ..load })?;
    let before = engine.cpu_time();
    let outcome = load::run(&load)?;
    Ok((outcome, engine.cpu_time().saturating_sub(before)))
}

/// Measures `external.*` and `external_three.*`, unpinned, on an engine of its own.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let engine = Engine::start(settings, functions, Placement::Unpinned)?;
    for connections in CONNECTIONS {
        let key = format!("external.c{connections}");
        if !settings.wants(&format!("{key}.")) {
            continue;
        }
        let (outcome, cpu) = run(&engine, "/function/Empty", connections, settings.effort.external)?;
        report.add(&format!("{key}.rps"), outcome.per_second());
        report.add(&format!("{key}.p50_us"), outcome.quantile_us(0.50));
        report.add(&format!("{key}.p99_us"), outcome.quantile_us(0.99));
        report.add(&format!("{key}.cpu_s_per_100k"), cpu.as_secs_f64() * CPU_CALLS / outcome.calls as f64);
    }
    let key = format!("external_three.c{THREE_CONNECTIONS}.rps");
    if settings.wants(&key) {
        let (outcome, _) = run(&engine, "/function/Three", THREE_CONNECTIONS, settings.effort.external)?;
        report.add(&key, outcome.per_second());
    }
    engine.stop()
}
