//! A string in which variables were expanded, and messages about it that hide their values.

use super::quote::{printable, quoted};

/// The least length of a value, in characters, at which a message is searched for it. Shorter
/// values occur within many other words.
const MIN_CONCEALED: usize = 4;

/// A string in which variables were expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expansion {
    /// The string as the file writes it.
    pub(super) written: String,
    /// The string with the values of its variables.
    pub(super) value: String,
    /// The variables as the file writes them, each with its value, which may be a secret.
    pub(super) variables: Vec<(String, String)>,
}

impl Expansion {
    /// Returns a message about the string with the variables as the file writes them.
    pub(super) fn conceal(&self, message: &str) -> String {
        let written = quoted(&self.written);
        let mut shown = message.replace(&quoted(&self.value), &written);
        let found = format!("found {}", printable(&self.value));
        shown = shown.replace(&found, &format!("found {written}"));
        for (variable, value) in &self.variables {
            // A message may contain parts of a value, such as the words of a command.
            let pieces = value.split(|c: char| c.is_whitespace() || c == '=');
            for piece in [value.as_str(), &printable(value)].into_iter().chain(pieces) {
                if piece.chars().count() >= MIN_CONCEALED {
                    shown = shown.replace(piece, variable);
                }
            }
        }
        shown
    }
}
