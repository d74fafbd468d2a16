//! Which rooms of the engine know nothing of which others, held by their imports.
//!
//! `walls.sh` says the same of the text of the code; a name can be written in more ways than a
//! pattern finds.

use crate::imports::Imports;
use std::path::Path;

/// Rooms of `engine/src`, the rooms that they must not import, and why.
const APART: [(&[&str], &[&str], &str); 2] = [
    (
        &["transport"],
        &[
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
        ],
        "the transport reports events and does not know who takes them",
    ),
    (
        &["scheduler", "calls", "functions", "pool", "ids"],
        &["transport", "core", "gateway", "launcher", "observe", "config", "cli"],
        "the scheduler knows only its own parts",
    ),
];

/// Whether a file is of the room at this path: `core.rs` and all in `core/` are of `core`.
pub fn is_of(file: &Path, room: &str) -> bool {
    file.with_extension("").starts_with(room)
}

/// Describes each import of a room by another one that must not know it.
pub fn breaches(imports: &Imports) -> Vec<String> {
    let is_in = |file: usize, rooms: &[&str]| {
        rooms.iter().any(|room| is_of(imports.path(file), &format!("engine/src/{room}")))
    };
    let mut found = Vec::new();
    for (from, imported) in imports.lines.keys() {
        for (rooms, others, reason) in APART {
            if is_in(*from, rooms) && is_in(*imported, others) {
                let lines = imports.show(*from, *imported);
                found.extend(lines.iter().map(|line| format!("{reason}: {line}")));
            }
        }
    }
    found
}
