//! Reads and writes `env_inherit`: which variables of the engine a function's processes get.

use super::super::environment::problem_of_name;
use super::super::quote::quoted;
use super::super::read::{ConfigReport, Item};
use super::super::toml_string::string;
use super::kind::{Kind, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

const EXAMPLE: &str = r#"["RUST_LOG", "AWS_*"]"#;

/// The variables that every process gets, besides those of its function's table. They are no
/// secrets, and many programs need them: they name the user, the folders of files, programs and
/// libraries, the language and the time zone.
const ALWAYS_INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TERM",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The names of variables that processes get from the engine's environment, besides a few harmless
/// ones. A name that ends with `*` stands for all names that begin like it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InheritedVariables(Vec<String>);

impl InheritedVariables {
    /// Returns the value that lets all variables through.
    pub fn all() -> InheritedVariables {
        InheritedVariables(vec!["*".to_owned()])
    }

    /// Whether processes get the variable with this name.
    pub fn includes(&self, name: &[u8]) -> bool {
        let own = self.0.iter().map(String::as_str);
        own.chain(ALWAYS_INHERITED).any(|listed| match listed.strip_suffix('*') {
            Some(start) => name.starts_with(start.as_bytes()),
            None => name == listed.as_bytes(),
        })
    }
}

impl Value for InheritedVariables {
    type Set = InheritedVariables;
}

pub(super) struct InheritedKind;

impl Kind<InheritedVariables> for InheritedKind {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<InheritedVariables> {
        let mut names = Vec::new();
        for value in item.array(EXAMPLE, report)? {
            let Some(name) = value.string(Some("RUST_LOG"), report) else { continue };
            let start = name.strip_suffix('*').unwrap_or(name);
            if start.contains('*') {
                let text = format!("{}: a * stands at the end of a name only", quoted(name));
                value.wrong(text, report);
            } else if let Some(problem) = problem_of_name(start).filter(|_| name != "*") {
                value.wrong(problem, report);
            } else {
                names.push(name.to_owned());
            }
        }
        Some(InheritedVariables(names))
    }

    fn value(
        &self,
        set: Option<InheritedVariables>,
        _report: &mut ConfigReport<'_>,
    ) -> InheritedVariables {
        set.unwrap_or_default()
    }

    fn write(
        &self,
        key: &str,
        value: &InheritedVariables,
        out: &mut dyn fmt::Write,
    ) -> fmt::Result {
        let names: Vec<String> = value.0.iter().map(|name| string(name)).collect();
        writeln!(out, "{key} = [{}]", names.join(", "))
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = []")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_whole_or_by_their_beginning() {
        let listed = InheritedVariables(vec!["DEBUG".into(), "AWS_*".into()]);
        for name in ["DEBUG", "AWS_REGION", "AWS_", "PATH", "LC_ALL", "HOME"] {
            assert!(listed.includes(name.as_bytes()), "{name}");
        }
        for name in ["DEBUGGER", "AWS", "PATHS", "DATABASE_URL", "XLC_ALL"] {
            assert!(!listed.includes(name.as_bytes()), "{name}");
            assert!(InheritedVariables::all().includes(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_reference_lists_the_variables_that_every_process_gets() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, item) = page.split_once("- `env_inherit`: ").unwrap();
        let (list, _) = item.split_once(", and the variables that are listed here").unwrap();
        let names: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(names, ALWAYS_INHERITED);
    }
}
