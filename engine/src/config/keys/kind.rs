//! The traits that all keys implement.

use super::super::read::{ConfigReport, Item};
use std::fmt;

/// The type of a key's value.
pub(super) trait Value: Sized {
    /// The type of what a table of the file sets, which may be only a part of the value.
    type Set: Clone;

    /// Merges what a function's table sets with what `[defaults]` sets.
    fn over(own: &Option<Self::Set>, defaults: &Option<Self::Set>) -> Option<Self::Set> {
        own.as_ref().or(defaults.as_ref()).cloned()
    }
}

/// Reads and writes a key with values of one type.
pub(super) trait Kind<V: Value> {
    /// Reads what a table sets. Reports a wrong value, and returns `None` for it.
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<V::Set>;

    /// Returns the effective value: the default of each part that is not set.
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

    /// Returns a line of TOML that sets the key to its default. For a key without a default, the
    /// line is an example in a comment.
    fn example(&self, key: &str) -> String;
}

/// Writes a key whose value is a table, on one line. Entries that are `None` are left out.
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
