//! Reads `command` and finds the executable that it names.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use super::quote::quoted;
use super::read::{ConfigReport, Item, Span};
use super::{unexpanded, variables};

/// The directories in which a program is searched for if PATH is not set: those that `execvp` uses.
const NO_PATH: &str = "/bin:/usr/bin";

/// The kernel accepts no longer argument or variable: this is `MAX_ARG_STRLEN` without the
/// terminating NUL.
pub(super) const MAX_WORD_BYTES: usize = 128 * 1024 - 1;
pub(super) const TOO_LONG: &str =
    "the system passes on at most 128 KiB in one word; put the value into a file";

/// A command as the file writes it.
pub(super) struct WrittenCommand {
    pub(super) words: Vec<String>,
    /// The same words with their variables not expanded.
    pub(super) written: Vec<String>,
    /// The span of each word.
    pub(super) spans: Vec<Span>,
}

/// Reads a non-empty array of strings.
pub(super) fn read(item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<WrittenCommand> {
    if let Some(text) = item.as_str() {
        let words: Vec<_> = text.split_whitespace().map(quoted).collect();
        let words = if words.is_empty() { r#""./foo""#.to_owned() } else { words.join(", ") };
        item.wrong(
            format!(
                "expected an array of strings, found string; write {} = [{words}]",
                item.name()
            ),
            report,
        );
        return None;
    }
    let values = item.array(r#"["./foo"]"#, report)?;
    let Some(program) = values.first() else {
        item.wrong(
            r#"the array is empty; write the program and its arguments, such as ["./foo"]"#,
            report,
        );
        return None;
    };
    if program.as_str() == Some("") {
        program.wrong("the program's name is empty", report);
        return None;
    }
    let mut words = Vec::with_capacity(values.len());
    let mut written = Vec::with_capacity(values.len());
    for value in &values {
        match value.string(None, report) {
            Some(text) if text.contains('\0') => {
                value.wrong("a NUL character cannot be passed on", report)
            }
            Some(text) if text.len() > MAX_WORD_BYTES => value.wrong(TOO_LONG, report),
            Some(text) => {
                words.push(text.to_owned());
                written.push(variables::written(value, text, report));
            }
            None => {}
        }
    }
    let spans: Vec<Span> = values.iter().map(|value| value.span()).collect();
    (words.len() == values.len()).then_some(WrittenCommand { words, written, spans })
}

/// The directories in which a program is searched for that is named without a slash.
pub(super) enum SearchPath<'p> {
    /// The PATH of the function's `env`.
    OfFunction(&'p str),
    /// The PATH of this process, if it has one.
    OfProcess(Option<&'p OsStr>),
}

impl<'p> SearchPath<'p> {
    /// Uses the PATH that a function's `env` sets, or else that of this process.
    pub(super) fn new(set: Option<&'p str>, own: Option<&'p OsStr>) -> SearchPath<'p> {
        set.map_or(SearchPath::OfProcess(own), SearchPath::OfFunction)
    }

    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let path = match self {
            SearchPath::OfFunction(path) => OsStr::new(path),
            SearchPath::OfProcess(path) => path.unwrap_or(OsStr::new(NO_PATH)),
        };
        // A relative directory would depend on the directory in which the engine was started.
        std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect()
    }
}

/// Finds the executable that `program` names. A name with a slash in it is relative to `directory`,
/// and not to the `cwd` in which the program runs.
pub(super) fn resolve(
    program: &str,
    directory: &Path,
    cwd: &Path,
    search_path: &SearchPath<'_>,
) -> Result<PathBuf, String> {
    if program.contains('/') {
        let path = clean(&directory.join(program));
        return match check(&path) {
            Ok(()) => Ok(path),
            Err(problem) => {
                let hint = hint_for_path(program, directory, cwd);
                Err(format!("{problem}: {}{hint}", path.display()))
            }
        };
    }
    let mut problem = None;
    for candidate in search_path.directories().iter().map(|directory| directory.join(program)) {
        match check(&candidate) {
            Ok(()) => return Ok(clean(&candidate)),
            // A directory or a plain file of that name does not hide a program further on in the
            // path.
            Err(Problem::NotExecutable) => {
                problem.get_or_insert_with(|| {
                    format!("{}: {}", Problem::NotExecutable, candidate.display())
                });
            }
            Err(_) => {}
        }
    }
    Err(problem.unwrap_or_else(|| {
        let whose = match search_path {
            SearchPath::OfFunction(_) => "the PATH that env sets",
            SearchPath::OfProcess(_) => "PATH",
        };
        let hint = hint_for_name(program, directory);
        format!("command not found: {} is not in {whose}{hint}", quoted(program))
    }))
}

/// Suggests what the user may have meant by a path.
fn hint_for_path(program: &str, directory: &Path, cwd: &Path) -> String {
    if let Some(problem) = unexpanded::problem(program, is_variable) {
        return format!("; {problem}");
    }
    let in_cwd = clean(&cwd.join(program));
    if cwd != directory && in_cwd.is_file() {
        let meant = in_cwd.strip_prefix(directory).map_or(in_cwd.clone(), |path| {
            // The "." makes it a path, which is not looked up in PATH.
            Path::new(".").join(path)
        });
        let meant = quoted(&meant.to_string_lossy());
        return format!("; a program is relative to this file, not to cwd: write {meant}");
    }
    String::new()
}

/// Suggests what the user may have meant by a name.
fn hint_for_name(program: &str, directory: &Path) -> String {
    if directory.join(program).is_file() {
        let meant = quoted(&format!("./{program}"));
        return format!("; write {meant} for a program beside this file");
    }
    if program.contains(' ') {
        let words: Vec<String> = program.split_whitespace().map(quoted).collect();
        return format!("; write each word on its own: [{}]", words.join(", "));
    }
    if let Some((name, value)) = program.split_once('=') {
        let (name, value) = (quoted(name), quoted(value));
        return format!("; for a variable write env = {{ {name} = {value} }}");
    }
    match unexpanded::problem(program, is_variable) {
        Some(problem) => format!("; {problem}"),
        None => String::new(),
    }
}

/// Whether a variable is set in this process.
pub(super) fn is_variable(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("command not found")]
    NotFound,
    #[error("not a file")]
    NotAFile,
    #[error("not executable")]
    NotExecutable,
    #[error("no permission to look at the command")]
    NoPermission,
}

fn check(path: &Path) -> Result<(), Problem> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {
            eaccess(path, AccessFlags::X_OK).map_err(|_| Problem::NotExecutable)
        }
        Ok(_) => Err(Problem::NotAFile),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Problem::NoPermission),
        Err(_) => Err(Problem::NotFound),
    }
}

/// Returns the same path without its `.` parts. A `..` is kept, because its meaning depends on
/// symbolic links.
pub(super) fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn make(path: PathBuf, mode: u32) -> PathBuf {
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_slash_means_relative_to_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, nowhere) = (directory.path(), SearchPath::OfFunction(""));
        let foo = make(path.join("foo"), 0o755);
        let plain = make(path.join("plain"), 0o644);
        assert_eq!(resolve("./foo", path, path, &nowhere), Ok(foo.clone()));
        assert_eq!(resolve(&foo.display().to_string(), path, path, &nowhere), Ok(foo));
        assert_eq!(
            resolve("./plain", path, path, &nowhere),
            Err(format!("not executable: {}", plain.display()))
        );
        assert_eq!(
            resolve("./bar", path, path, &nowhere),
            Err(format!("command not found: {}/bar", path.display()))
        );
        assert_eq!(
            resolve("./", path, path, &nowhere),
            Err(format!("not a file: {}", path.display()))
        );
    }

    #[test]
    fn a_plain_name_is_looked_up() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("1"), directory.path().join("2"));
        fs::create_dir_all(first.join("foo")).unwrap();
        fs::create_dir(&second).unwrap();
        let foo = make(second.join("foo"), 0o755);
        let plain = make(second.join("plain"), 0o644);
        let both = format!("relative::{}:{}", first.display(), second.display());
        let path = SearchPath::OfFunction(&both);
        assert_eq!(resolve("foo", directory.path(), directory.path(), &path), Ok(foo.clone()));
        assert_eq!(
            resolve("plain", directory.path(), directory.path(), &path),
            Err(format!("not executable: {}", plain.display()))
        );
        let of_process = SearchPath::OfProcess(Some(OsStr::new(&both)));
        assert_eq!(resolve("foo", directory.path(), directory.path(), &of_process), Ok(foo));
    }

    #[test]
    fn a_program_beside_the_file_is_hinted_at() {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path().join("foo"), 0o755);
        let (of_process, of_function) =
            (SearchPath::OfProcess(Some(OsStr::new(""))), SearchPath::OfFunction(""));
        assert_eq!(
            resolve("foo", directory.path(), directory.path(), &of_process).unwrap_err(),
            "command not found: \"foo\" is not in PATH; \
             write \"./foo\" for a program beside this file"
        );
        assert_eq!(
            resolve("bar", directory.path(), directory.path(), &of_process).unwrap_err(),
            r#"command not found: "bar" is not in PATH"#
        );
        assert_eq!(
            resolve("bar", directory.path(), directory.path(), &of_function).unwrap_err(),
            r#"command not found: "bar" is not in the PATH that env sets"#
        );
    }

    #[test]
    fn without_a_path_the_system_directories_are_searched() {
        assert!(
            resolve("sh", Path::new("/"), Path::new("/"), &SearchPath::OfProcess(None)).is_ok()
        );
    }
}
