//! Rules for the imports of the rooms of the engine's core.
//!
//! `walls.sh` checks the same rules with patterns on the text, but a name can be written in more
//! ways than a pattern can match.

use crate::imports::Imports;
use crate::source::Source;
use std::collections::BTreeSet;
use std::path::Path;

/// The rooms that make decisions and have no I/O. They import one another, and nothing else of the
/// engine.
const DECIDING: [&str; 5] = ["scheduler", "calls", "functions", "pool", "ids"];

/// The room of channels, control sockets and shared memory.
const TRANSPORT: &str = "transport";

/// The rooms that the transport must not import: those that make decisions, except for ids, and
/// those that know the engine as a whole.
const NOT_FOR_TRANSPORT: [&str; 10] = [
    "scheduler",
    "calls",
    "functions",
    "pool",
    "core",
    "gateway",
    "launcher",
    "observe",
    "config",
    "cli",
];

/// Returns whether a file belongs to the room at this path: `core.rs` and all files in `core/`
/// belong to `core`.
pub fn is_of(file: &Path, room: &str) -> bool {
    file.with_extension("").starts_with(room)
}

/// Describes each room that does not exist, because a rule about it would check nothing.
pub fn missing(source: &Source) -> Vec<String> {
    let rooms = DECIDING.iter().chain(&[TRANSPORT]).chain(&NOT_FOR_TRANSPORT);
    let rooms: BTreeSet<String> = rooms.map(|room| format!("engine/src/{room}")).collect();
    let is_there = |room: &String| source.files.iter().any(|file| is_of(&file.path, room));
    let missing = rooms.iter().filter(|room| !is_there(room));
    missing.map(|room| format!("there is no room {room}")).collect()
}

/// Describes each import of a room by another room that must not import it.
pub fn breaches(imports: &Imports) -> Vec<String> {
    let is_in = |file: usize, rooms: &[&str]| {
        rooms.iter().any(|room| is_of(imports.path(file), &format!("engine/src/{room}")))
    };
    let mut found = Vec::new();
    for (from, imported) in imports.lines.keys() {
        let reason = if is_in(*from, &[TRANSPORT]) && is_in(*imported, &NOT_FOR_TRANSPORT) {
            "the transport reports events and does not know who takes them"
        } else if is_in(*from, &DECIDING) && !is_in(*imported, &DECIDING) {
            "the scheduler knows only its own parts"
        } else {
            continue;
        };
        let lines = imports.show(*from, *imported);
        found.extend(lines.iter().map(|line| format!("{reason}: {line}")));
    }
    found
}
