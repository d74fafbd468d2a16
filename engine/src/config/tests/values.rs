//! The values of every key, and the defaults.

use super::*;
use std::time::Duration;

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
