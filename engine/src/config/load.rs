//! Reads `nightcore.toml` and checks it as a whole.

use super::checked::{AdminConfig, Config, GatewayConfig, Purpose};
use super::error::{ConfigError, ConfigErrors};
use super::function::{FunctionSettings, Surroundings};
use super::read::{ConfigReport, Item, Table};
use super::setting::Setting;
use super::source::Source;
use super::variables::Lookup;
use super::{admin, bounded, function, gateway, nearest, quote, set, syntax, variables};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// The smallest valid file. Messages show it.
const EXAMPLE: &str = "    [functions.Foo]\n    command = [\"./foo\"]";

impl Config {
    /// Reads and checks the file at `path`. The settings replace values of the file.
    pub fn load(
        path: &Path,
        settings: &[Setting],
        purpose: Purpose,
    ) -> Result<Config, ConfigErrors> {
        let text = read_file(path)?;
        parse(&text, path, settings, purpose, &|name| std::env::var_os(name))
    }

    /// Checks `text`, the content of the file at `path`, for an engine that serves.
    ///
    /// It reads the file system for commands and working directories, and the environment for
    /// variables.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
        parse(text, path, &[], Purpose::Serve, &|name| std::env::var_os(name))
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
        ErrorKind::FileTooLarge => ConfigError::of_file(path, error.to_string()),
        ErrorKind::IsADirectory => ConfigError::of_file(path, "is a directory, not a file"),
        _ => ConfigError::of_file(path, format!("cannot be read: {error}")),
    };
    let bytes = bounded::read(path).map_err(cannot_read)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        // The lossy conversion keeps the text before the first bad byte, so `at` is valid in it.
        let text = String::from_utf8_lossy(error.as_bytes());
        Source::new(path, &text, &[]).error(&(at..at), "the text is not valid UTF-8")
    })
}

/// Checks the text of a file as [`Config::load`] does, with the variables from `lookup`.
pub(super) fn parse(
    text: &str,
    path: &Path,
    settings: &[Setting],
    purpose: Purpose,
    lookup: Lookup<'_>,
) -> Result<Config, ConfigErrors> {
    let source = Source::new(path, text, settings);
    let mut report = ConfigReport::new(&source);
    let (mut root, syntax_errors) = DeTable::parse_recoverable(source.text());
    syntax::report(&syntax_errors, &source, &mut report);
    // Tables recovered from a text with syntax errors would cause false errors.
    report.finish()?;

    variables::expand_all(root.get_mut(), lookup, &mut report);
    set::apply(settings, root.get_mut(), &source, &mut report);
    // A value whose variables could not be expanded would cause false errors.
    report.finish()?;
    let search_path = lookup("PATH");
    let directory = directory_of(path);
    let root = Table::root(root.get_ref());
    refuse_unknown_tables(&root, &mut report);
    let gateway = gateway::read(root.table("gateway", "[gateway]", &mut report), &mut report);
    let admin = admin::read(root.table("admin", "[admin]", &mut report), &mut report);
    let defaults = match root.table("defaults", "[defaults]", &mut report) {
        Some(table) => FunctionSettings::read_defaults(&table, &directory, &mut report),
        None => FunctionSettings::default(),
    };
    let mut functions = Vec::new();
    let tables = root
        .table("functions", "[functions.NAME]", &mut report)
        .map(|table| table.entries())
        .unwrap_or_default();
    for item in &tables {
        functions.extend(function::read(
            item,
            &defaults,
            &Surroundings { directory: &directory, search_path: search_path.as_deref(), purpose },
            &mut report,
        ));
    }
    function::check_routes(&tables, &functions, &mut report);
    if tables.is_empty() && !report.has_errors() {
        let message =
            format!("there is no function in it; a function takes two lines:\n\n{EXAMPLE}");
        return Err(ConfigError::of_file(path, message).into());
    }
    check_addresses(&root, &gateway, admin.as_ref(), &mut report);
    report.finish()?;
    let warnings = report.take_warnings();
    let (path, settings) = (path.to_path_buf(), settings.to_vec());
    Ok(Config { path, directory, settings, gateway, admin, functions, warnings })
}

/// Returns the absolute directory of the file at `path`.
///
/// Symbolic links in the directory are resolved. If the file itself is a link, it is not followed:
/// commands are relative to the directory in which the user sees the file.
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

/// Reports metrics pages at the address of the gateway. Port 0 is a different port each time.
fn check_addresses(
    root: &Table<'_>,
    gateway: &GatewayConfig,
    admin: Option<&AdminConfig>,
    report: &mut ConfigReport<'_>,
) {
    let Some(admin) = admin else { return };
    let (one, other) = (gateway.listen, admin.listen);
    let is_every = |address: SocketAddr| address.ip().is_unspecified();
    let is_shared = one.ip() == other.ip() || is_every(one) || is_every(other);
    if one.port() == other.port() && one.port() != 0 && is_shared {
        let table = root.table("admin", "[admin]", report);
        let text = format!("the gateway listens on {one} already; take another port");
        match table.and_then(|table| table.get("listen")) {
            Some(item) => item.wrong(text, report),
            None => report.at(&(0..0), format!("[admin]: {text}")),
        }
    }
}

/// The known tables, in the form in which messages list them.
const TABLES: &str = "[gateway], [admin], [defaults], [functions.NAME]";

fn refuse_unknown_tables(root: &Table<'_>, report: &mut ConfigReport<'_>) {
    const KNOWN: &[&str] = &["gateway", "admin", "defaults", "functions"];
    for item in root.entries() {
        let (name, key) = (item.name(), item.key_span());
        if KNOWN.contains(&name) {
            continue;
        }
        let shown = quote::header(&[name]);
        if looks_like_a_function(&item) {
            let meant = quote::header(&["functions", name]);
            report.at(key, format!("unknown table {shown}; did you mean {meant}?"));
        } else if item.is_table() {
            let hint = match nearest::nearest(name, KNOWN) {
                Some(known) => format!("did you mean [{known}]?"),
                None => format!("known tables: {TABLES}"),
            };
            report.at(key, format!("unknown table {shown}; {hint}"));
        } else {
            let shown = quote::quoted(name);
            report
                .at(key, format!("unknown key {shown} outside of a table; known tables: {TABLES}"));
        }
    }
}

/// Whether this unknown table was probably meant to be in `functions`.
fn looks_like_a_function(item: &Item<'_>) -> bool {
    item.as_table().is_some_and(|table| table.get("command").is_some())
}
