//! `nightcore-bench --check`: tells whether internal calls are far slower than they should be.
//!
//! Every figure is a ratio to something that is measured at the same time, and its bound has a
//! margin of a factor of two. Rounds that other programs disturb are discarded. A figure that
//! exceeds its bound is measured once more, and fails only if it exceeds the bound again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::calls::pairs::Sized;
use crate::calls::self_timed::Calls;
use crate::measure::{fresh, overload};
use crate::report::machine::Neighbours;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::floors::{Floor, Floors};
use crate::run::functions::{self, Function};
use crate::run::settings::{Placement, Settings};
use crate::run::{interrupt, processes};

/// The number of rounds of an attempt. The median of the rounds counts.
const ROUNDS: usize = 3;
/// No round begins after this time, so that two attempts end within half a minute.
const ATTEMPT: Duration = Duration::from_secs(12);
/// The minimum number of undisturbed rounds for a judgement.
const LEAST_ROUNDS: usize = 2;
/// The time after which the check ends, even if something hangs.
const RUN: Duration = Duration::from_secs(120);
/// The number of cores used by other programs above which a round counts as disturbed.
const DISTURBING_CORES: f64 = 0.25;
/// The time of one run of the floor.
const FLOOR_TIME: Duration = Duration::from_millis(150);
/// The duration of the calls without, and of the calls beside, handlers that compute.
const BESIDE_TIME: Duration = Duration::from_millis(500);
/// The number of calls over named pipes. Their time has only one mode, so one request is enough.
const OVER_PIPES: Sized = Sized { count: 10_000, warm_up: 1_000 };
const BYTES: usize = 16;

/// A figure's name and its bound.
struct Figure {
    name: &'static str,
    bound: f64,
}

/// The figures, in the order of [`round`]. The comments give measured ratios, for direct calls and
/// for calls through the engine. The floor is the ping-pong on one core, also for unpinned calls:
/// the unpinned ping-pong takes ten times as long when the kernel happens to spread it over cores.
const FIGURES: [Figure; FIGURE_COUNT] = [
    // Measured: 1.3 for direct calls. For calls through the engine, 1.7 on one machine and 2.4 on
    // another.
    Figure { name: "one core, slowest request, over the ping-pong floor", bound: 2.6 },
    // Measured: 0.6 for direct calls. For calls through the engine, 0.8 on one machine and 1.3 on
    // the other. The quickest request counts here, because the ratio of the slowest request to the
    // quickest below better shows an engine that becomes slow later.
    Figure { name: "unpinned, quickest request, over the ping-pong floor", bound: 1.25 },
    // Measured: 1.0 to 1.1.
    Figure { name: "one core, slowest request, over the quickest", bound: 2.0 },
    Figure { name: "unpinned, slowest request, over the quickest", bound: 2.0 },
    // Measured: 0.32 for direct calls, and 0.5 to 0.62 for calls through the engine.
    Figure { name: "one core, slowest request, over named pipes", bound: 0.65 },
    // Measured: 2.5 to 4, and 8 to 14 if idle callees do not move to their callers' core.
    Figure { name: "unpinned, ten calls alone, mean, over the ping-pong floor", bound: 7.0 },
    // Measured: 22 while the clients connect, and 850 or more if `workers.max` handlers compute at
    // once.
    Figure { name: "beside computing handlers, at first, p90 over quiet", bound: 60.0 },
    // Measured: 1.7 to 1.9, and 5 with an engine that yields to handlers that compute.
    Figure { name: "beside computing handlers, p50 over quiet", bound: 3.5 },
];
const FIGURE_COUNT: usize = 8;

/// The result of an attempt.
enum Attempt {
    /// The median of each figure over the undisturbed rounds.
    Judged([f64; FIGURE_COUNT]),
    /// Other programs disturbed too many rounds. The value is the number of cores that they used in
    /// the last round.
    Disturbed(f64),
}

/// Measures, prints each ratio beside its bound, and returns whether all are within bounds.
pub fn run(settings: &Settings) -> Result<bool> {
    interrupt::install(RUN)?;
    processes::adopt_orphans().context("cannot adopt orphans")?;
    let floors = Floors::build(settings)?;
    let functions = functions::build(settings)?;
    let first = match attempt(settings, &floors, &functions)? {
        Attempt::Judged(figures) => figures,
        Attempt::Disturbed(cores) => {
            tell_disturbed(cores);
            return Ok(true);
        }
    };
    tell(&first);
    if exceeding(&first).next().is_none() {
        return Ok(true);
    }
    println!("once more, as something may have disturbed it:");
    match attempt(settings, &floors, &functions)? {
        Attempt::Judged(second) => {
            tell(&second);
            Ok(!exceeding(&first).any(|index| exceeding(&second).any(|again| again == index)))
        }
        Attempt::Disturbed(cores) => {
            tell_disturbed(cores);
            Ok(true)
        }
    }
}

fn attempt(settings: &Settings, floors: &Floors, functions: &[Function]) -> Result<Attempt> {
    let end = Instant::now() + ATTEMPT;
    let mut rounds = Vec::new();
    let mut last_busy_cores = 0.0;
    while rounds.len() < ROUNDS && Instant::now() < end {
        let neighbours = Neighbours::watch();
        let figures = round(settings, floors, functions)?;
        let busy_cores = neighbours.and_then(|neighbours| neighbours.busy_cores());
        match busy_cores {
            Some(cores) if cores > DISTURBING_CORES => last_busy_cores = cores,
            _ => rounds.push(figures),
        }
    }
    if rounds.len() < LEAST_ROUNDS {
        return Ok(Attempt::Disturbed(last_busy_cores));
    }
    Ok(Attempt::Judged(std::array::from_fn(|figure| {
        lower_median(rounds.iter().map(|round| round[figure]).collect())
    })))
}

/// Runs one fresh engine for each placement, and one with named pipes, beside the floor.
fn round(
    settings: &Settings,
    floors: &Floors,
    functions: &[Function],
) -> Result<[f64; FIGURE_COUNT]> {
    let one_core = settings.one_core();
    let size = floors.size_for(Floor::PingPong, one_core, FLOOR_TIME)?;
    let floor_before_us = floors.p50_us(Floor::PingPong, one_core, size)?;
    let pinned = Span::of_fresh_engine(settings, functions, one_core)?;
    let unpinned = Span::of_fresh_engine(settings, functions, Placement::Unpinned)?;
    let engine = Engine::start(settings, functions, one_core, Channel::Fifo)?;
    let pipes_us = Calls::in_c(&engine, BYTES).run(OVER_PIPES)?.quantile_us(50);
    engine.stop()?;
    let floor_us = floors.p50_us(Floor::PingPong, one_core, size)?.max(floor_before_us);
    let beside = overload::beside_computing(settings, functions, BESIDE_TIME)?;
    Ok([
        pinned.slowest_us / floor_us,
        unpinned.quickest_us / floor_us,
        pinned.slowest_us / pinned.quickest_us,
        unpinned.slowest_us / unpinned.quickest_us,
        pinned.slowest_us / pipes_us,
        unpinned.few_mean_us / floor_us,
        beside.first_p90,
        beside.p50,
    ])
}

/// The p50 of the quickest and of the slowest request that an engine served, and the mean time of
/// the few calls of requests that came alone.
struct Span {
    quickest_us: f64,
    slowest_us: f64,
    few_mean_us: f64,
}

impl Span {
    fn of_fresh_engine(
        settings: &Settings,
        functions: &[Function],
        placement: Placement,
    ) -> Result<Span> {
        let (requests, least_calls) = match placement {
            // The second turn omits the request with 100,000 calls, because it takes seconds if
            // calls are slow.
            Placement::OneCore(_) => {
                ([&fresh::REQUESTS[..], &fresh::REQUESTS[..3]].concat(), 10_000)
            }
            // A request with 10,000 calls takes 25 ms. If another program computes for that long,
            // the whole request is as slow as on one core. So only requests with 100,000 calls
            // count.
            Placement::Unpinned => ([fresh::REQUESTS; 2].concat(), 100_000),
        };
        let engine = Engine::start(settings, functions, placement, Channel::Default)?;
        let p50s_us = fresh::p50s_us(&engine, &requests, least_calls)?;
        let few_mean_us = fresh::few_mean_us(&engine)?;
        engine.stop()?;
        Ok(Span {
            few_mean_us,
            quickest_us: p50s_us.iter().copied().fold(f64::NAN, f64::min),
            slowest_us: p50s_us.iter().copied().fold(f64::NAN, f64::max),
        })
    }
}

/// Returns the median. For an even number of values, returns the lower of the two middle ones,
/// because noise only makes values larger.
fn lower_median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}

/// Returns the indexes of the figures that exceed their bounds. A figure that is not a number
/// counts as exceeding its bound.
fn exceeding(figures: &[f64; FIGURE_COUNT]) -> impl Iterator<Item = usize> {
    let within: [bool; FIGURE_COUNT] =
        std::array::from_fn(|index| figures[index] <= FIGURES[index].bound);
    (0..FIGURE_COUNT).filter(move |index| !within[*index])
}

fn tell(figures: &[f64; FIGURE_COUNT]) {
    let width = FIGURES.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    for (index, Figure { name, bound }) in FIGURES.iter().enumerate() {
        let is_slow = exceeding(figures).any(|slow| slow == index);
        let verdict = if is_slow { "TOO SLOW" } else { "ok" };
        println!("{name:width$}  {:6.2}  bound {bound:.2}  {verdict}", figures[index]);
    }
}

fn tell_disturbed(cores: f64) {
    println!(
        "skipped: speed is not judged, as other programs use {:.0} % of a core",
        cores * 100.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_above_their_bounds_and_figures_that_are_not_numbers_exceed() {
        let mut figures: [f64; FIGURE_COUNT] = std::array::from_fn(|index| FIGURES[index].bound);
        assert_eq!(exceeding(&figures).count(), 0);
        figures[1] += 0.01;
        figures[4] = f64::NAN;
        assert_eq!(exceeding(&figures).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn one_disturbed_round_of_two_or_three_does_not_count() {
        assert_eq!(lower_median(vec![9.0, 1.0]), 1.0);
        assert_eq!(lower_median(vec![9.0, 1.0, 1.1]), 1.1);
    }
}
