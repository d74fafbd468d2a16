//! Checks that `check --print` prints values that give the same configuration.

use super::*;
use crate::config::variables::escape;
use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use proptest::prelude::*;
use std::time::Duration;

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
env_inherit = []
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

proptest! {
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
        // The printed words may cause warnings, such as one about a word that a shell would expand.
        let again = Config { warnings: Vec::new(), ..again };
        prop_assert_eq!(config, again);
    }
}
