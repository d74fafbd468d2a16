//! Reads and writes `recycle`: when a process that works well is replaced all the same.

use super::super::limits::{MAX_AGE, MAX_MEMORY_BYTES, MIN_AGE, MIN_MEMORY_BYTES};
use super::super::read::{ConfigReport, Item};
use super::super::toml_string::string;
use super::super::units::{format_duration, format_size};
use super::kind::{Kind, Value, write_table};
use std::fmt;
use std::time::Duration;

const EXAMPLE: &str = r#"{ calls = 10000, memory = "300MiB", age = "1d" }"#;

/// The bounds at which a process is replaced; `None` for no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recycle {
    /// The number of calls that it has run.
    pub calls: Option<u32>,
    /// The bytes of memory that it holds and does not share with other processes.
    pub memory_bytes: Option<u64>,
    /// The time since it became ready.
    pub age: Option<Duration>,
}

impl Recycle {
    /// Whether a process is ever replaced.
    pub fn is_set(&self) -> bool {
        *self != Recycle::default()
    }
}

impl Value for Recycle {
    type Set = Recycle;

    fn over(own: &Option<Recycle>, defaults: &Option<Recycle>) -> Option<Recycle> {
        let (own, defaults) = (own.unwrap_or_default(), defaults.unwrap_or_default());
        Some(Recycle {
            calls: own.calls.or(defaults.calls),
            memory_bytes: own.memory_bytes.or(defaults.memory_bytes),
            age: own.age.or(defaults.age),
        })
    }
}

pub(super) struct RecycleKind;

impl Kind<Recycle> for RecycleKind {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<Recycle> {
        let table = item.table(EXAMPLE, report)?;
        table.refuse_unknown(&["calls", "memory", "age"], report);
        let (calls, memory, age) = (table.get("calls"), table.get("memory"), table.get("age"));
        let memory_range = MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES;
        Some(Recycle {
            calls: calls.and_then(|item| item.integer(1..=u32::MAX, report)),
            memory_bytes: memory.and_then(|item| item.size(memory_range, report)),
            age: age.and_then(|item| item.duration(MIN_AGE..=MAX_AGE, report)),
        })
    }

    fn value(&self, set: Option<Recycle>, _report: &mut ConfigReport<'_>) -> Recycle {
        set.unwrap_or_default()
    }

    fn write(&self, key: &str, recycle: &Recycle, out: &mut dyn fmt::Write) -> fmt::Result {
        let Recycle { calls, memory_bytes, age } = recycle;
        let bounds = [
            calls.map(|calls| format!("calls = {calls}")),
            memory_bytes.map(|bytes| format!("memory = {}", string(&format_size(bytes)))),
            age.map(|age| format!("age = {}", string(&format_duration(age)))),
        ];
        write_table(key, bounds, out)
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {{}}")
    }
}
