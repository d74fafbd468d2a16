//! Writes the facts that all languages share into their sources: statuses, limits, the rule for
//! names, the mark of a log line, and names of environment variables.
//!
//! The facts are constants of `nightcore-runtime`. Each module here writes one file in one
//! language; `make bindings` runs them, and a test fails when a committed file is stale.

mod c;
mod go;
mod node;
mod python;
mod text;

/// A generated file.
pub struct Generated {
    /// Where it is, from the root of the repository.
    pub path: &'static str,
    /// What stands in it.
    pub text: String,
}

/// Returns all generated files, freshly written.
pub fn all() -> [Generated; 5] {
    [
        Generated { path: "bindings/c/src/facts.rs", text: c::facts() },
        Generated { path: "languages/go/facts.go", text: go::facts() },
        Generated { path: "languages/node/lib/facts.js", text: node::facts() },
        Generated { path: "languages/node/lib/facts.d.ts", text: node::types() },
        Generated { path: "languages/python/src/nightcore/_facts.py", text: python::facts() },
    ]
}
