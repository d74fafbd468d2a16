//! Reads and writes `workers`: the number of workers of a function.

use super::super::limits::{
    DEFAULT_MAX_SLOTS, DEFAULT_MAX_THREADS, DEFAULT_MIN_WORKERS, MAX_WORKERS,
};
use super::super::read::{ConfigReport, Item, Span};
use super::kind::{Kind, Value};
use std::fmt;

const EXAMPLE: &str = "{ min = 1, max = 32 }";

/// The bounds on the number of workers of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerBounds {
    /// The number of workers that are kept without load.
    pub min: u32,
    /// The largest number of workers, if the file gives one. The default depends on the kind of
    /// worker, which only the container knows: see [`WorkerBounds::max_threads`] and
    /// [`WorkerBounds::max_slots`].
    pub max: Option<u32>,
}

impl WorkerBounds {
    /// Returns the largest number of worker threads.
    pub fn max_threads(&self) -> u32 {
        self.max.unwrap_or(DEFAULT_MAX_THREADS.max(self.min))
    }

    /// Returns the largest number of calls that run at once on event loops.
    pub fn max_slots(&self) -> u32 {
        self.max.unwrap_or(DEFAULT_MAX_SLOTS.max(self.min))
    }
}

/// The bounds that a table sets, and their places.
#[derive(Clone, Default)]
pub(in super::super) struct WorkersSet {
    min: Option<(u32, Span)>,
    max: Option<(u32, Span)>,
    /// The place of the bound that is reported if the two contradict each other.
    doubted: Option<Span>,
}

impl Value for WorkerBounds {
    type Set = WorkersSet;

    fn over(own: &Option<WorkersSet>, defaults: &Option<WorkersSet>) -> Option<WorkersSet> {
        let own = own.clone().unwrap_or_default();
        let defaults = defaults.clone().unwrap_or_default();
        // If the function's own table sets only one of the two, that one is wrong.
        let is_max = own.min.is_none() && own.max.is_some();
        let (min, max) = (own.min.or(defaults.min), own.max.or(defaults.max));
        let doubted = if is_max { &max } else { &min };
        let doubted = doubted.as_ref().map(|(_, span)| span.clone());
        Some(WorkersSet { min, max, doubted })
    }
}

pub(super) struct WorkersKind;

impl Kind<WorkerBounds> for WorkersKind {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<WorkersSet> {
        let table = item.table(EXAMPLE, report)?;
        table.refuse_unknown(&["min", "max"], report);
        let mut bound = |key, least| {
            let item = table.get(key)?;
            Some((item.integer(least..=MAX_WORKERS, report)?, item.span()))
        };
        Some(WorkersSet { min: bound("min", 0), max: bound("max", 1), doubted: None })
    }

    fn value(&self, set: Option<WorkersSet>, report: &mut ConfigReport<'_>) -> WorkerBounds {
        let WorkersSet { min, max, doubted } = set.unwrap_or_default();
        let (min, max) = (min.map(|(min, _)| min), max.map(|(max, _)| max));
        if let (Some(min), Some(max), Some(span)) = (min, max, doubted)
            && min > max
        {
            report.at(&span, format!("workers: min is {min}, which is more than max, {max}"));
        }
        // The default of `min` cannot contradict a `max` that the file sets, since `max` is at
        // least 1.
        WorkerBounds { min: min.unwrap_or(DEFAULT_MIN_WORKERS), max }
    }

    fn write(&self, key: &str, workers: &WorkerBounds, out: &mut dyn fmt::Write) -> fmt::Result {
        let min = workers.min;
        if let Some(max) = workers.max {
            return writeln!(out, "{key} = {{ min = {min}, max = {max} }}");
        }
        let (threads, slots) = (workers.max_threads(), workers.max_slots());
        write!(out, "{key} = {{ min = {min} }}")?;
        writeln!(out, "  # max: {threads} threads, or {slots} calls on event loops")
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {{ min = {DEFAULT_MIN_WORKERS} }}")
    }
}
