//! Whether a command can be started, and will do what was probably meant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::{self, Command, SearchPath, is_variable};
use super::executable::{self, Finding};
use super::read::Report;
use super::{script, unexpanded};

/// Where the files of a command may be.
pub(super) struct Places<'p> {
    /// The directory of the configuration file.
    pub(super) directory: &'p Path,
    pub(super) cwd: &'p Path,
    pub(super) search_path: &'p SearchPath<'p>,
}

/// Reports what is wrong with a command. Returns the executable; none if it cannot be started.
pub(super) fn check(
    command: &Command,
    places: &Places<'_>,
    env: &BTreeMap<String, String>,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let Places { directory, cwd, search_path } = *places;
    let Command { words, written, spans } = command;
    let found = command::resolve(words.first()?, directory, cwd, search_path);
    let program = found.map_err(|message| report.at(&spans[0], message)).ok()?;
    let folders = search_path.directories();
    match executable::look(&program, cwd, &folders) {
        Some(Finding::Error(message)) => {
            report.at(&spans[0], message);
            return None;
        }
        Some(Finding::Warning(message)) => report.warn(&spans[0], message),
        None => {}
    }
    let is_set = |name: &str| is_variable(name) || env.contains_key(name);
    let script = script::problem(words, cwd, directory, &folders);
    if let Some((at, message)) = &script {
        let unexpanded = unexpanded::problem(&written[*at], is_set);
        let hint = unexpanded.map(|hint| format!("; {hint}")).unwrap_or_default();
        report.at(&spans[*at], format!("{message}{hint}"));
    }
    // What follows `-c` is for the interpreter to read.
    let is_code = |word: &&String| matches!(word.as_str(), "-c" | "-e" | "-p" | "--eval");
    let plain = words.iter().take_while(|word| !is_code(word)).count();
    for at in (1..plain).filter(|at| script.as_ref().is_none_or(|(wrong, _)| wrong != at)) {
        let problem = unexpanded::problem(&written[at], is_set);
        if let Some(problem) = problem.or_else(|| unexpanded::operator(&written[at])) {
            report.warn(&spans[at], problem);
        }
    }
    script.is_none().then_some(program)
}
