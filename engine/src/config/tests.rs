//! Whole files: what they give, and the exact text of what is said about their mistakes.

// A new key needs no line in the tests that set many.
#![allow(clippy::needless_update)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use proptest::prelude::*;
use tempfile::TempDir;

use super::load::parse;
use super::variables::escape;
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

    /// The same with values for `--set`.
    fn parse_with(&self, text: &str, settings: &[&str]) -> Result<Config, ConfigErrors> {
        let settings: Vec<_> = settings.iter().map(|text| text.parse().unwrap()).collect();
        parse(text, &self.path(), &settings, Purpose::Serve, &lookup)
    }

    /// What is said about `text`, with the directory left out.
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

/// The first line of each error.
fn messages(text: &str) -> Vec<String> {
    let shown = Fixture::new().errors(text);
    shown
        .lines()
        .filter_map(|line| line.strip_prefix("nightcore.toml:"))
        .map(str::to_owned)
        .collect()
}

/// The one error of a function `Foo` with these keys, without the place.
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

/// The values of a function whose table sets none.
fn default_keys() -> Keys {
    parse_ok("[functions.Foo]\ncommand = [\"./foo\"]\n").functions[0].keys.clone()
}

#[test]
fn two_lines_are_enough() {
    let fixture = Fixture::new();
    let config = fixture.parse("[functions.Foo]\ncommand = [\"./foo\"]\n").unwrap();
    let directory = fixture.directory.path().canonicalize().unwrap();
    assert_eq!(
        config,
        Config {
            path: fixture.path(),
            directory: directory.clone(),
            settings: vec![],
            gateway: GatewayConfig {
                listen: "127.0.0.1:8080".parse().unwrap(),
                max_body_bytes: 32 << 20,
                memory_bytes: None,
            },
            admin: None,
            functions: vec![FunctionConfig {
                name: "Foo".into(),
                line: 1,
                command: vec!["./foo".into()],
                program: directory.join("foo"),
                cwd: directory,
                env: vec![],
                env_files: vec![],
                as_written: AsWritten { command: vec!["./foo".into()], env: vec![] },
                keys: default_keys(),
                route: None,
            }],
            warnings: Vec::new(),
        }
    );
}

#[test]
fn every_key_is_read() {
    let config = parse_ok(FULL);
    assert_eq!(
        config.gateway,
        GatewayConfig {
            listen: "0.0.0.0:9000".parse().unwrap(),
            max_body_bytes: 1 << 20,
            memory_bytes: Some(64 << 20),
        }
    );
    let [foo, bar] = &config.functions[..] else { panic!("{:?}", config.functions) };
    assert_eq!((foo.name.as_str(), foo.line), ("Foo", 13));
    assert_eq!(foo.command, ["./foo", "--verbose"]);
    assert_eq!(foo.program, config.directory.join("foo"));
    assert_eq!(foo.cwd, config.directory.join("data"));
    let env: Vec<_> = foo.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        env,
        [("A", "own"), ("B", "defaults"), ("C", "line\nbreak \"quoted\" \\ \u{1} \u{7f} é")]
    );
    assert_eq!(foo.keys.processes, 2);
    assert_eq!(foo.keys.workers, WorkerBounds { min: 3, max: Some(32) });
    assert_eq!((foo.keys.timeout, foo.keys.grace), (Duration::from_millis(250), Duration::ZERO));
    assert_eq!(foo.keys.start_timeout, Duration::from_secs(120));
    assert_eq!(foo.keys.stop_timeout, Duration::from_secs(60));
    assert_eq!(foo.keys.ready_path.as_deref(), Some("/health%20z"));
    assert_eq!(foo.keys.queue, QueueBounds { calls: 7, bytes: 1000 });
    assert_eq!((foo.keys.max_depth, foo.keys.external, foo.keys.quarantine_after), (3, false, 3));
    assert_eq!((foo.keys.retries, foo.keys.idempotent), (2, true));
    assert_eq!(foo.keys.expose_errors, Some(true));
    let two_days = Some(Duration::from_secs(2 * 24 * 60 * 60));
    let recycle = Recycle { calls: Some(9), memory_bytes: Some(2 << 20), age: two_days };
    assert_eq!(foo.keys.recycle, recycle);
    assert!(bar.program.is_absolute() && bar.program.ends_with("sh"));
    assert_eq!((bar.keys.timeout, bar.keys.external), (Duration::from_secs(1), true));
    assert_eq!((&foo.route, bar.route.as_deref()), (&None, Some("/b%20r")));
}

#[test]
fn functions_keep_the_order_of_the_file() {
    let text = "[functions.Z]\ncommand=['./foo']\n[functions.A]\ncommand=['./foo']\n\
                [functions.M.env]\nX='1'\n[functions.M]\ncommand=['./foo']\n";
    let config = parse_ok(text);
    let order: Vec<_> = config.functions.iter().map(|f| (f.name.as_str(), f.line)).collect();
    assert_eq!(order, [("Z", 1), ("A", 3), ("M", 7)]);
}

#[test]
fn dotted_and_inline_tables_are_the_same() {
    let config = parse_ok(
        "functions.A.command = ['./foo']\nfunctions.B = { command = ['./foo'], processes = 2 }\n",
    );
    assert_eq!(config.functions.len(), 2);
    assert_eq!(config.functions[1].keys.processes, 2);
}

#[test]
fn the_default_of_max_never_goes_below_min() {
    let workers = WorkerBounds { min: 100, max: None };
    assert_eq!((workers.max_threads(), workers.max_slots()), (100, 1024));
    let workers = WorkerBounds { min: 1, max: Some(2) };
    assert_eq!((workers.max_threads(), workers.max_slots()), (2, 2));
}

#[test]
fn printed_values_give_the_same_configuration() {
    let fixture = Fixture::new();
    let without_lines = |mut config: Config| {
        config.functions.iter_mut().for_each(|function| function.line = 0);
        config
    };
    for text in [FULL, "[functions.Foo]\ncommand = [\"./foo\"]\ncwd = \"/\"\n"] {
        let config = fixture.parse(text).unwrap();
        let printed = config.to_toml();
        let again = fixture.parse(&printed).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
        assert_eq!(printed, again.to_toml());
        assert_eq!(without_lines(config), without_lines(again));
    }
}

#[test]
fn printed_values_read_well() {
    let fixture = Fixture::new();
    let config =
        fixture.parse("[functions.Foo]\ncommand = [\"./foo\"]\nenv = { A = \"1\" }\n").unwrap();
    let printed = config.to_toml().replace(&format!("{}/", config.directory.display()), "/srv/");
    let head = r#"[gateway]
listen = "127.0.0.1:8080"
max_body = "32MiB"
memory = "auto"

[functions.Foo]
# runs "/srv/foo"
command = ["./foo"]
cwd = "."
env = { "A" = "1" }
processes = 1
workers = { min = 1 }  # max: 64 threads, or 1024 calls on event loops
timeout = "30s"
"#;
    assert!(printed.starts_with(head), "{printed}");
    for line in [
        "channel = \"ring\"",
        "limits = {}",
        "# expose_errors = false, and true for `nightcore dev`",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let text = "[gateway]\nlisten = \"localhost:0\"\n\n\n\
                [functions.Foo]\ncommand = [\"./foo\"]\ntimout = \"5s\"\n";
    assert_eq!(
        Fixture::new().errors(text),
        r#"nightcore.toml:7:1: unknown key "timout" in [functions.Foo]; did you mean "timeout"?
  7 | timout = "5s"
    | ^^^^^^"#
    );
}

#[test]
fn unknown_keys_and_tables() {
    let text = r#"
port = 80
[gatway]
[server]
[Foo]
command = ["./foo"]
[gateway]
host = "x"
[defaults]
memory = "1GiB"
comand = ["./foo"]
[functions.Foo]
command = ["./foo"]
workers = { maximum = 3 }
queue.call = 3
image = "x"
"#;
    let tables = "[gateway], [admin], [defaults], [functions.NAME]";
    let names = format!("cwd, env, env_file, {}", keys::NAMES.join(", "));
    let of_function = format!("command, route, {names}");
    assert_eq!(
        messages(text),
        [
            &format!(r#"2:1: unknown key "port" outside of a table; known tables: {tables}"#),
            r#"3:2: unknown table [gatway]; did you mean [gateway]?"#,
            &format!("4:2: unknown table [server]; known tables: {tables}"),
            r#"5:2: unknown table [Foo]; did you mean [functions.Foo]?"#,
            r#"8:1: unknown key "host" in [gateway]; known keys: listen, max_body, memory"#,
            &format!(r#"10:1: unknown key "memory" in [defaults]; known keys: {names}"#),
            &format!(r#"11:1: unknown key "comand" in [defaults]; known keys: {names}"#),
            r#"14:13: unknown key "maximum" in workers of [functions.Foo]; known keys: min, max"#,
            r#"15:7: unknown key "call" in queue of [functions.Foo]; did you mean "calls"?"#,
            &format!(r#"16:1: unknown key "image" in [functions.Foo]; known keys: {of_function}"#),
        ]
    );
}

#[test]
fn admin_pages_are_where_somebody_says_and_on_this_machine_if_he_says_no_more() {
    let fixture = Fixture::new();
    let listen = |table: &str| {
        let text = format!("{table}\n[functions.Foo]\ncommand = ['./foo']\n");
        let config = fixture.parse(&text).unwrap();
        let again = fixture.parse(&config.to_toml()).unwrap();
        assert_eq!(again.admin, config.admin);
        config.admin.map(|admin| admin.listen.to_string())
    };
    assert_eq!(listen(""), None);
    assert_eq!(listen("[admin]").as_deref(), Some("127.0.0.1:9464"));
    assert_eq!(listen("[admin]\nlisten = '[::1]:0'").as_deref(), Some("[::1]:0"));
    assert_eq!(listen("[admin]\nlisten = '0.0.0.0:9464'").as_deref(), Some("0.0.0.0:9464"));
    let wrong =
        |keys: &str| messages(&format!("[admin]\n{keys}\n[functions.Foo]\ncommand = ['./foo']\n"));
    let [every] = &wrong("listen = ':9464'")[..] else { panic!("one error") };
    assert!(every.contains(r#"write "127.0.0.1:9464" for this machine only"#), "{every}");
    assert_eq!(wrong("port = 1"), [r#"2:1: unknown key "port" in [admin]; known keys: listen"#]);
}

#[test]
fn routes() {
    let no_path = "route: a route is the path of a URL: other characters than letters, digits and \
                   -._~!$&'()*+,;=:@ are written as %20";
    let own = "route: /function, /healthz and /readyz are the gateway's own";
    let cases = [
        ("route = 1", r#"route: expected a string such as "/shop", found integer"#),
        ("route = ''", r#"route: a route begins with a slash, as in "/shop""#),
        ("route = 'shop'", r#"route: a route begins with a slash, as in "/shop""#),
        ("route = '/a b'", no_path),
        ("route = '/a?b'", no_path),
        ("route = '/a//b'", "route: a route has no empty part"),
        ("route = '//'", "route: a route has no empty part"),
        ("route = '/function/Foo'", own),
        ("route = '/healthz/'", own),
        (
            "route = '/a'\nexternal = false",
            "route: clients may not call this function, as external = false",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(function_error(keys), expected);
    }
    let long = format!("route = '/{}'", "x".repeat(MAX_ROUTE_BYTES));
    assert_eq!(function_error(&long), "route: a route has at most 1024 bytes");
    let two = "[functions.A]\ncommand = ['./foo']\nroute = '/a'\n\
               [functions.B]\ncommand = ['./foo']\nroute = '/a/'\n";
    assert_eq!(messages(two), [r#"6:9: route: "A" has this route already"#]);
    assert_eq!(
        messages("[defaults]\nroute = '/'\n[functions.A]\ncommand = ['./foo']\n"),
        [r#"2:1: "route" cannot stand in [defaults]: each function has its own"#]
    );
}

#[test]
fn wrong_types() {
    let cases = [
        ("timeout = 5", r#"timeout: expected a string such as "5s", found integer"#),
        ("processes = '2'", "processes: expected a whole number from 1 to 1024, found string"),
        ("workers = 4", "workers: expected a table such as { min = 1, max = 32 }, found integer"),
        ("workers.max = 1.5", "workers.max: expected a whole number from 1 to 65536, found float"),
        ("channel = 'socket'", "channel: it is \"ring\" or \"fifo\""),
        ("placement = 'core 1'", "placement: it is \"apart\" or \"free\""),
        ("limits.cpus = '1'", "limits.cpus: expected a number such as 1.5, found string"),
        ("external = 'no'", "external: expected true or false, found string"),
        ("env = ['A']", "env: expected a table such as { NAME = \"value\" }, found array"),
        ("env.A = 1", "env.A: expected a string, found integer"),
        ("cwd = 1", r#"cwd: expected a string such as "data", found integer"#),
        (
            "queue.bytes = true",
            r#"queue.bytes: expected a string such as "32MiB" or a number of bytes, found boolean"#,
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(function_error(keys), expected);
    }
    assert_eq!(
        messages("gateway = 1\ndefaults = 1\n[[functions]]\n"),
        [
            "1:11: gateway: expected a table such as [gateway], found integer",
            "2:12: defaults: expected a table such as [defaults], found integer",
            "3:1: functions: expected a table such as [functions.NAME], found array",
        ]
    );
    assert_eq!(
        messages("[functions]\nFoo = 1\n"),
        ["2:7: Foo: expected a table such as [functions.NAME], found integer"]
    );
    assert_eq!(
        messages("[gateway]\nlisten = 8080\n[functions.Foo]\ncommand = ['./foo']\n"),
        [r#"2:10: listen: expected a string such as "127.0.0.1:8080", found integer"#]
    );
}

#[test]
fn values_out_of_range() {
    let cases = [
        (
            "limits.cpus = 0.0011",
            "limits.cpus: expected 0.01 to 1024 with at most three digits after the point, \
             found 0.0011",
        ),
        ("limits.memory = '1KiB'", r#"limits.memory: expected 1MiB to 1048576GiB, found "1KiB""#),
        ("processes = 0", "processes: expected 1 to 1024, found 0"),
        ("processes = 0x401", "processes: expected 1 to 1024, found 0x401"),
        ("processes = -1", "processes: expected 1 to 1024, found -1"),
        ("workers.max = 0", "workers.max: expected 1 to 65536, found 0"),
        ("workers.max = 65537", "workers.max: expected 1 to 65536, found 65537"),
        ("workers = { min = 3, max = 2 }", "workers: min is 3, which is more than max, 2"),
        ("timeout = '0s'", r#"timeout: expected 1us to 1d, found "0s""#),
        ("timeout = '25h'", r#"timeout: expected 1us to 1d, found "25h""#),
        (
            "timeout = 'none'",
            r#"timeout: "none" is not supported: every call ends by its deadline"#,
        ),
        ("max_depth = 0", "max_depth: expected 1 to 1024, found 0"),
        (
            "max_depth = 99999999999999999999",
            "max_depth: expected 1 to 1024, found 99999999999999999999",
        ),
        ("queue.calls = 0", "queue.calls: expected 1 to 1048576, found 0"),
        ("queue.bytes = 0", "queue.bytes: expected 1B to 1024GiB, found 0"),
    ];
    for (keys, expected) in cases {
        assert_eq!(function_error(keys), expected);
    }
    assert_eq!(
        messages("[gateway]\nmax_body = '2GiB'\n[functions.Foo]\ncommand = ['./foo']\n"),
        [r#"2:12: max_body: expected 1B to 1GiB, found "2GiB""#]
    );
}

#[test]
fn mistakes_in_defaults_are_said_once() {
    let functions = "[functions.A]\ncommand = ['./foo']\n[functions.B]\ncommand = ['./foo']\n";
    assert_eq!(
        messages(&format!(
            "[defaults]\nworkers = {{ min = 3, max = 2 }}\ncwd = 'nowhere'\n{functions}"
        )),
        [
            "2:19: workers: min is 3, which is more than max, 2",
            "3:7: cwd: no such directory: nowhere"
        ]
    );
    assert_eq!(
        messages(&format!("[defaults]\ncommand = ['./foo']\n{functions}")),
        [r#"2:1: "command" cannot stand in [defaults]: each function has its own"#]
    );
}

#[test]
fn a_function_that_contradicts_the_defaults() {
    let text = "[defaults]\nworkers.min = 3\n[functions.A]\ncommand = ['./foo']\nworkers.max = 2\n";
    assert_eq!(messages(text), ["5:15: workers: min is 3, which is more than max, 2"]);
}

#[test]
fn commands() {
    let error = |command: &str| {
        let messages = messages(&format!("[functions.Foo]\ncommand = {command}\n"));
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages[0].clone()
    };
    assert_eq!(
        error("'python3 bar.py'"),
        "2:11: command: expected an array of strings, found string; \
         write command = [\"python3\", \"bar.py\"]"
    );
    assert_eq!(
        error("''"),
        r#"2:11: command: expected an array of strings, found string; write command = ["./foo"]"#
    );
    assert_eq!(
        error("[]"),
        "2:11: command: the array is empty; \
         write the program and its arguments, such as [\"./foo\"]"
    );
    assert_eq!(error("['']"), "2:12: command[0]: the program's name is empty");
    assert_eq!(error("['./foo', 1]"), "2:21: command[1]: expected a string, found integer");
    assert_eq!(
        error(r#"["./foo", "a\u0000"]"#),
        "2:21: command[1]: a NUL character cannot be passed on"
    );
    assert_eq!(error("3"), r#"2:11: command: expected an array such as ["./foo"], found integer"#);
    assert_eq!(error("['./nowhere']"), "2:12: command not found: nowhere");
    assert_eq!(error("['./plain']"), "2:12: not executable: plain");
    assert_eq!(error("['./data']"), "2:12: not a file: data");
    assert_eq!(
        error("['foo']"),
        "2:12: command not found: \"foo\" is not in PATH; \
         write \"./foo\" for a program beside this file"
    );
    assert_eq!(
        messages("[functions.Foo]\n"),
        [r#"1:12: [functions.Foo] has no command; write, for example, command = ["./foo"]"#]
    );
}

#[test]
fn commands_ignore_cwd_and_heed_the_path_of_env() {
    let fixture = Fixture::new();
    let config = fixture.parse("[functions.Foo]\ncommand = ['./foo']\ncwd = 'data'\n").unwrap();
    assert_eq!(config.functions[0].program, config.directory.join("foo"));
    let path = config.directory.display();
    let config = fixture
        .parse(&format!("[functions.Foo]\ncommand = ['foo']\nenv.PATH = '{path}'\n"))
        .unwrap();
    assert_eq!(config.functions[0].program, config.directory.join("foo"));
}

#[test]
fn working_directories_and_variables() {
    let cases = [
        ("cwd = 'nowhere'", "cwd: no such directory: nowhere"),
        ("cwd = 'plain'", "cwd: not a directory: plain"),
        ("cwd = ''", r#"cwd: the path is empty; for the directory of this file write ".""#),
        ("env = { '' = 'x' }", r#""" cannot be the name of a variable"#),
        ("env = { 'A=B' = 'x' }", r#""A=B" cannot be the name of a variable"#),
        (r#"env.A = "\u0000""#, "env.A: a NUL character cannot be passed on"),
    ];
    for (keys, expected) in cases {
        assert_eq!(function_error(keys), expected);
    }
}

#[test]
fn function_names() {
    assert_eq!(
        messages("[functions.9lives]\ncommand = ['./foo']\n"),
        ["1:12: invalid function name \"9lives\": a name is a letter or \"_\", \
             then letters, digits, \"_\" or \"-\", together at most 63"]
    );
}

#[test]
fn a_file_without_functions_shows_two_lines() {
    let expected = "nightcore.toml: there is no function in it; a function takes two lines:\n\n    \
                    [functions.Foo]\n    command = [\"./foo\"]";
    for text in ["", "# nothing\n", "[gateway]\n", "[functions]\n"] {
        assert_eq!(Fixture::new().errors(text), expected);
    }
}

#[test]
fn syntax_errors_come_alone() {
    assert_eq!(
        Fixture::new().errors(
            "[functions.Foo]\ncommand = [\"./foo\"]\nbogus = 1\ncommand = []\n[functions.Foo]\n"
        ),
        r#"nightcore.toml:4:1: duplicate key "command"
  4 | command = []
    | ^^^^^^^

nightcore.toml:5:12: duplicate key "Foo"
  5 | [functions.Foo]
    |            ^^^"#
    );
    let shown = messages("[functions.Foo]\ncommand = [\"./foo]\nbogus = 1\n");
    assert!(shown[0].starts_with("2:"), "{shown:?}");
    let shown = messages("[functions.Foo]\ncommand = ./foo\nx = 'a\n");
    assert!(shown[0].starts_with("2:11: "), "{shown:?}");
    assert!(shown.iter().any(|message| message.starts_with("3:")), "{shown:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let fixture = Fixture::new();
    let directory = format!("{}/", fixture.directory.path().display());
    let error = |path: &Path| {
        Config::load(path, &[], Purpose::Serve).unwrap_err().to_string().replace(&directory, "")
    };
    assert_eq!(
        error(&fixture.path()),
        "nightcore.toml: no such file; name another one, or create it with these two lines:\n\n    \
         [functions.Foo]\n    command = [\"./foo\"]"
    );
    assert_eq!(error(&fixture.directory.path().join("data")), "data: is a directory, not a file");

    fs::write(fixture.path(), b"[functions.Foo]\ncommand = [\"\xff\"]\n").unwrap();
    assert_eq!(
        error(&fixture.path()),
        "nightcore.toml:2:13: the text is not valid UTF-8\n  2 | command = [\"\u{fffd}\"]\n    \
         |             ^"
    );

    let limit = usize::try_from(MAX_FILE_BYTES).unwrap();
    let mut text = b"[functions.Foo]\ncommand = [\"./foo\"]\n".to_vec();
    text.resize(limit, b'\n');
    fs::write(fixture.path(), &text).unwrap();
    assert!(Config::load(&fixture.path(), &[], Purpose::Serve).is_ok());
    text.push(b'\n');
    fs::write(fixture.path(), &text).unwrap();
    assert_eq!(error(&fixture.path()), "nightcore.toml: the file is larger than 1MiB");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_taken() {
    let config = parse_ok("\u{feff}[functions.Foo]\r\ncommand = ['./foo']\r\n");
    assert_eq!(config.functions[0].line, 1);
}

#[test]
fn very_many_errors_are_counted() {
    let keys: Vec<_> = (0..20_000).map(|index| format!("a{index} = 1")).collect();
    let shown = Fixture::new().errors(&format!("functions = {{ {} }}", keys.join(", ")));
    assert!(shown.ends_with("\n\nand 19980 more"), "{shown}");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = "[".repeat(100_000);
    assert!(Fixture::new().parse(&format!("a = {deep}")).is_err());
    let dotted = vec!["a"; 100_000].join(".");
    assert!(Fixture::new().parse(&format!("{dotted} = 1")).is_err());
}

/// A piece that the grammar or the checks treat specially.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            "=",
            ".",
            ",",
            "\"",
            "'",
            "\"\"\"",
            "'''",
            "\n",
            "\r",
            "#",
            "\\",
            "\\u",
            "0x",
            "-",
            "1",
            "99999999999999999999",
            "1.5",
            "inf",
            "nan",
            "1979-05-27",
            "true",
            "functions",
            "Foo",
            "command",
            "[functions.Foo]",
            "[[functions]]",
            "[functions.Foo.env]",
            "timeout",
            "workers",
            "min",
            "max",
            "\"5s\"",
            "\u{feff}",
            "\0",
            "é",
            "\u{1b}",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

#[test]
fn variables_and_settings_take_the_type_that_a_key_expects() {
    let text = r#"
[gateway]
listen = "${LISTEN}"
max_body = "${MOST:-8MiB}"
[functions.Foo]
command = ["./foo", "--password=${PASSWORD}", "$${PASSWORD}"]
env = { URL = "db://shop:${PASSWORD}@host" }
processes = "${COUNT}"
external = "${UNSET:-false}"
limits = { cpus = "${UNSET:-1.5}" }
"#;
    let settings = [
        "gateway.max_body=4096",
        "functions.Foo.retries=2",
        "functions.Foo.idempotent=true",
        "functions.Foo.env.NUMBER=1",
        "functions.Foo.workers.max=8",
        "functions.Bar.command=[\"sh\", \"-c\", \"true\"]",
        "defaults.queue={ calls = 7 }",
    ];
    let fixture = Fixture::new();
    let config = fixture.parse_with(text, &settings).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.gateway.listen.port(), 7000);
    assert_eq!(config.gateway.max_body_bytes, 4096);
    let foo = &config.functions[0];
    assert_eq!(foo.command[1..], ["--password=hunter2", "${PASSWORD}"]);
    let env = [("NUMBER", "1"), ("URL", "db://shop:hunter2@host")];
    assert_eq!(foo.env, env.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(
        (foo.keys.processes, foo.keys.external, foo.keys.limits.cpu_millis),
        (3, false, Some(1500))
    );
    assert_eq!((foo.keys.retries, foo.keys.idempotent, foo.keys.workers.max), (2, true, Some(8)));
    assert_eq!(foo.keys.queue.calls, 7);
    assert_eq!(config.functions[1].command, ["sh", "-c", "true"]);

    let printed = config.to_toml();
    assert!(!printed.contains("hunter2"), "{printed}");
    let again = fixture.parse(&printed).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
    let lines = |config: Config| {
        config.functions.into_iter().map(|f| FunctionConfig { line: 0, ..f }).collect::<Vec<_>>()
    };
    assert_eq!(lines(again), lines(config));
}

#[test]
fn a_mistake_in_a_setting_names_the_setting() {
    let text = "[functions.Foo]\ncommand = [\"./foo\"]\n";
    for (setting, message) in [
        ("functions.Foo.retries=many", "functions.Foo.retries: retries: expected a whole number"),
        ("functions.Foo.retrys=1", "functions.Foo.retrys: unknown key \"retrys\""),
        ("functions.Foo.command.x=1", "functions.Foo.command.x: command is not a table"),
        ("gateway.listen=[1", "gateway.listen: "),
        ("defaults=1", "defaults: "),
    ] {
        let error = Fixture::new().parse_with(text, &[setting]).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("--set {message}")), "{setting}: {shown}");
    }
}

#[test]
fn a_variable_that_is_not_set_is_a_mistake_at_its_place() {
    let shown = messages("[functions.Foo]\ncommand = [\"./foo\"]\ntimeout = \"${UNSET}\"\n");
    let [message] = shown.as_slice() else { panic!("{shown:?}") };
    assert!(message.starts_with("3:11: the environment variable UNSET is not set"), "{message}");
}

#[test]
fn files_of_variables_come_before_what_tables_say() {
    let fixture = Fixture::new();
    let file = |name: &str, text: &str| {
        fs::write(fixture.directory.path().join(name), text).unwrap();
    };
    file("all.env", "# a comment\nA=all\nexport B='a $B'\nC=\"two words\"\n\nD=\n");
    file("own.env", "B=own\nE=own\n");
    let text = "[defaults]\nenv_file = \"all.env\"\nenv = { A = \"table\" }\n\
                [functions.Foo]\ncommand = [\"./foo\"]\nenv_file = [\"own.env\"]\n\
                env = { E = \"${PASSWORD}\" }\n";
    let config = fixture.parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    let foo = &config.functions[0];
    let env: Vec<_> = foo.env.iter().map(|(name, value)| (&**name, &**value)).collect();
    let expected = [("A", "table"), ("B", "own"), ("C", "two words"), ("D", ""), ("E", "hunter2")];
    assert_eq!(env, expected);
    let printed = config.to_toml();
    assert!(printed.contains("env_file = [\"all.env\", \"own.env\"]"), "{printed}");
    for secret in ["two words", "hunter2"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn the_value_of_a_variable_is_no_reason_for_a_warning() {
    let fixture = Fixture::new();
    let text =
        "[functions.Foo]\ncommand = [\"./foo\", \"${TRICKY}\"]\nenv = { A = \"${TRICKY}\" }\n";
    let config = fixture.parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.functions[0].command[1], "~/$HOME");
    assert_eq!(config.warnings, []);
}

#[test]
fn a_mistake_in_the_value_of_a_variable_shows_the_variable() {
    let fixture = Fixture::new();
    for key in [
        "timeout = \"${PASSWORD}\"",
        "processes = \"${PASSWORD}\"",
        "queue = { bytes = \"${PASSWORD}\" }",
        "limits = { cpus = \"${PASSWORD}\" }",
        "external = \"${PASSWORD}\"",
        "channel = \"${PASSWORD}\"",
        "route = \"/${PASSWORD}//\"",
        "ready_path = \"${PASSWORD}\"",
        "cwd = \"${PASSWORD}\"",
        "env = { \"A=\" = \"${PASSWORD}\" }",
        "env_file = \"${PASSWORD}\"",
    ] {
        let shown = fixture.errors(&format!("[functions.Foo]\ncommand = [\"./foo\"]\n{key}\n"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    for command in
        ["[\"./${PASSWORD}\"]", "\"${COMMAND}\"", "[\"${COMMAND}\"]", "[\"${ASSIGNED}\"]"]
    {
        let shown = fixture.errors(&format!("[functions.Foo]\ncommand = {command}\n"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let shown = fixture
        .errors("[gateway]\nlisten = \"${PASSWORD}\"\n[functions.Foo]\ncommand = [\"./foo\"]\n");
    assert!(shown.contains("found \"${PASSWORD}\";"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_mistake_in_a_file_of_variables_shows_nothing_of_it() {
    let fixture = Fixture::new();
    for (text, expected) in [
        ("A=1\nsecret words\n", "variable 2, the variable after A, is not of the form NAME=value"),
        ("A='secret\n", "variable 1, the first variable, is not of the form NAME=value"),
        ("NIGHTCORE_TOKEN=secret\n", "NIGHTCORE_TOKEN is for the engine to set"),
        ("A=secret\u{0}\n", "A: a NUL character cannot be passed on"),
    ] {
        fs::write(fixture.directory.path().join(".env"), text).unwrap();
        let shown = fixture.errors("[functions.Foo]\ncommand = [\"./foo\"]\nenv_file = \".env\"\n");
        assert!(shown.contains(&format!("env_file: .env: {expected}")), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
    let shown = fixture.errors("[functions.Foo]\ncommand = [\"./foo\"]\nenv_file = [\"none\"]\n");
    assert!(shown.contains("env_file[0]: none: No such file"), "{shown}");
}

/// Reads a file, and writes its errors if it has any.
fn reading(text: &str, path: &Path) -> Result<Config, String> {
    parse(text, path, &[], Purpose::Serve, &|_| None).map_err(|errors| errors.to_string())
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = reading(&text, Path::new("nightcore.toml"));
    }

    #[test]
    fn no_mix_of_tokens_panics(tokens in prop::collection::vec(token(), 0..40)) {
        let _ = reading(&tokens.concat(), Path::new("nightcore.toml"));
    }

    #[test]
    fn no_mutation_of_a_good_file_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20, token()), 1..6),
    ) {
        let mut text = FULL.to_owned();
        for (at, removed, inserted) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary(start + removed).max(start);
            text.replace_range(start..end, &inserted);
        }
        let _ = reading(&text, Path::new("nightcore.toml"));
    }

    #[test]
    fn any_values_come_back_from_print(
        words in prop::collection::vec("[^\0]*", 0..4),
        env in prop::collection::btree_map("[^\0=]+", "[^\0]*", 0..4),
        numbers in (1..=MAX_PROCESSES, 0..=MAX_WORKERS, 1..=MAX_QUEUE_CALLS, 1..=MAX_MAX_DEPTH),
        max in prop::option::of(MAX_WORKERS..=MAX_WORKERS),
        micros in (1..=86_400_000_000u64, 0..=86_400_000_000u64),
        bytes in (1..=MAX_MAX_BODY_BYTES, 1..=MAX_QUEUE_BYTES),
        (external, route) in prop_oneof![
            (any::<bool>(), Just(None)),
            (Just(true), prop::option::of("(/[a-z0-9%~-]+){0,3}")),
        ],
        (quarantine_after, retries) in (0..=MAX_QUARANTINE_AFTER, 0..=MAX_RETRIES),
        (ring, apart, watch, idempotent) in any::<(bool, bool, bool, bool)>(),
        expose_errors in any::<Option<bool>>(),
        limits in (
            prop::option::of(MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES),
            prop::option::of(MIN_CPU_MILLIS..=MAX_CPU_MILLIS),
            prop::option::of(MIN_OPEN_FILES..=MAX_OPEN_FILES),
            prop::option::of(1..=MAX_TASKS),
        ),
        recycle in (
            prop::option::of(1..=u32::MAX),
            prop::option::of(MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES),
            prop::option::of((MIN_AGE.as_secs()..=MAX_AGE.as_secs()).prop_map(Duration::from_secs)),
        ),
    ) {
        let directory = std::env::temp_dir().canonicalize().unwrap();
        let command = [vec!["/bin/cat".to_owned()], words].concat();
        let escaped = |words: &[String]| words.iter().map(|w| escape(w).into_owned()).collect();
        let build = idempotent
            .then(|| Build { words: command.clone(), written: escaped(&command) });
        let config = Config {
            path: directory.join("nightcore.toml"),
            directory: directory.clone(),
            settings: vec![],
            gateway: GatewayConfig {
                listen: "[::1]:0".parse().unwrap(),
                max_body_bytes: bytes.0,
                memory_bytes: Some(bytes.0).filter(|bytes| *bytes >= MIN_HELD_BYTES),
            },
            admin: None,
            functions: vec![FunctionConfig {
                name: "Foo".into(),
                line: 6,
                as_written: AsWritten {
                    command: command.iter().map(|word| escape(word).into_owned()).collect(),
                    env: env.iter().map(|(n, v)| (n.clone(), escape(v).into_owned())).collect(),
                },
                command,
                program: "/bin/cat".into(),
                cwd: directory,
                env: env.into_iter().collect(),
                env_files: vec![],
                keys: Keys {
                    processes: numbers.0,
                    workers: WorkerBounds { min: numbers.1, max },
                    timeout: Duration::from_micros(micros.0),
                    grace: Duration::from_micros(micros.1),
                    start_timeout: MIN_START_TIMEOUT + Duration::from_micros(micros.1 / 2),
                    stop_timeout: Duration::from_micros(micros.1 / 3),
                    ready_path: route.as_ref().map(|path| format!("/{path}")),
                    queue: QueueBounds { calls: numbers.2, bytes: bytes.1 },
                    max_depth: numbers.3,
                    external,
                    channel: if ring { ChannelKind::Ring } else { ChannelKind::Fifo },
                    placement: if apart { Placement::Apart } else { Placement::Free },
                    direct: !apart,
                    watch,
                    build,
                    limits: Limits {
                        memory_bytes: limits.0,
                        cpu_millis: limits.1,
                        open_files: limits.2,
                        tasks: limits.3,
                    },
                    recycle: Recycle { calls: recycle.0, memory_bytes: recycle.1, age: recycle.2 },
                    quarantine_after,
                    retries,
                    idempotent,
                    expose_errors,
                    ..default_keys()
                },
                route,
            }],
            warnings: Vec::new(),
        };
        let printed = config.to_toml();
        let again = reading(&printed, &config.path).map_err(TestCaseError::fail)?;
        // Such as of a word that a shell would expand.
        let again = Config { warnings: Vec::new(), ..again };
        prop_assert_eq!(config, again);
    }
}

#[test]
fn a_value_that_is_the_default_keeps_the_processes() {
    let keys = |line: &str| {
        let text = format!("[functions.Foo]\ncommand = [\"./foo\"]\n{line}\n");
        parse_ok(&text).functions[0].keys.clone()
    };
    assert!(keys("").keeps_processes(&keys("expose_errors = false")));
    assert!(!keys("").keeps_processes(&keys("expose_errors = true")));
    assert!(keys("").keeps_processes(&keys("timeout = \"1s\"")));
    assert!(!keys("").keeps_processes(&keys("processes = 2")));
}

/// The functions of a fixture in which the program `new` and the script `new.js` are still to be
/// built.
const UNBUILT: &str = "[functions.Foo]\ncommand = ['./new']\nbuild = ['cc', '-o', 'new', 'a b.c']\n\
                       [functions.Bar]\ncommand = ['sh', 'new.js']\nbuild = ['tsc']\n\
                       cwd = 'data'\n";

#[test]
fn a_program_that_is_to_be_built_may_be_missing_only_while_it_is_written() {
    let fixture = Fixture::new();
    let said = fixture.errors(UNBUILT);
    let directory = fixture.directory.path().canonicalize().unwrap();
    let place = directory.display();
    assert!(
        said.contains(&format!(
            "2:12: command not found: new; it is made by its build: run \"cc -o new 'a b.c'\" in \
             {place}, or start nightcore dev, which runs it"
        )),
        "{said}"
    );
    assert!(said.contains("sh finds no file data/new.js; it is made by its build: run \"tsc\" in"));
    let config = parse(UNBUILT, &fixture.path(), &[], Purpose::Develop, &lookup).unwrap();
    assert_eq!(config.functions[0].program, directory.join("new"));
    assert_eq!(config.functions[1].program.file_name().unwrap(), "sh");
    // What no build makes is an error all the same.
    let toml = "[functions.Foo]\ncommand = ['new']\nbuild = ['make']\n";
    assert!(parse(toml, &fixture.path(), &[], Purpose::Develop, &lookup).is_err());
    assert!(!fixture.errors(toml).contains("made by its build"), "it is looked up in PATH");
    let toml = "[functions.Foo]\ncommand = ['./new']\n";
    assert!(parse(toml, &fixture.path(), &[], Purpose::Develop, &lookup).is_err());
    // Once it is there, nothing is said of its build.
    let toml = "[functions.Foo]\ncommand = ['./plain']\nbuild = ['make']\n";
    assert!(!fixture.errors(toml).contains("build"));
}

#[test]
fn a_build_is_a_command_that_is_printed_as_it_is_written() {
    let fixture = Fixture::new();
    let toml = "[defaults]\nbuild = ['make', '${COUNT}']\n[functions.Foo]\ncommand = ['./foo']\n\
                [functions.Bar]\ncommand = ['./foo']\nbuild = ['./foo', \"it's\"]\n\
                [functions.Plain]\ncommand = ['./foo']\nbuild = []\n";
    let config = fixture.parse(toml).unwrap();
    let [foo, bar, plain] = &config.functions[..] else { panic!("{config:?}") };
    assert_eq!(plain.keys.build, None);
    let words = |function: &FunctionConfig| function.keys.build.clone().unwrap().words;
    assert_eq!(words(foo), ["make", "3"]);
    assert_eq!(foo.keys.build.as_ref().unwrap().to_string(), "make '${COUNT}'");
    assert_eq!(bar.keys.build.as_ref().unwrap().to_string(), r"./foo 'it'\''s'");
    let printed = config.to_toml();
    assert!(printed.contains("build = [\"make\", \"${COUNT}\"]"), "{printed}");
    assert_eq!(words(&fixture.parse(&printed).unwrap().functions[1]), words(bar));
    let directory = fixture.directory.path().canonicalize().unwrap();
    assert_eq!(
        bar.find_builder(&directory, bar.keys.build.as_ref().unwrap()),
        Ok(directory.join("foo"))
    );
    assert!(foo.keys.keeps_processes(&Keys { build: None, ..foo.keys.clone() }));
    let wrong = fixture.errors("[functions.Foo]\ncommand = ['./foo']\nbuild = 'go build'\n");
    assert!(wrong.contains("write build = [\"go\", \"build\"]"), "{wrong}");
    let joined = fixture.parse("[functions.Foo]\ncommand = ['./foo']\nbuild = ['a', '&&', 'b']\n");
    assert_eq!(joined.unwrap().warnings.len(), 1);
}
