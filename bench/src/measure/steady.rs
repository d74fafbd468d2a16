//! Checks what must stay constant: memory over millions of calls, and CPU time while idle.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::calls::load::{self, Load};
use crate::measure::external::BODY;
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::functions::Function;
use crate::run::interrupt;
use crate::run::settings::{Placement, Settings};

const MEMORY_KEY: &str = "memory.engine";
const IDLE_KEY: &str = "idle.cpu_percent";
/// The number of connections, which is enough to make many calls in little time.
const CONNECTIONS: usize = 64;
/// A lower bound for the rate of any machine of this kind.
const LEAST_RPS: u64 = 10_000;
const LEAST_SECONDS: u64 = 10;
/// The bar: the maximum growth of memory after the first number of calls, in MB. By then, every
/// pool and buffer has reached its final size.
const GROWTH_BAR_MB: f64 = 5.0;
/// The bar of CPU time while idle, in per cent of one core: no thread spins on a ring, and timers
/// are few.
const IDLE_BAR_PERCENT: f64 = 0.5;
/// The pause between the load and the idle measurement, after which the load has no effect any
/// more.
const SETTLE: Duration = Duration::from_secs(10);

fn call(engine: &Engine, calls: u64) -> Result<()> {
    let path = "/function/Empty";
    let max_time = Duration::from_secs(calls.div_ceil(LEAST_RPS).max(LEAST_SECONDS));
    let load = Load {
        address: engine.address(),
        path,
        body: BODY,
        connections: CONNECTIONS,
        max_calls: calls,
        max_time,
    };
    let made = load::run(&load)?.calls;
    ensure!(made == calls, "only {made} of {calls} calls were made in {} s", max_time.as_secs());
    Ok(())
}

fn memory_key(calls: u64) -> String {
    let name = if calls < 1_000_000 {
        format!("{}k", calls / 1000)
    } else {
        format!("{}m", calls / 1_000_000)
    };
    format!("{MEMORY_KEY}.after_{name}_calls_mb")
}

/// Measures `memory.*` and then `idle.*`, unpinned. Starts a new engine, so that the number of
/// calls begins at 0.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let engine = Engine::start(settings, functions, Placement::Unpinned, Channel::Default)?;
    // These calls are made even if only `idle.*` is wanted, because it is measured after a load.
    let [first, more @ ..] = settings.effort.memory_calls else { bail!("memory has no base") };
    call(&engine, *first)?;
    if settings.wants(MEMORY_KEY) {
        let first_mb = engine.resident_mb()?;
        report.add(&memory_key(*first), first_mb);
        let mut made = *first;
        for calls in more {
            call(&engine, calls - made)?;
            made = *calls;
            report.add_with_bar(&memory_key(made), engine.resident_mb()?, first_mb + GROWTH_BAR_MB);
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
