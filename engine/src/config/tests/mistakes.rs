//! The exact text of the errors about keys and values.

use super::*;

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
fn inherited_variables() {
    let text = r#"
[functions.Foo]
command = ["./foo"]
env_inherit = ["A*B", "NIGHTCORE_TOKEN", "", "A=B", 3, "*", "NIGHTCORE_*", "A"]
[functions.Bar]
command = ["./foo"]
env_inherit = "A"
"#;
    assert_eq!(
        messages(text),
        [
            r#"4:16: env_inherit[0]: "A*B": a * stands at the end of a name only"#,
            "4:23: env_inherit[1]: NIGHTCORE_TOKEN is for the engine to set",
            r#"4:42: env_inherit[2]: "" cannot be the name of a variable"#,
            r#"4:46: env_inherit[3]: "A=B" cannot be the name of a variable"#,
            "4:53: env_inherit[4]: expected a string such as \"RUST_LOG\", found integer",
            r#"7:15: env_inherit: expected an array such as ["RUST_LOG", "AWS_*"], found string"#,
        ]
    );
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
fn function_names() {
    assert_eq!(
        messages("[functions.9lives]\ncommand = ['./foo']\n"),
        ["1:12: invalid function name \"9lives\": a name is a letter or \"_\", \
             then letters, digits, \"_\" or \"-\", together at most 63"]
    );
}
