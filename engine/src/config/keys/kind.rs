//! What the keys have in common.

use super::super::read::{ConfigReport, Item};
use std::fmt;

/// The type of a key's value.
pub(super) trait Value: Sized {
    /// What a table of the file says, which may be less than a whole value.
    type Set: Clone;

    /// Joins what a function's table says with what `[defaults]` says.
    fn over(own: &Option<Self::Set>, defaults: &Option<Self::Set>) -> Option<Self::Set> {
        own.as_ref().or(defaults.as_ref()).cloned()
    }
}

/// How a key with values of one type is read and written.
pub(super) trait Kind<V: Value> {
    /// Reads what a table says. Returns none if it is wrong, which is then reported.
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<V::Set>;

    /// Returns the value that holds: what is not set has its default.
    fn value(&self, set: Option<V::Set>, report: &mut ConfigReport<'_>) -> V;

    /// Whether two values have the same effect.
    fn is_same(&self, one: &V, other: &V) -> bool
    where
        V: PartialEq,
    {
        one == other
    }

    /// Writes the key and its value as lines of TOML.
    fn write(&self, key: &str, value: &V, out: &mut dyn fmt::Write) -> fmt::Result;

    /// Returns a line of TOML that sets the key to its default. For a key without a default it is
    /// an example in a comment.
    fn example(&self, key: &str) -> String;
}

/// Writes a key whose value is a table, on one line. What is not set is left out.
pub(super) fn write_table(
    key: &str,
    entries: impl IntoIterator<Item = Option<String>>,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let entries: Vec<String> = entries.into_iter().flatten().collect();
    match entries.is_empty() {
        true => writeln!(out, "{key} = {{}}"),
        false => writeln!(out, "{key} = {{ {} }}", entries.join(", ")),
    }
}
