//! What must not grow and what must not move: memory over a million calls, and CPU when there is nothing to do.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::engine::Engine;
use crate::external::BODY;
use crate::functions::Function;
use crate::interrupt;
use crate::load::{self, Load};
use crate::report::Report;
use crate::settings::{Placement, Settings};

const MEMORY_KEY: &str = "memory.engine";
const IDLE_KEY: &str = "idle.cpu_percent";
/// By then every pool and buffer has its size.
const FIRST_CALLS: u64 = 100_000;
const LAST_CALLS: u64 = 1_000_000;
/// Many calls in little time.
const CONNECTIONS: usize = 64;
/// A million calls at 10,000 in a second.
const LOAD_WITHIN: Duration = Duration::from_secs(100);
/// The bar: memory grows by at most so much from the first number of calls to the last.
const GROWTH_BAR_MB: f64 = 5.0;
/// The bar is 0; this is 1 ms in 10 s, below which a machine's own noise is.
const IDLE_BAR_PERCENT: f64 = 0.01;
/// The engine first forgets the load (10 s) and retires the workers it left behind (3 s more).
const SETTLE: Duration = Duration::from_secs(15);

fn call(engine: &Engine, calls: u64) -> Result<()> {
    let path = "/function/Empty";
    let load = Load {
        address: engine.address(),
        path,
        body: BODY,
        connections: CONNECTIONS,
        max_calls: calls,
        max_time: LOAD_WITHIN,
    };
    let made = load::run(&load)?.calls;
    ensure!(made == calls, "only {made} of {calls} calls were made in {} s", LOAD_WITHIN.as_secs());
    Ok(())
}

/// Measures `memory.*` and then `idle.*`, unpinned, on an engine of its own, so that its calls are counted from 0.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let engine = Engine::start(settings, functions, Placement::Unpinned)?;
    call(&engine, FIRST_CALLS)?;
    if settings.wants(MEMORY_KEY) {
        let first_mb = engine.resident_mb()?;
        report.add(&format!("{MEMORY_KEY}.after_100k_calls_mb"), first_mb);
        if settings.effort.million_calls {
            call(&engine, LAST_CALLS - FIRST_CALLS)?;
            let last_mb = engine.resident_mb()?;
            report.add_with_bar(
                &format!("{MEMORY_KEY}.after_1m_calls_mb"),
                last_mb,
                first_mb + GROWTH_BAR_MB,
            );
        }
    }
    if settings.wants(IDLE_KEY) {
        interrupt::sleep(SETTLE)?;
        let (start, before) = (Instant::now(), engine.cpu_time());
        interrupt::sleep(settings.effort.idle)?;
        let used = engine.cpu_time().saturating_sub(before);
        let percent = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
        report.add_with_bar(IDLE_KEY, percent, IDLE_BAR_PERCENT);
    }
    engine.stop()
}
