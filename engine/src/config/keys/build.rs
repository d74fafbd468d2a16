//! `build`: the command that makes a function's program.

use super::super::command;
use super::super::read::{ConfigReport, Item};
use super::super::toml_string::quote;
use super::super::unexpanded;
use super::kind::{Kind, Value};
use std::fmt;

const EXAMPLE: &str = r#"["go", "build", "-o", "foo", "."]"#;

/// The command that makes a function's program. It is never given to a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The program as written, and its arguments.
    pub words: Vec<String>,
    /// The same words with their variables not expanded, because their values could be secrets.
    pub written: Vec<String>,
}

impl fmt::Display for Build {
    /// Writes the command as a user would type it, with its variables not expanded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c) || !c.is_ascii();
        for (at, word) in self.written.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            if word.chars().all(is_plain) && !word.is_empty() {
                write!(f, "{space}{word}")?;
            } else {
                write!(f, "{space}'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

impl Value for Option<Build> {
    /// `None` for no build, whatever `[defaults]` sets.
    type Set = Option<Build>;
}

pub(super) struct BuildKind;

impl Kind<Option<Build>> for BuildKind {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<Option<Build>> {
        if item.is_empty_array() {
            return Some(None);
        }
        let command = command::read(item, report)?;
        for (word, span) in command.written.iter().zip(&command.spans) {
            if let Some(problem) = unexpanded::operator(word) {
                report.warn(span, problem);
            }
        }
        Some(Some(Build { words: command.words, written: command.written }))
    }

    fn value(&self, set: Option<Option<Build>>, _report: &mut ConfigReport<'_>) -> Option<Build> {
        set.flatten()
    }

    fn write(&self, key: &str, build: &Option<Build>, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(build) = build else { return Ok(()) };
        let words: Vec<String> = build.written.iter().map(|word| quote(word)).collect();
        writeln!(out, "{key} = [{}]", words.join(", "))
    }

    fn example(&self, key: &str) -> String {
        format!("# {key} = {EXAMPLE}")
    }
}
