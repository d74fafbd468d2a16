//! Which rooms of the engine know nothing of which others, held by their imports.
//!
//! `walls.sh` says the same of the text of the code; a name can be written in more ways than a
//! pattern finds.

use crate::imports::Imports;
use std::path::Path;

/// Files or folders of `engine/src`, what they must not import, and why.
const APART: [(&[&str], &[&str], &str); 2] = [
    (
        &["transport"],
        &[
            "scheduler.rs",
            "calls",
            "functions",
            "pool",
            "core.rs",
            "gateway",
            "launcher",
            "observe",
            "config",
            "cli",
        ],
        "the transport reports events and does not know who takes them",
    ),
    (
        &["scheduler.rs", "calls", "functions", "pool", "ids.rs"],
        &["transport", "core.rs", "gateway", "launcher", "observe", "config", "cli"],
        "the scheduler knows only its own parts",
    ),
];

/// Describes each import of a room by another one that must not know it.
pub fn breaches(imports: &Imports) -> Vec<String> {
    let is_in = |file: usize, rooms: &[&str]| {
        let path = imports.path(file).strip_prefix("engine/src").expect("a file of the engine");
        rooms.iter().any(|room| path.starts_with(Path::new(room)))
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
