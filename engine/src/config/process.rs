//! Checks whether a command can be started, and warns of words that are probably mistakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::{self, SearchPath, WrittenCommand, is_variable};
use super::executable::{self, Finding};
use super::keys::Build;
use super::quote::quoted;
use super::read::ConfigReport;
use super::{script, unexpanded};

/// The directories in which the files of a command may be.
pub(super) struct Places<'p> {
    /// The directory of the configuration file.
    pub(super) directory: &'p Path,
    pub(super) cwd: &'p Path,
    pub(super) search_path: &'p SearchPath<'p>,
}

/// How a program, or the script that it runs, is made.
pub(super) enum Made<'b> {
    /// The file must exist.
    ByHand,
    /// The file must exist. If it does not, this command makes it.
    By(&'b Build),
    /// The file need not exist, because a build runs before the program is started.
    Later,
}

impl Made<'_> {
    /// Says how to make a file that does not exist, as the end of a message.
    fn hint(&self, file: &Path, cwd: &Path) -> String {
        match self {
            Made::By(build) if !file.exists() => format!(
                "; it is made by its build: run {} in {}, or start nightcore dev, which runs it",
                quoted(&build.to_string()),
                cwd.display()
            ),
            _ => String::new(),
        }
    }
}

/// Reports what is wrong with a command. Returns the executable; `None` if it cannot be started.
pub(super) fn check(
    command: &WrittenCommand,
    places: &Places<'_>,
    env: &BTreeMap<String, String>,
    made: &Made<'_>,
    report: &mut ConfigReport<'_>,
) -> Option<PathBuf> {
    let Places { directory, cwd, search_path } = *places;
    let WrittenCommand { words, written, spans } = command;
    let folders = search_path.directories();
    let first = words.first()?;
    let is_later = matches!(made, Made::Later);
    // The present file may be an old one, which the build replaces.
    let program = if is_later && first.contains('/') {
        command::clean(&directory.join(first))
    } else {
        let found = command::resolve(first, directory, cwd, search_path);
        let complain = |message| {
            // A build does not make programs that are looked up in PATH.
            let is_path = first.contains('/');
            let file = is_path.then(|| directory.join(first));
            let hint = file.map(|file| made.hint(&file, cwd)).unwrap_or_default();
            report.at(&spans[0], format!("{message}{hint}"));
        };
        let program = found.map_err(complain).ok()?;
        match executable::inspect(&program, cwd, &folders) {
            Some(Finding::Error(message)) => {
                report.at(&spans[0], message);
                return None;
            }
            Some(Finding::Warning(message)) => report.warn(&spans[0], message),
            None => {}
        }
        program
    };
    let is_set = |name: &str| is_variable(name) || env.contains_key(name);
    let script = script::problem(words, cwd, directory, &folders).filter(|_| !is_later);
    if let Some((at, message)) = &script {
        let unexpanded = unexpanded::problem(&written[*at], is_set);
        let hint = unexpanded.map(|hint| format!("; {hint}"));
        let hint = hint.unwrap_or_else(|| made.hint(&cwd.join(&words[*at]), cwd));
        report.at(&spans[*at], format!("{message}{hint}"));
    }
    // The words from `-c` on are code for the interpreter.
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
