//! Errors in a configuration file, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

/// The number of errors that are shown. More of them would scroll the first ones off the screen.
const MAX_SHOWN: usize = 20;

/// One mistake in a file.
///
/// It is displayed as `PATH:LINE:COLUMN: message`, followed by the line with the place marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: PathBuf,
    place: Option<FilePosition>,
    message: String,
}

/// A place in a file, in the form in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePosition {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) excerpt: Excerpt,
}

/// A line, and the marker that is shown below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) text: String,
    pub(super) marker: String,
}

impl ConfigError {
    /// Creates an error about the file as a whole.
    pub(super) fn of_file(path: &Path, message: impl Into<String>) -> Self {
        ConfigError { path: path.to_path_buf(), place: None, message: message.into() }
    }

    pub(super) fn at(path: &Path, place: FilePosition, message: impl Into<String>) -> Self {
        ConfigError { path: path.to_path_buf(), place: Some(place), message: message.into() }
    }

    /// Returns the file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the line, counted from 1; `None` if the error is about the file as a whole.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// Returns the column in characters, counted from 1; `None` if the error is about the file as a
    /// whole.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    /// Returns the place and the message, on one line.
    pub fn line_text(&self) -> String {
        let path = self.path.display();
        match &self.place {
            Some(FilePosition { line, column, .. }) => {
                format!("{path}:{line}:{column}: {}", self.message)
            }
            None => format!("{path}: {}", self.message),
        }
    }

    /// Returns the message, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(FilePosition { line, excerpt, .. }) = &self.place else {
            return f.write_str(&self.line_text());
        };
        writeln!(f, "{}", self.line_text())?;
        let gutter = line.to_string().len();
        writeln!(f, "  {line} | {}", excerpt.text)?;
        write!(f, "  {:gutter$} | {}", "", excerpt.marker)
    }
}

impl std::error::Error for ConfigError {}

/// All mistakes in a file, in the order of the file. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    omitted: usize,
}

impl ConfigErrors {
    /// Takes the errors in the order of the file, and the number of further errors.
    pub(super) fn new(errors: Vec<ConfigError>, omitted: usize) -> Self {
        ConfigErrors { errors, omitted }
    }

    /// Returns the errors, in the order of the file. If the file has very many, only the first ones
    /// are kept.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors { errors: vec![error], omitted: 0 }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().take(MAX_SHOWN).enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{error}")?;
        }
        match self.errors.len().saturating_sub(MAX_SHOWN) + self.omitted {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: usize) -> ConfigError {
        let excerpt = Excerpt { text: "x".into(), marker: "^".into() };
        ConfigError::at(Path::new("f"), FilePosition { line, column: 1, excerpt }, "wrong")
    }

    #[test]
    fn the_marker_stands_below_the_line() {
        assert_eq!(error(7).to_string(), "f:7:1: wrong\n  7 | x\n    | ^");
        assert_eq!(error(1234).to_string(), "f:1234:1: wrong\n  1234 | x\n       | ^");
    }

    #[test]
    fn a_blank_line_stands_between_errors() {
        let errors = ConfigErrors::new(vec![error(1), error(2)], 0);
        assert_eq!(
            errors.to_string(),
            "f:1:1: wrong\n  1 | x\n    | ^\n\nf:2:1: wrong\n  2 | x\n    | ^"
        );
    }

    #[test]
    fn at_most_twenty_are_shown() {
        let shown = |count, omitted| {
            ConfigErrors::new((1..=count).map(error).collect(), omitted).to_string()
        };
        assert!(!shown(20, 0).contains("more"));
        assert!(shown(23, 0).ends_with("\n\nand 3 more"));
        assert!(shown(23, 4).ends_with("\n\nand 7 more"));
        assert_eq!(shown(23, 0).matches("wrong").count(), 20);
    }
}
