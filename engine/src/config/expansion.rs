//! A text whose variables were replaced, and messages about it that do not show their values.

use super::quote::{printable, quoted};

/// The value of a variable is looked for within a message if it has so many characters: shorter
/// ones stand in many a word.
const MIN_CONCEALED: usize = 4;

/// A text whose variables were replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expansion {
    /// The text as the file has it.
    pub(super) written: String,
    /// What it became.
    pub(super) value: String,
    /// The variables in it as they are written, each with its value, which may be a secret.
    pub(super) variables: Vec<(String, String)>,
}

impl Expansion {
    /// Returns a message about the text with the variables as they are written.
    pub(super) fn conceal(&self, message: &str) -> String {
        let written = quoted(&self.written);
        let mut shown = message.replace(&quoted(&self.value), &written);
        let found = format!("found {}", printable(&self.value));
        shown = shown.replace(&found, &format!("found {written}"));
        for (variable, value) in &self.variables {
            // A message may take a value apart, such as a command into its words.
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
