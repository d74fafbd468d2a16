//! Whole files: the configurations that they give, and the exact texts of their errors.

// With `..`, a new key needs no line in the tests that set many keys.
#![allow(clippy::needless_update)]

mod any_text;
mod builds;
mod commands;
mod files;
mod mistakes;
mod printing;
mod values;
mod variables;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::load::parse;
use super::*;

/// A directory with the programs `foo` and `bar.sh`, a plain file and a folder.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for program in ["foo", "bar.sh"] {
            let path = directory.path().join(program);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(directory.path().join("plain"), "").unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        Fixture { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("nightcore.toml")
    }

    fn parse(&self, text: &str) -> Result<Config, ConfigErrors> {
        self.parse_with(text, &[])
    }

    /// Parses `text` with these values of `--set`.
    fn parse_with(&self, text: &str, settings: &[&str]) -> Result<Config, ConfigErrors> {
        let settings: Vec<_> = settings.iter().map(|text| text.parse().unwrap()).collect();
        parse(text, &self.path(), &settings, Purpose::Serve, &lookup)
    }

    /// Returns the errors of `text`, without the directory in paths.
    fn errors(&self, text: &str) -> String {
        let directory = format!("{}/", self.directory.path().canonicalize().unwrap().display());
        self.parse(text).unwrap_err().to_string().replace(&directory, "")
    }
}

/// The environment of the tests.
fn lookup(name: &str) -> Option<OsString> {
    match name {
        "PATH" => Some("/bin:/usr/bin".into()),
        "LISTEN" => Some("127.0.0.1:7000".into()),
        "COUNT" => Some("3".into()),
        "PASSWORD" => Some("hunter2".into()),
        "COMMAND" => Some("foo --password hunter2".into()),
        "ASSIGNED" => Some("PASSWORD=hunter2".into()),
        "TRICKY" => Some("~/$HOME".into()),
        _ => None,
    }
}

fn parse_ok(text: &str) -> Config {
    Fixture::new().parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Returns the first line of each error.
fn messages(text: &str) -> Vec<String> {
    let shown = Fixture::new().errors(text);
    shown
        .lines()
        .filter_map(|line| line.strip_prefix("nightcore.toml:"))
        .map(str::to_owned)
        .collect()
}

/// Returns the one error of a function `Foo` with these keys, without the place.
fn function_error(keys: &str) -> String {
    let messages = messages(&format!("[functions.Foo]\ncommand = [\"./foo\"]\n{keys}\n"));
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0].split_once(": ").unwrap().1.to_owned()
}

const FULL: &str = r#"
[gateway]
listen = "0.0.0.0:9000"
max_body = "1MiB"
memory = "64MiB"

[defaults]
timeout = "1s"
env = { A = "defaults", B = "defaults" }
workers = { max = 32 }
recycle = { calls = 5, memory = "2MiB" }

[functions.Foo]
command = ["./foo", "--verbose"]
cwd = "data"
env = { A = "own", C = "line\nbreak \"quoted\" \\ \u0001 \u007f é" }
env_inherit = ["RUST_LOG", "AWS_*"]
processes = 2
workers.min = 3
timeout = "250ms"
grace = "0s"
start_timeout = "2m"
stop_timeout = "1m"
ready_path = "/health%20z"
quarantine_after = 3
retries = 2
idempotent = true
expose_errors = true
recycle = { calls = 9, age = "2d" }
queue = { calls = 7, bytes = 1000 }
max_depth = 3
external = false

[functions.Bar]
command = ["sh", "-c", "true"]
route = "/b%20r/"
"#;

/// Returns the values of a function whose table sets none.
fn default_keys() -> Keys {
    parse_ok("[functions.Foo]\ncommand = [\"./foo\"]\n").functions[0].keys.clone()
}

/// Reads a file. Returns the text of its errors if it has any.
fn reading(text: &str, path: &Path) -> Result<Config, String> {
    parse(text, path, &[], Purpose::Serve, &|_| None).map_err(|errors| errors.to_string())
}
