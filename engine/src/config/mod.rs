//! `nightcore.toml`: text in, checked types or an error that points at the line out.
//!
//! [`Config::load`] and [`Config::parse`] check everything that can be known before a process is started, and
//! report every mistake of a file at once. What they return can be used without further checks.

mod admin;
mod command;
mod error;
mod function;
mod gateway;
mod limits;
mod nearest;
mod print;
mod read;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod units;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

pub use error::{ConfigError, ConfigErrors};
pub use limits::*;
pub use units::{format_duration, parse_duration};

use function::Settings;
use read::{Item, Report, Table};
use source::Source;

/// A checked `nightcore.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file's path, as given.
    pub path: PathBuf,
    /// The file's directory, absolute. Commands and working directories are relative to it.
    pub directory: PathBuf,
    /// `[gateway]`.
    pub gateway: Gateway,
    /// `[admin]`, if it is there.
    pub admin: Option<Admin>,
    /// `[functions.NAME]`, in the order of the file. There is at least one.
    pub functions: Vec<Function>,
}

/// `[gateway]`: the frontend that takes clients' requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The address to listen on. Port 0 stands for a free one.
    pub listen: SocketAddr,
    /// The largest request body that is taken, in bytes.
    pub max_body_bytes: u64,
}

/// `[admin]`: where the pages for metrics and health are, beside the engine's own socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address to listen on. Port 0 stands for a free one.
    pub listen: SocketAddr,
}

/// `[functions.NAME]`, with what `[defaults]` says already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The function's name.
    pub name: String,
    /// The line of the table's header, counted from 1.
    pub line: usize,
    /// The program as written, and its arguments. Never given to a shell.
    pub command: Vec<String>,
    /// The executable that `command[0]` stands for, absolute.
    pub program: PathBuf,
    /// The working directory of the containers, absolute.
    pub cwd: PathBuf,
    /// Environment variables to set for the containers, sorted by name.
    pub env: Vec<(String, String)>,
    /// How many containers run this function.
    pub processes: u32,
    /// How many workers the function has, over all its containers.
    pub workers: Workers,
    /// The time that a call may take.
    pub timeout: Duration,
    /// The time that a worker has, past a call's deadline, before its container is replaced.
    pub grace: Duration,
    /// What may wait for a worker.
    pub queue: Queue,
    /// How many calls deep this function may be called.
    pub max_depth: u32,
    /// Whether clients may call this function; if not, only functions may.
    pub external: bool,
    /// What carries its messages.
    pub channel: ChannelKind,
    /// Where its worker threads run while they look for messages.
    pub placement: Placement,
    /// Whether it is started anew when its files change.
    pub watch: bool,
    /// What each container may use.
    pub limits: Limits,
    /// At how many deaths of containers an input must have been under way to be refused; 0: none is.
    pub quarantine_after: u32,
    /// How often an internal call of it is sent again whose process died: one that surely did not begin, or any if it is
    /// idempotent.
    pub retries: u32,
    /// Whether a call of it may run twice.
    pub idempotent: bool,
    /// The path that it answers at beside its name's, without a slash at its end: empty for "/".
    pub route: Option<String>,
}

/// The bounds of a function's worker set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Workers that are there even without load.
    pub min: u32,
    /// The most workers there may be, if the file says so. The default depends on the kind of worker, which only
    /// the container knows: see [`Workers::max_threads`] and [`Workers::max_slots`].
    pub max: Option<u32>,
}

impl Workers {
    /// The most worker threads.
    pub fn max_threads(&self) -> u32 {
        self.max.unwrap_or(DEFAULT_MAX_THREADS.max(self.min))
    }

    /// The most calls that run at once on event loops.
    pub fn max_slots(&self) -> u32 {
        self.max.unwrap_or(DEFAULT_MAX_SLOTS.max(self.min))
    }
}

/// What one container may use, all its processes together where control groups can be made; `None`: as much as there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Open files of each process.
    pub open_files: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u32>,
}

/// The bounds of a function's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The most calls that may wait.
    pub calls: u32,
    /// The most bytes of payload that may wait.
    pub bytes: u64,
}

/// The smallest file that works, for messages.
const EXAMPLE: &str = "    [functions.Foo]\n    command = [\"./foo\"]";

impl Config {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let text = read_file(path)?;
        Config::parse(&text, path)
    }

    /// Checks `text`, the content of the file at `path`.
    ///
    /// The file system is consulted for commands and working directories.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
        parse(text, path, std::env::var_os("PATH").as_deref())
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let cannot_read = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => ConfigError::of_file(
            path,
            format!(
                "no such file; name another one, or create it with these two lines:\n\n{EXAMPLE}"
            ),
        ),
        ErrorKind::IsADirectory => ConfigError::of_file(path, "is a directory, not a file"),
        _ => ConfigError::of_file(path, format!("cannot be read: {error}")),
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed, to see that there is more.
    let mut file = File::open(path).map_err(cannot_read)?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let limit = units::format_size(MAX_FILE_BYTES);
        return Err(ConfigError::of_file(path, format!("the file is larger than {limit}")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        // What stands before the first bad byte is unchanged by the lossy conversion, so `at` is valid in it.
        let text = String::from_utf8_lossy(error.as_bytes());
        Source::new(path, &text).error(&(at..at), "the text is not valid UTF-8")
    })
}

fn parse(text: &str, path: &Path, search_path: Option<&OsStr>) -> Result<Config, ConfigErrors> {
    let source = Source::new(path, text);
    let mut report = Report::new(&source);
    let (root, syntax_errors) = DeTable::parse_recoverable(source.text());
    syntax::report(&syntax_errors, &source, &mut report);
    // What was recovered from a broken text would give errors that are none.
    report.finish()?;

    let directory = directory_of(path);
    let root = Table::root(root.get_ref());
    refuse_unknown_tables(&root, &mut report);
    let gateway = gateway::read(root.table("gateway", "[gateway]", &mut report), &mut report);
    let admin = admin::read(root.table("admin", "[admin]", &mut report), &mut report);
    let defaults = match root.table("defaults", "[defaults]", &mut report) {
        Some(table) => Settings::read_defaults(&table, &directory, &mut report),
        None => Settings::default(),
    };
    let mut functions = Vec::new();
    let tables = root
        .table("functions", "[functions.NAME]", &mut report)
        .map(|table| table.entries())
        .unwrap_or_default();
    for item in &tables {
        functions.extend(function::read(item, &defaults, &directory, search_path, &mut report));
    }
    function::check_routes(&tables, &functions, &mut report);
    if tables.is_empty() && !report.has_errors() {
        let message =
            format!("there is no function in it; a function takes two lines:\n\n{EXAMPLE}");
        return Err(ConfigError::of_file(path, message).into());
    }
    report.finish()?;
    Ok(Config { path: path.to_path_buf(), directory, gateway, admin, functions })
}

/// The absolute directory of the file at `path`.
///
/// Links in the directory are resolved, a link that is the file itself is not: commands are relative to where the
/// user sees the file.
fn directory_of(path: &Path) -> PathBuf {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    parent
        .canonicalize()
        .or_else(|_| std::path::absolute(parent))
        .unwrap_or_else(|_| parent.to_path_buf())
}

/// For messages.
const TABLES: &str = "[gateway], [admin], [defaults], [functions.NAME]";

fn refuse_unknown_tables(root: &Table<'_>, report: &mut Report<'_>) {
    const KNOWN: &[&str] = &["gateway", "admin", "defaults", "functions"];
    for item in root.entries() {
        let (name, key) = (item.name(), item.key_span());
        if KNOWN.contains(&name) {
            continue;
        }
        let shown = read::header(&[name]);
        if looks_like_a_function(&item) {
            let meant = read::header(&["functions", name]);
            report.at(key, format!("unknown table {shown}; did you mean {meant}?"));
        } else if item.is_table() {
            let hint = match nearest::nearest(name, KNOWN) {
                Some(known) => format!("did you mean [{known}]?"),
                None => format!("known tables: {TABLES}"),
            };
            report.at(key, format!("unknown table {shown}; {hint}"));
        } else {
            let shown = read::quoted(name);
            report
                .at(key, format!("unknown key {shown} outside of a table; known tables: {TABLES}"));
        }
    }
}

/// Whether this unknown table was probably meant to be below `functions`.
fn looks_like_a_function(item: &Item<'_>) -> bool {
    item.as_table().is_some_and(|table| table.get("command").is_some())
}
