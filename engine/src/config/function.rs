//! `[functions.NAME]` and `[defaults]`, which have the same keys.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use nightcore_runtime::protocol::limits::MAX_NAME_BYTES;
use nightcore_runtime::protocol::name;
use nix::unistd::{AccessFlags, eaccess};

use super::checked::{AsWritten, Function, Limits, Queue, Workers};
use super::command::{self, Command, SearchPath, is_variable};
use super::environment::{self, EnvFile, Environment};
use super::limits::{
    DEFAULT_CHANNEL, DEFAULT_GRACE, DEFAULT_MAX_DEPTH, DEFAULT_MIN_WORKERS, DEFAULT_PLACEMENT,
    DEFAULT_PROCESSES, DEFAULT_QUARANTINE_AFTER, DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_CALLS,
    DEFAULT_RETRIES, DEFAULT_START_TIMEOUT, DEFAULT_STOP_TIMEOUT, DEFAULT_TIMEOUT, MAX_CPU_MILLIS,
    MAX_DURATION, MAX_MAX_DEPTH, MAX_MEMORY_BYTES, MAX_OPEN_FILES, MAX_PROCESSES,
    MAX_QUARANTINE_AFTER, MAX_QUEUE_BYTES, MAX_QUEUE_CALLS, MAX_RETRIES, MAX_ROUTE_BYTES,
    MAX_TASKS, MAX_WORKERS, MIN_CPU_MILLIS, MIN_MEMORY_BYTES, MIN_OPEN_FILES, MIN_START_TIMEOUT,
};
use super::process::{self, Places};
use super::quote::quoted;
use super::read::{Item, Report, Span, Table};
use super::unexpanded;

const KEYS: &[&str] = &[
    "command",
    "cwd",
    "env",
    "env_file",
    "processes",
    "workers",
    "timeout",
    "grace",
    "start_timeout",
    "stop_timeout",
    "ready_path",
    "queue",
    "max_depth",
    "external",
    "channel",
    "placement",
    "direct",
    "watch",
    "limits",
    "quarantine_after",
    "retries",
    "idempotent",
    "expose_errors",
    "route",
];
const KEYS_OF_DEFAULTS: &[&str] = &[
    "cwd",
    "env",
    "env_file",
    "processes",
    "workers",
    "timeout",
    "grace",
    "start_timeout",
    "stop_timeout",
    "ready_path",
    "queue",
    "max_depth",
    "external",
    "channel",
    "placement",
    "direct",
    "watch",
    "limits",
    "quarantine_after",
    "retries",
    "idempotent",
    "expose_errors",
];

/// Paths that the gateway answers itself.
const RESERVED_ROUTES: &[&str] = &["/function", "/healthz", "/readyz"];

const CHANNELS: [(&str, ChannelKind); 2] =
    [("ring", ChannelKind::Ring), ("fifo", ChannelKind::Fifo)];
const PLACEMENTS: [(&str, Placement); 2] = [("apart", Placement::Apart), ("free", Placement::Free)];

const WORKERS_EXAMPLE: &str = "{ min = 1, max = 32 }";
const QUEUE_EXAMPLE: &str = r#"{ calls = 1024, bytes = "64MiB" }"#;
const LIMITS_EXAMPLE: &str = r#"{ memory = "512MiB", cpus = 1.5 }"#;
const ROUTE_EXAMPLE: &str = "/shop";
const READY_PATH_EXAMPLE: &str = "/healthz";

/// What one table says; what it leaves out is none.
#[derive(Default)]
pub(super) struct Settings {
    command: Option<Command>,
    cwd: Option<PathBuf>,
    env: Environment,
    env_files: Vec<EnvFile>,
    processes: Option<u32>,
    min_workers: Option<(u32, Span)>,
    max_workers: Option<(u32, Span)>,
    timeout: Option<Duration>,
    grace: Option<Duration>,
    start_timeout: Option<Duration>,
    stop_timeout: Option<Duration>,
    ready_path: Option<String>,
    queue_calls: Option<u32>,
    queue_bytes: Option<u64>,
    max_depth: Option<u32>,
    external: Option<bool>,
    channel: Option<ChannelKind>,
    placement: Option<Placement>,
    direct: Option<bool>,
    watch: Option<bool>,
    limits: Limits,
    quarantine_after: Option<u32>,
    retries: Option<u32>,
    idempotent: Option<bool>,
    expose_errors: Option<bool>,
    route: Option<(String, Span)>,
}

impl Settings {
    /// Reads `[defaults]`.
    pub(super) fn read_defaults(
        table: &Table<'_>,
        directory: &Path,
        report: &mut Report<'_>,
    ) -> Self {
        Settings::read(table, true, directory, report)
    }

    fn read(
        table: &Table<'_>,
        is_defaults: bool,
        directory: &Path,
        report: &mut Report<'_>,
    ) -> Self {
        let known = if is_defaults { KEYS_OF_DEFAULTS } else { KEYS };
        let mut settings = Settings::default();
        for item in table.entries() {
            match item.name() {
                own @ ("command" | "route") if is_defaults => {
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
                "processes" => settings.processes = item.integer(1..=MAX_PROCESSES, report),
                "workers" => settings.read_workers(&item, report),
                "timeout" => settings.timeout = read_timeout(&item, report),
                "start_timeout" => {
                    settings.start_timeout = item.duration(MIN_START_TIMEOUT..=MAX_DURATION, report)
                }
                "stop_timeout" => {
                    settings.stop_timeout = item.duration(Duration::ZERO..=MAX_DURATION, report)
                }
                "ready_path" => settings.ready_path = read_ready_path(&item, report),
                "grace" => settings.grace = item.duration(Duration::ZERO..=MAX_DURATION, report),
                "queue" => settings.read_queue(&item, report),
                "max_depth" => settings.max_depth = item.integer(1..=MAX_MAX_DEPTH, report),
                "external" => settings.external = item.boolean(report),
                "channel" => settings.channel = read_choice(&item, CHANNELS, report),
                "limits" => settings.limits = read_limits(&item, report),
                "quarantine_after" => {
                    settings.quarantine_after = item.integer(0..=MAX_QUARANTINE_AFTER, report);
                }
                "retries" => settings.retries = item.integer(0..=MAX_RETRIES, report),
                "idempotent" => settings.idempotent = item.boolean(report),
                "expose_errors" => settings.expose_errors = item.boolean(report),
                "watch" => settings.watch = item.boolean(report),
                "placement" => settings.placement = read_choice(&item, PLACEMENTS, report),
                "direct" => settings.direct = item.boolean(report),
                "route" => {
                    settings.route = read_route(&item, report).map(|route| (route, item.span()))
                }
                _ => table.refuse(&item, known, report),
            }
        }
        settings
    }

    fn read_workers(&mut self, item: &Item<'_>, report: &mut Report<'_>) {
        let Some(table) = item.table(WORKERS_EXAMPLE, report) else { return };
        table.refuse_unknown(&["min", "max"], report);
        let mut bound = |key, least| {
            let item = table.get(key)?;
            Some((item.integer(least..=MAX_WORKERS, report)?, item.span()))
        };
        self.min_workers = bound("min", 0);
        self.max_workers = bound("max", 1);
    }

    fn read_queue(&mut self, item: &Item<'_>, report: &mut Report<'_>) {
        let Some(table) = item.table(QUEUE_EXAMPLE, report) else { return };
        table.refuse_unknown(&["calls", "bytes"], report);
        self.queue_calls =
            table.get("calls").and_then(|item| item.integer(1..=MAX_QUEUE_CALLS, report));
        self.queue_bytes =
            table.get("bytes").and_then(|item| item.size(1..=MAX_QUEUE_BYTES, report));
    }

    /// The bounds of the worker set, where `self` says nothing as `defaults` say.
    fn workers(&self, defaults: &Settings, report: &mut Report<'_>) -> Workers {
        let min = self.min_workers.as_ref().or(defaults.min_workers.as_ref());
        let max = self.max_workers.as_ref().or(defaults.max_workers.as_ref());
        if let (Some((min, min_span)), Some((max, max_span))) = (min, max)
            && min > max
        {
            // If the function gives only one of the two, that one does not fit.
            let span = if self.min_workers.is_none() && self.max_workers.is_some() {
                max_span
            } else {
                min_span
            };
            report.at(span, format!("workers: min is {min}, which is more than max, {max}"));
        }
        let max = max.map(|(max, _)| *max);
        // The default of min must not contradict a max that is written down; max is at least 1.
        Workers { min: min.map_or(DEFAULT_MIN_WORKERS, |(min, _)| *min), max }
    }
}

/// Reads `[functions.NAME]`. None if there is a mistake in it that leaves nothing to return.
pub(super) fn read(
    item: &Item<'_>,
    defaults: &Settings,
    directory: &Path,
    search_path: Option<&OsStr>,
    report: &mut Report<'_>,
) -> Option<Function> {
    let name = item.name();
    if !name::is_valid(name) {
        report.at(
            item.key_span(),
            format!(
                "invalid function name {}: a name is a letter or \"_\", then letters, digits, \"_\" or \"-\", \
                 together at most {MAX_NAME_BYTES}",
                quoted(name)
            ),
        );
    }
    let table = item.table("[functions.NAME]", report)?.with_header(&["functions", name]);
    let own = Settings::read(&table, false, directory, report);
    let workers = own.workers(defaults, report);
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
    let search_path = match env.get("PATH") {
        Some(path) => SearchPath::OfFunction(path),
        None => SearchPath::OfProcess(search_path),
    };
    let cwd = own.cwd.or_else(|| defaults.cwd.clone()).unwrap_or_else(|| directory.to_path_buf());
    let places = Places { directory, cwd: &cwd, search_path: &search_path };
    let program = process::check(&command, &places, env, report)?;

    let external = own.external.or(defaults.external).unwrap_or(true);
    if let Some((_, span)) = own.route.as_ref().filter(|_| !external) {
        report.at(span, "route: clients may not call this function, as external = false");
    }

    Some(Function {
        name: name.to_owned(),
        line: report.line(item.key_span()),
        command: command.words,
        program,
        cwd,
        env_files: environment.files,
        as_written: AsWritten { command: command.written, env: environment.written },
        env: environment.variables.into_iter().collect(),
        processes: own.processes.or(defaults.processes).unwrap_or(DEFAULT_PROCESSES),
        workers,
        timeout: own.timeout.or(defaults.timeout).unwrap_or(DEFAULT_TIMEOUT),
        start_timeout: own
            .start_timeout
            .or(defaults.start_timeout)
            .unwrap_or(DEFAULT_START_TIMEOUT),
        stop_timeout: own.stop_timeout.or(defaults.stop_timeout).unwrap_or(DEFAULT_STOP_TIMEOUT),
        ready_path: own.ready_path.or_else(|| defaults.ready_path.clone()),
        grace: own.grace.or(defaults.grace).unwrap_or(DEFAULT_GRACE),
        queue: Queue {
            calls: own.queue_calls.or(defaults.queue_calls).unwrap_or(DEFAULT_QUEUE_CALLS),
            bytes: own.queue_bytes.or(defaults.queue_bytes).unwrap_or(DEFAULT_QUEUE_BYTES),
        },
        max_depth: own.max_depth.or(defaults.max_depth).unwrap_or(DEFAULT_MAX_DEPTH),
        external,
        channel: own.channel.or(defaults.channel).unwrap_or(DEFAULT_CHANNEL),
        limits: Limits {
            memory_bytes: own.limits.memory_bytes.or(defaults.limits.memory_bytes),
            cpu_millis: own.limits.cpu_millis.or(defaults.limits.cpu_millis),
            open_files: own.limits.open_files.or(defaults.limits.open_files),
            tasks: own.limits.tasks.or(defaults.limits.tasks),
        },
        quarantine_after: own
            .quarantine_after
            .or(defaults.quarantine_after)
            .unwrap_or(DEFAULT_QUARANTINE_AFTER),
        retries: own.retries.or(defaults.retries).unwrap_or(DEFAULT_RETRIES),
        idempotent: own.idempotent.or(defaults.idempotent).unwrap_or(false),
        expose_errors: own.expose_errors.or(defaults.expose_errors),
        watch: own.watch.or(defaults.watch).unwrap_or(false),
        placement: own.placement.or(defaults.placement).unwrap_or(DEFAULT_PLACEMENT),
        direct: own.direct.or(defaults.direct).unwrap_or(true),
        route: own.route.map(|(route, _)| route),
    })
}

/// Reports each route of `tables` that a function before has as well.
pub(super) fn check_routes(tables: &[Item<'_>], functions: &[Function], report: &mut Report<'_>) {
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

fn read_timeout(item: &Item<'_>, report: &mut Report<'_>) -> Option<Duration> {
    if item.as_str() == Some("none") {
        item.wrong("\"none\" is not supported: every call ends by its deadline", report);
        return None;
    }
    item.duration(Duration::from_micros(1)..=MAX_DURATION, report)
}

/// One of a few words, each with what it stands for.
fn read_choice<T: Copy>(
    item: &Item<'_>,
    choices: [(&str, T); 2],
    report: &mut Report<'_>,
) -> Option<T> {
    let [(first, _), (second, _)] = choices;
    let word = item.string(Some(first), report)?;
    let chosen = choices.into_iter().find(|(name, _)| *name == word);
    if chosen.is_none() {
        item.wrong(format!("it is \"{first}\" or \"{second}\""), report);
    }
    chosen.map(|(_, choice)| choice)
}

fn read_limits(item: &Item<'_>, report: &mut Report<'_>) -> Limits {
    let Some(table) = item.table(LIMITS_EXAMPLE, report) else { return Limits::default() };
    table.refuse_unknown(&["memory", "cpus", "open_files", "tasks"], report);
    Limits {
        memory_bytes: table
            .get("memory")
            .and_then(|item| item.size(MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES, report)),
        cpu_millis: table
            .get("cpus")
            .and_then(|item| item.thousandths(MIN_CPU_MILLIS..=MAX_CPU_MILLIS, report)),
        open_files: table
            .get("open_files")
            .and_then(|item| item.integer(MIN_OPEN_FILES..=MAX_OPEN_FILES, report)),
        tasks: table.get("tasks").and_then(|item| item.integer(1..=MAX_TASKS, report)),
    }
}

/// A path that begins with a slash and is taken as it stands: what clients send is compared byte
/// for byte.
fn read_route(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(Some(ROUTE_EXAMPLE), report)?;
    let route = text.strip_suffix('/').unwrap_or(text);
    let problem = if !text.starts_with('/') {
        "a route begins with a slash, as in \"/shop\""
    } else if route.len() > MAX_ROUTE_BYTES {
        &format!("a route has at most {MAX_ROUTE_BYTES} bytes")
    } else if !route.bytes().all(is_of_path) {
        "a route is the path of a URL: other characters than letters, digits and -._~!$&'()*+,;=:@ are written as %20"
    } else if text.contains("//") {
        "a route has no empty part"
    } else if RESERVED_ROUTES
        .iter()
        .any(|r| route.strip_prefix(r).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    {
        "/function, /healthz and /readyz are the gateway's own"
    } else {
        return Some(route.to_owned());
    };
    item.wrong(problem, report);
    None
}

/// Whether a byte may stand in the path of a URL.
fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

fn read_ready_path(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let path = item.string(Some(READY_PATH_EXAMPLE), report)?;
    let problem = if !path.starts_with('/') {
        "the path begins with a slash, as in \"/healthz\""
    } else if path.len() > MAX_ROUTE_BYTES {
        &format!("the path has at most {MAX_ROUTE_BYTES} bytes")
    } else if !path.bytes().all(is_of_path) {
        "this is the path of a URL, without a query: other characters than letters, digits and \
         -._~!$&'()*+,;=:@ are written as %20"
    } else {
        return Some(path.to_owned());
    };
    item.wrong(problem, report);
    None
}

fn read_cwd(item: &Item<'_>, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
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
