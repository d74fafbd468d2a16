//! Tests variables, `--set` and `env_file`.

use super::*;

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
fn an_unset_variable_is_a_mistake_with_its_line_and_column() {
    let shown = messages("[functions.Foo]\ncommand = [\"./foo\"]\ntimeout = \"${UNSET}\"\n");
    let [message] = shown.as_slice() else { panic!("{shown:?}") };
    assert!(message.starts_with("3:11: the environment variable UNSET is not set"), "{message}");
}

#[test]
fn variables_in_env_override_those_of_env_file() {
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
fn the_value_of_a_variable_causes_no_warning() {
    let fixture = Fixture::new();
    let text =
        "[functions.Foo]\ncommand = [\"./foo\", \"${TRICKY}\"]\nenv = { A = \"${TRICKY}\" }\n";
    let config = fixture.parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.functions[0].command[1], "~/$HOME");
    assert_eq!(config.warnings, []);
}

#[test]
fn a_mistake_in_the_value_of_a_variable_does_not_show_the_value() {
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
fn a_mistake_in_an_env_file_shows_no_values() {
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
