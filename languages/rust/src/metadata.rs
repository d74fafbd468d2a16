//! The metadata of requests and answers.

use nightcore_runtime::protocol;
use std::fmt;

/// The metadata of a request or an answer: pairs of a lower-case name and a value, in order. A
/// name may occur more than once. Names that begin with `:` are Nightcore's own, such as `:path`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Metadata<'a>(pub(crate) protocol::Metadata<'a>);

impl<'a> Metadata<'a> {
    /// Returns the first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.get(name)
    }

    /// Returns the first value of this name if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Iterates over all pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.0.iter()
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Metadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}
