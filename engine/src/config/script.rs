//! Checks the file that a command has an interpreter run: `["python3", "app.py"]`.
//!
//! A command is checked only if its interpreter and each option before the file are known, so that
//! nothing uncertain is reported.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use super::nearest::nearest;
use super::quote::quoted;

/// The options whose value runs in place of a file.
const CODE: [&str; 3] = ["--eval=", "--print=", "--run="];

/// The command-line syntax of an interpreter.
struct Interpreter {
    /// The options of one letter that take no value. Several of them may follow one dash.
    letters: &'static str,
    /// The other options that take no value.
    alone: &'static [&'static str],
    /// The options that take the next word as their value.
    valued: &'static [&'static str],
    /// The options whose value follows without a space, as in `-Wignore`.
    joined: &'static [&'static str],
    /// The extensions that the name of the file may lack.
    extensions: &'static [&'static str],
    /// Whether a name without a slash is looked up in PATH as well.
    searches: bool,
}

const PYTHON: Interpreter = Interpreter {
    letters: "bBdEiIOPqRsSuvx",
    alone: &[],
    valued: &["-W", "-X"],
    joined: &["-W", "-X"],
    extensions: &[],
    searches: false,
};
const NODE: Interpreter = Interpreter {
    letters: "",
    alone: &[
        "--abort-on-uncaught-exception",
        "--enable-source-maps",
        "--experimental-strip-types",
        "--experimental-transform-types",
        "--expose-gc",
        "--inspect",
        "--inspect-brk",
        "--no-deprecation",
        "--no-warnings",
        "--trace-deprecation",
        "--trace-uncaught",
        "--trace-warnings",
    ],
    valued: &["-r", "--require", "--import", "--loader", "--experimental-loader", "-C"],
    joined: &[],
    extensions: &["js", "json", "node"],
    searches: false,
};
const SHELL: Interpreter = Interpreter {
    letters: "aefhkmnpuvxBEHP",
    alone: &["-l", "--login", "--noprofile", "--norc", "--posix"],
    valued: &["-o", "+o", "-eo", "-euo", "-euxo"],
    joined: &[],
    extensions: &[],
    searches: true,
};
const RUBY: Interpreter = Interpreter {
    letters: "vwW",
    alone: &[],
    valued: &["-I", "-r"],
    joined: &["-I", "-r", "-W"],
    extensions: &[],
    searches: false,
};
const PERL: Interpreter = Interpreter {
    letters: "tTwW",
    alone: &[],
    valued: &["-I"],
    joined: &["-I", "-M", "-m"],
    extensions: &[],
    searches: false,
};
const PHP: Interpreter = Interpreter {
    letters: "nq",
    alone: &[],
    valued: &["-c", "-d"],
    joined: &["-d"],
    extensions: &[],
    searches: false,
};

fn interpreter(program: &str) -> Option<&'static Interpreter> {
    let name = Path::new(program).file_name()?.to_str()?;
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match base {
        "python" | "pypy" => Some(&PYTHON),
        "node" | "nodejs" => Some(&NODE),
        "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" => Some(&SHELL),
        "ruby" => Some(&RUBY),
        "perl" => Some(&PERL),
        "php" => Some(&PHP),
        _ => None,
    }
}

/// Returns the index of the file among the words of a command, if it is certain.
fn place(words: &[String], interpreter: &Interpreter) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = words.get(at)?.as_str();
        let is_option = word.starts_with('-') || word.starts_with('+');
        if !is_option {
            return (!word.is_empty()).then_some(at);
        }
        let letters = word.strip_prefix('-').unwrap_or_default();
        let is_letters =
            !letters.is_empty() && letters.chars().all(|c| interpreter.letters.contains(c));
        let is_joined =
            interpreter.joined.iter().any(|option| word.len() > 2 && word.starts_with(option));
        let is_code = CODE.iter().any(|option| word.starts_with(option));
        let is_assigned = word.starts_with("--") && word.contains('=') && !is_code;
        if is_letters || is_joined || is_assigned || interpreter.alone.contains(&word) {
            at += 1;
        } else if interpreter.valued.contains(&word) {
            at += 2;
        } else {
            return None;
        }
    }
}

/// Finds what is wrong with the file that a command has an interpreter run. Returns the index of
/// its word, and a message.
pub(super) fn problem(
    words: &[String],
    cwd: &Path,
    directory: &Path,
    search_path: &[PathBuf],
) -> Option<(usize, String)> {
    let program = words.first()?;
    let interpreter = interpreter(program)?;
    let at = place(words, interpreter)?;
    let word = words[at].as_str();
    let path = cwd.join(word);
    let found = std::iter::once(path.clone())
        .chain(interpreter.extensions.iter().map(|extension| with_extension(&path, extension)))
        .chain(search_path.iter().filter(|_| interpreter.searches).map(|folder| folder.join(word)))
        .find(|candidate| candidate.exists());
    if let Some(found) = found {
        let is_readable = eaccess(&found, AccessFlags::R_OK).is_ok();
        return (!is_readable).then(|| (at, format!("no permission to read {}", found.display())));
    }
    // The file may exist, but this process may not see it.
    if path.symlink_metadata().is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound) {
        return None;
    }
    let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let hint = hint(word, cwd, directory);
    Some((at, format!("{program} finds no file {}{hint}", path.display())))
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// Suggests what the user may have meant instead.
fn hint(word: &str, cwd: &Path, directory: &Path) -> String {
    if cwd != directory && directory.join(word).is_file() {
        let meant = quoted(&relative(&directory.join(word), cwd).to_string_lossy());
        return format!("; the program runs in cwd, from where the path is {meant}");
    }
    let path = cwd.join(word);
    let folder = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let names: Vec<String> = folder
        .into_iter()
        .flatten()
        .take(MAX_NAMES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension() == path.extension())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match nearest(name, &names) {
        Some(near) => {
            let meant = Path::new(word).with_file_name(near);
            format!("; did you mean {}?", quoted(&meant.to_string_lossy()))
        }
        None => String::new(),
    }
}

/// The number of names of a folder that are compared.
const MAX_NAMES: usize = 1000;

/// Returns the path from a folder to a file, both absolute.
fn relative(to: &Path, from: &Path) -> PathBuf {
    let (to, from): (Vec<_>, Vec<_>) = (to.components().collect(), from.components().collect());
    let same = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let up = from[same..].iter().map(|_| Component::ParentDir);
    up.chain(to[same..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(words: &[&str]) -> Option<usize> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        place(&words, interpreter(&words[0])?)
    }

    #[test]
    fn the_file_is_behind_known_options() {
        for (words, at) in [
            (&["python3", "app.py"][..], Some(1)),
            (&["/opt/venv/bin/python3.12", "-u", "-Wignore", "-X", "dev", "app.py", "x"], Some(5)),
            (&["python3", "-m", "app"], None),
            (&["python3", "-uc", "print()"], None),
            (&["python3", "-"], None),
            (&["python3"], None),
            (&["node", "--import", "./x.mjs", "--max-old-space-size=64", "app.mjs"], Some(4)),
            (&["node", "-e", "1"], None),
            (&["node", "--run=start", "app"], None),
            (&["node", "--new-option", "app.mjs"], None),
            (&["sh", "-ex", "run.sh"], Some(2)),
            (&["bash", "-euo", "pipefail", "run.sh"], Some(3)),
            (&["sh", "-c", "run.sh"], None),
            (&["ruby", "-I", "lib", "app.rb"], Some(3)),
            (&["./foo", "bar"], None),
        ] {
            assert_eq!(file(words), at, "{words:?}");
        }
    }

    #[test]
    fn the_way_from_a_folder_to_a_file() {
        let way = |to, from| relative(Path::new(to), Path::new(from));
        assert_eq!(way("/a/web/app.py", "/a/web"), Path::new("app.py"));
        assert_eq!(way("/a/app.py", "/a/web/b"), Path::new("../../app.py"));
    }
}
