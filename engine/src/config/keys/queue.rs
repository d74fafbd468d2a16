//! Reads and writes `queue`: the bounds of a function's queue.

use super::super::limits::{
    DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_CALLS, MAX_QUEUE_BYTES, MAX_QUEUE_CALLS,
};
use super::super::read::{ConfigReport, Item};
use super::super::toml_string::string;
use super::super::units::format_size;
use super::kind::{Kind, Value};
use std::fmt;

const EXAMPLE: &str = r#"{ calls = 1024, bytes = "64MiB" }"#;

/// The bounds of a function's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueBounds {
    /// The largest number of calls that may wait.
    pub calls: u32,
    /// The largest number of payload bytes that may wait.
    pub bytes: u64,
}

/// The bounds that a table sets.
#[derive(Clone, Default)]
pub(in super::super) struct QueueSet {
    calls: Option<u32>,
    bytes: Option<u64>,
}

impl Value for QueueBounds {
    type Set = QueueSet;

    fn over(own: &Option<QueueSet>, defaults: &Option<QueueSet>) -> Option<QueueSet> {
        let own = own.clone().unwrap_or_default();
        let defaults = defaults.clone().unwrap_or_default();
        Some(QueueSet { calls: own.calls.or(defaults.calls), bytes: own.bytes.or(defaults.bytes) })
    }
}

pub(super) struct QueueKind;

impl Kind<QueueBounds> for QueueKind {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<QueueSet> {
        let table = item.table(EXAMPLE, report)?;
        table.refuse_unknown(&["calls", "bytes"], report);
        let calls = table.get("calls");
        let bytes = table.get("bytes");
        Some(QueueSet {
            calls: calls.and_then(|item| item.integer(1..=MAX_QUEUE_CALLS, report)),
            bytes: bytes.and_then(|item| item.size(1..=MAX_QUEUE_BYTES, report)),
        })
    }

    fn value(&self, set: Option<QueueSet>, _report: &mut ConfigReport<'_>) -> QueueBounds {
        let set = set.unwrap_or_default();
        QueueBounds {
            calls: set.calls.unwrap_or(DEFAULT_QUEUE_CALLS),
            bytes: set.bytes.unwrap_or(DEFAULT_QUEUE_BYTES),
        }
    }

    fn write(&self, key: &str, queue: &QueueBounds, out: &mut dyn fmt::Write) -> fmt::Result {
        let bytes = string(&format_size(queue.bytes));
        writeln!(out, "{key} = {{ calls = {}, bytes = {bytes} }}", queue.calls)
    }

    fn example(&self, key: &str) -> String {
        let bytes = string(&format_size(DEFAULT_QUEUE_BYTES));
        format!("{key} = {{ calls = {DEFAULT_QUEUE_CALLS}, bytes = {bytes} }}")
    }
}
