//! The languages: the names of each language's worker, and how to build and start it.

use harness::{nightcore, repository};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A language.
#[derive(Debug)]
pub struct Language {
    /// The name of the language on the command line, and of its file in `tests/languages/`.
    pub name: &'static str,
    /// The name of the language's function.
    pub function: &'static str,
    /// The result of a handler's second answer; `none` if a handler answers by returning only.
    pub second_answer: &'static str,
}

const fn language(
    name: &'static str,
    function: &'static str,
    second_answer: &'static str,
) -> Language {
    Language { name, function, second_answer }
}

/// Every language.
pub const LANGUAGES: [Language; 8] = [
    language("c", "C", "INVALID_STATE"),
    language("cpp", "Cpp", "none"),
    language("rust", "Rust", "none"),
    language("tokio", "Tokio", "none"),
    language("go", "Go", "none"),
    language("python", "Python", "none"),
    language("asyncio", "Asyncio", "none"),
    language("node", "Node", "none"),
];

/// Returns the folder in which the workers are built.
fn folder() -> PathBuf {
    let built = nightcore();
    let target = built.ancestors().nth(2).expect("TARGET/PROFILE/nightcore");
    target.join("conformance")
}

impl Language {
    /// Returns the name of the function that runs an existing app, if the language supports apps.
    pub fn app(&self) -> Option<String> {
        let has_apps = ["go", "python", "asyncio", "node"].contains(&self.name);
        has_apps.then(|| format!("App{}", self.function))
    }

    /// Returns whether requests in this language's API decode JSON.
    pub fn decodes_json(&self) -> bool {
        !["c", "cpp"].contains(&self.name)
    }

    /// Returns the name of a second function of the language, which a case may end or overload
    /// without disturbing other cases.
    pub fn spare(&self) -> String {
        format!("Spare{}", self.function)
    }

    /// Builds the language's worker. Returns the command that starts it, without the name of the
    /// function, or a description of the failure.
    pub fn build(&self) -> Result<Vec<String>, String> {
        let mut command = Command::new(repository().join("tests/languages/build.sh"));
        command.args([self.name, "tests/conformance/workers"]).arg(folder());
        command.arg(nightcore().parent().unwrap_or(Path::new("/")));
        command.current_dir(repository()).stdin(Stdio::null());
        let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(last_lines(&said));
        }
        let words: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if words.is_empty() {
            Err("its file in tests/languages names no command".into())
        } else {
            Ok(words)
        }
    }
}

/// Returns the last lines of a build's output, which usually give the reason of a failure.
fn last_lines(said: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
