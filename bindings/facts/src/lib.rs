//! Writes the facts that all languages share into their sources: statuses, limits, the rule for
//! names, the mark of a log line, names of environment variables, and keys of the configuration.
//!
//! The facts are constants of `nightcore-runtime` and `nightcore-engine`. Each module here writes
//! one file in one language; `make bindings` runs them, and a test fails when a committed file is
//! stale.

mod c;
mod docs;
mod go;
mod node;
mod python;
mod text;

use std::path::Path;

/// A generated file.
pub struct Generated {
    /// The path of the file from the root of the repository.
    pub path: &'static str,
    /// The content of the file.
    pub text: String,
}

/// Generates all files. Some files are generated only in part; the rest is taken from the
/// repository at `root`.
///
/// # Errors
/// Returns an error if a partly generated file cannot be read or has no place for that part.
pub fn all(root: &Path) -> std::io::Result<[Generated; 6]> {
    Ok([
        Generated { path: "bindings/c/src/facts.rs", text: c::facts() },
        Generated { path: "languages/go/facts.go", text: go::facts() },
        Generated { path: "languages/node/lib/facts.js", text: node::facts() },
        Generated { path: "languages/node/lib/facts.d.ts", text: node::types() },
        Generated { path: "languages/python/src/nightcore/_facts.py", text: python::facts() },
        Generated { path: docs::CONFIGURATION, text: docs::configuration(root)? },
    ])
}
