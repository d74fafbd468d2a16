//! Reads and writes `limits`: the resources of a container.

use super::super::limits::{
    MAX_CPU_MILLIS, MAX_MEMORY_BYTES, MAX_OPEN_FILES, MAX_TASKS, MIN_CPU_MILLIS, MIN_MEMORY_BYTES,
    MIN_OPEN_FILES,
};
use super::super::read::{ConfigReport, Item};
use super::super::toml_string::string;
use super::super::units::{format_size, format_thousandths};
use super::kind::{Kind, Value, write_table};
use serde::{Deserialize, Serialize};
use std::fmt;

const EXAMPLE: &str = r#"{ memory = "512MiB", cpus = 1.5 }"#;

/// The resources that one container may use; `None` for no limit.
///
/// If the engine can create control groups, a limit applies to all processes of the container
/// together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Open files of each process.
    pub open_files: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u32>,
}

impl Value for Limits {
    type Set = Limits;

    fn over(own: &Option<Limits>, defaults: &Option<Limits>) -> Option<Limits> {
        let own = own.clone().unwrap_or_default();
        let defaults = defaults.clone().unwrap_or_default();
        Some(Limits {
            memory_bytes: own.memory_bytes.or(defaults.memory_bytes),
            cpu_millis: own.cpu_millis.or(defaults.cpu_millis),
            open_files: own.open_files.or(defaults.open_files),
            tasks: own.tasks.or(defaults.tasks),
        })
    }
}

pub(super) struct LimitsKind;

impl Kind<Limits> for LimitsKind {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<Limits> {
        let table = item.table(EXAMPLE, report)?;
        table.refuse_unknown(&["memory", "cpus", "open_files", "tasks"], report);
        let (memory, cpus) = (table.get("memory"), table.get("cpus"));
        let (open_files, tasks) = (table.get("open_files"), table.get("tasks"));
        let memory_range = MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES;
        Some(Limits {
            memory_bytes: memory.and_then(|item| item.size(memory_range, report)),
            cpu_millis: cpus
                .and_then(|item| item.thousandths(MIN_CPU_MILLIS..=MAX_CPU_MILLIS, report)),
            open_files: open_files
                .and_then(|item| item.integer(MIN_OPEN_FILES..=MAX_OPEN_FILES, report)),
            tasks: tasks.and_then(|item| item.integer(1..=MAX_TASKS, report)),
        })
    }

    fn value(&self, set: Option<Limits>, _report: &mut ConfigReport<'_>) -> Limits {
        set.unwrap_or_default()
    }

    fn write(&self, key: &str, limits: &Limits, out: &mut dyn fmt::Write) -> fmt::Result {
        let Limits { memory_bytes, cpu_millis, open_files, tasks } = limits;
        let limits = [
            memory_bytes.map(|bytes| format!("memory = {}", string(&format_size(bytes)))),
            cpu_millis.map(|millis| format!("cpus = {}", format_thousandths(millis))),
            open_files.map(|most| format!("open_files = {most}")),
            tasks.map(|most| format!("tasks = {most}")),
        ];
        write_table(key, limits, out)
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {{}}")
    }
}
