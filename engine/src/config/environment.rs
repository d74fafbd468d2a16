//! Reads `env` and `env_file`: the environment variables of a function's processes.

use super::command::{MAX_WORD_BYTES, TOO_LONG, is_variable};
use super::quote::quoted;
use super::read::{ConfigReport, Item, ReadValue};
use super::{bounded, command, unexpanded, variables};
use nightcore_runtime::protocol::control::{
    FUNCTION_VARIABLE, LOG_KEY_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variables by which the engine tells a process its engine and its function.
const ENGINES_VARIABLES: [&str; 4] =
    [SOCKET_VARIABLE, TOKEN_VARIABLE, FUNCTION_VARIABLE, LOG_KEY_VARIABLE];

const ENV_EXAMPLE: &str = r#"{ NAME = "value" }"#;
const ENV_FILE_EXAMPLE: &str = r#"[".env"]"#;

/// The variables of an `env` table.
pub(super) type Environment = BTreeMap<String, Variable>;

/// The value of a variable.
#[derive(Clone)]
pub(super) struct Variable {
    value: String,
    /// The value as the file writes it, with its variables not expanded.
    written: String,
}

/// A file of variables.
pub(super) struct EnvFile {
    path: PathBuf,
    variables: Vec<(String, String)>,
}

/// The variables of a function, merged.
pub(super) struct Merged {
    pub(super) variables: BTreeMap<String, String>,
    /// The variables of `env` tables, as the file writes them.
    pub(super) written: Vec<(String, String)>,
    /// The files that the other variables are from.
    pub(super) files: Vec<PathBuf>,
}

/// Merges the variables of `[defaults]` with those of a function's own table. Tables override
/// files, and later tables and files override earlier ones.
pub(super) fn merge(tables: [&Environment; 2], files: [&[EnvFile]; 2]) -> Merged {
    let mut variables = BTreeMap::new();
    for file in files.into_iter().flatten() {
        variables.extend(file.variables.iter().cloned());
    }
    let mut written = BTreeMap::new();
    for (name, variable) in tables.into_iter().flatten() {
        variables.insert(name.clone(), variable.value.clone());
        written.insert(name.clone(), variable.written.clone());
    }
    let files = files.into_iter().flatten().map(|file| file.path.clone()).collect();
    Merged { variables, written: written.into_iter().collect(), files }
}

/// Reads `env`.
pub(super) fn read(item: &Item<'_>, report: &mut ConfigReport<'_>) -> Environment {
    let mut env = BTreeMap::new();
    let Some(table) = item.table(ENV_EXAMPLE, report) else { return env };
    for item in table.entries() {
        let name = item.name();
        if let Some(problem) = problem_of_name(name) {
            report.at(item.key_span(), problem);
        }
        let Some(value) = item.string(None, report) else { continue };
        if let Some(problem) = problem_of_value(name, value) {
            item.wrong(problem, report);
            continue;
        }
        let written = variables::written(&item, value, report);
        if let Some(problem) = unexpanded::problem(&written, is_variable) {
            item.doubtful(problem, report);
        }
        env.insert(name.to_owned(), Variable { value: value.to_owned(), written });
    }
    env
}

pub(super) fn problem_of_name(name: &str) -> Option<String> {
    if ENGINES_VARIABLES.contains(&name) {
        return Some(format!("{name} is for the engine to set"));
    }
    let is_wrong = name.is_empty() || name.contains(['=', '\0']);
    is_wrong.then(|| format!("{} cannot be the name of a variable", quoted(name)))
}

fn problem_of_value(name: &str, value: &str) -> Option<&'static str> {
    if value.contains('\0') {
        return Some("a NUL character cannot be passed on");
    }
    (value.len() + name.len() >= MAX_WORD_BYTES).then_some(TOO_LONG)
}

/// Reads `env_file`: the path of one file, or an array of paths.
pub(super) fn read_files(
    item: &Item<'_>,
    directory: &Path,
    report: &mut ConfigReport<'_>,
) -> Vec<EnvFile> {
    if item.as_str().is_some() {
        return read_file(item, directory, report).into_iter().collect();
    }
    let values = item.array(ENV_FILE_EXAMPLE, report).unwrap_or_default();
    values.iter().filter_map(|value| read_file(value, directory, report)).collect()
}

fn read_file(
    value: &ReadValue<'_>,
    directory: &Path,
    report: &mut ConfigReport<'_>,
) -> Option<EnvFile> {
    let path = value.string(Some(".env"), report)?;
    let path = command::clean(&directory.join(path));
    match variables_of(&path) {
        Ok(variables) => Some(EnvFile { path, variables }),
        Err(problem) => {
            value.wrong(format!("{}: {problem}", path.display()), report);
            None
        }
    }
}

/// Returns the variables of a file.
///
/// # Errors
///
/// Returns a message that repeats no text of the file, because the file holds secrets.
fn variables_of(path: &Path) -> Result<Vec<(String, String)>, String> {
    let text = bounded::read(path).map_err(|error| error.to_string())?;
    let mut variables = Vec::new();
    for (index, entry) in dotenvy::from_read_iter(text.as_slice()).enumerate() {
        let after = match variables.last() {
            Some((name, _)) => format!("the variable after {name}"),
            None => "the first variable".to_owned(),
        };
        let (name, value) = entry.map_err(|_| {
            format!("variable {}, {after}, is not of the form NAME=value", index + 1)
        })?;
        if let Some(problem) = problem_of_name(&name) {
            return Err(problem);
        }
        if let Some(problem) = problem_of_value(&name, &value) {
            return Err(format!("{name}: {problem}"));
        }
        variables.push((name, value));
    }
    Ok(variables)
}
