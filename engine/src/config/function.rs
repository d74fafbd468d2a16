//! Reads `[functions.NAME]` and `[defaults]`, which have the same keys.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nightcore_runtime::protocol::limits::MAX_NAME_BYTES;
use nightcore_runtime::protocol::name;
use nix::unistd::{AccessFlags, eaccess};

use super::checked::{AsWritten, FunctionConfig, Purpose};
use super::command::{self, SearchPath, WrittenCommand, is_variable};
use super::environment::{self, EnvFile, Environment};
use super::keys::{self, Keys, KeysSet};
use super::path::{ROUTE_EXAMPLE, read_route};
use super::process::{self, Made, Places};
use super::quote::quoted;
use super::read::{ConfigReport, Item, Span, Table};
use super::unexpanded;

/// The keys that say which program runs, and how. `[defaults]` accepts them too.
const PROGRAM_KEYS: [&str; 3] = ["cwd", "env", "env_file"];
/// The keys that only a function's own table accepts.
const OWN_KEYS: [&str; 2] = ["command", "route"];

/// The values that one table sets.
#[derive(Default)]
pub(super) struct FunctionSettings {
    command: Option<WrittenCommand>,
    cwd: Option<PathBuf>,
    env: Environment,
    env_files: Vec<EnvFile>,
    keys: KeysSet,
    route: Option<(String, Span)>,
}

impl FunctionSettings {
    /// Reads `[defaults]`.
    pub(super) fn read_defaults(
        table: &Table<'_>,
        directory: &Path,
        report: &mut ConfigReport<'_>,
    ) -> Self {
        FunctionSettings::read(table, true, directory, report)
    }

    fn read(
        table: &Table<'_>,
        is_defaults: bool,
        directory: &Path,
        report: &mut ConfigReport<'_>,
    ) -> Self {
        let mut settings = FunctionSettings::default();
        for item in table.entries() {
            match item.name() {
                own if is_defaults && OWN_KEYS.contains(&own) => {
                    let text =
                        format!("{own:?} cannot stand in [defaults]: each function has its own");
                    report.at(item.key_span(), text);
                }
                "command" => settings.command = command::read(&item, report),
                "cwd" => settings.cwd = read_cwd(&item, directory, report),
                "env" => settings.env = environment::read(&item, report),
                "env_file" => {
                    settings.env_files = environment::read_files(&item, directory, report)
                }
                "route" => {
                    settings.route = read_route(&item, report).map(|route| (route, item.span()))
                }
                _ if settings.keys.read(&item, report) => {}
                _ => {
                    let own = OWN_KEYS.into_iter().filter(|_| !is_defaults);
                    let known = own.chain(PROGRAM_KEYS).chain(keys::NAMES.iter().copied());
                    table.refuse(&item, &known.collect::<Vec<_>>(), report);
                }
            }
        }
        settings
    }
}

/// The facts against which a function's table is checked.
pub(super) struct Surroundings<'s> {
    /// The directory of the configuration file.
    pub(super) directory: &'s Path,
    /// The PATH of this process, if it has one.
    pub(super) search_path: Option<&'s OsStr>,
    pub(super) purpose: Purpose,
}

/// Reads `[functions.NAME]`. Returns `None` if a mistake leaves nothing to return.
pub(super) fn read(
    item: &Item<'_>,
    defaults: &FunctionSettings,
    surroundings: &Surroundings<'_>,
    report: &mut ConfigReport<'_>,
) -> Option<FunctionConfig> {
    let Surroundings { directory, search_path, purpose } = *surroundings;
    let name = item.name();
    if !name::is_valid(name) {
        report.at(
            item.key_span(),
            format!(
                "invalid function name {}: a name is a letter or \"_\", then letters, digits, \
                 \"_\" or \"-\", together at most {MAX_NAME_BYTES}",
                quoted(name)
            ),
        );
    }
    let table = item.table("[functions.NAME]", report)?.with_header(&["functions", name]);
    let own = FunctionSettings::read(&table, false, directory, report);
    let environment =
        environment::merge([&defaults.env, &own.env], [&defaults.env_files, &own.env_files]);
    let env = &environment.variables;

    if table.get("command").is_none() {
        report.at(
            item.key_span(),
            format!("{} has no command; write, for example, command = [\"./foo\"]", table.header()),
        );
    }
    let command = own.command?;
    let search_path = SearchPath::new(env.get("PATH").map(String::as_str), search_path);
    let cwd = own.cwd.or_else(|| defaults.cwd.clone()).unwrap_or_else(|| directory.to_path_buf());
    let places = Places { directory, cwd: &cwd, search_path: &search_path };
    let keys = own.keys.over(&defaults.keys, report);
    let made = match (&keys.build, purpose) {
        (None, _) => Made::ByHand,
        (Some(build), Purpose::Serve) => Made::By(build),
        (Some(_), Purpose::Develop) => Made::Later,
    };
    let program = process::check(&command, &places, env, &made, report)?;

    if let Some((_, span)) = own.route.as_ref().filter(|_| !keys.external) {
        report.at(span, "route: clients may not call this function, as external = false");
    }

    Some(FunctionConfig {
        name: name.to_owned(),
        line: report.line(item.key_span()),
        command: command.words,
        program,
        cwd,
        env_files: environment.files,
        as_written: AsWritten { command: command.written, env: environment.written },
        env: environment.variables.into_iter().collect(),
        keys,
        route: own.route.map(|(route, _)| route),
    })
}

/// Reports each route that an earlier function has already.
pub(super) fn check_routes(
    tables: &[Item<'_>],
    functions: &[FunctionConfig],
    report: &mut ConfigReport<'_>,
) {
    let mut owners = BTreeMap::new();
    for function in functions {
        let Some(route) = &function.route else { continue };
        let Some(owner) = owners.insert(route, &function.name) else { continue };
        let table = tables.iter().find(|item| item.name() == function.name);
        if let Some(item) = table.and_then(|item| {
            item.table("[functions.NAME]", report)?
                .with_header(&["functions", &function.name])
                .get("route")
        }) {
            item.wrong(format!("{} has this route already", quoted(owner)), report);
        }
    }
}

/// Returns a line of TOML for each key of a function, which sets it to its default, and the
/// description of the key.
pub fn reference() -> Vec<(String, &'static str)> {
    let line = |text: &str, note| (text.to_owned(), note);
    let mut lines = vec![
        line(
            r#"command = ["./foo"]"#,
            "required: the program and its arguments, never given to a shell",
        ),
        line(r#"cwd = ".""#, "the folder it runs in"),
        line("env = {}", "variables of its processes"),
        line(
            r#"# env_file = ".env""#,
            "files of variables, one NAME=value a line, such as secrets",
        ),
    ];
    lines.extend(Keys::reference());
    let route = format!("# route = \"{ROUTE_EXAMPLE}\"");
    lines.push((route, "a second path, besides /function/NAME"));
    lines
}

fn read_cwd(item: &Item<'_>, directory: &Path, report: &mut ConfigReport<'_>) -> Option<PathBuf> {
    let text = item.string(Some("data"), report)?;
    if text.is_empty() {
        item.wrong("the path is empty; for the directory of this file write \".\"", report);
        return None;
    }
    let path = command::clean(&directory.join(text));
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            if eaccess(&path, AccessFlags::X_OK).is_err() {
                item.wrong(format!("no permission to run in {}", path.display()), report);
            }
            Some(path)
        }
        Ok(_) => {
            item.wrong(format!("not a directory: {}", path.display()), report);
            None
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let hint = unexpanded::problem(text, is_variable);
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            item.wrong(format!("no such directory: {}{hint}", path.display()), report);
            None
        }
        Err(error) => {
            item.wrong(format!("cannot use {}: {error}", path.display()), report);
            None
        }
    }
}
