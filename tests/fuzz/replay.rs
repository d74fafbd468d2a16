//! Runs every kept seed through its target. A seed that showed a bug is never removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use targets::TARGETS;

/// Counts panics anywhere in this process. Panics in tasks, or behind the guard of the C interface,
/// do not end a test by themselves.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Targets that make their process serve calls. A process cannot stop serving, so each of these
/// targets runs in a process of its own.
const SERVE: [&str; 2] = ["direct_threads", "handlers"];
/// The environment variable that names the target to such a process.
const TARGET_VARIABLE: &str = "NIGHTCORE_FUZZ_TARGET";
const TEST: &str = "every_seed_goes_through_its_target";

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut seeds: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    seeds
}

/// Returns the bytes of every vector of the protocol, good and bad.
fn vectors() -> Vec<Vec<u8>> {
    fn collect(value: &serde_json::Value, to: &mut Vec<Vec<u8>>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str().filter(|_| name == "bytes") {
                        Some(hex) => to.push(
                            (0..hex.len() / 2)
                                .map(|at| {
                                    u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")
                                })
                                .collect(),
                        ),
                        None => collect(value, to),
                    }
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, to)),
            _ => {}
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/protocol.json");
    let text = fs::read_to_string(path).expect("the vectors are there");
    let mut vectors = Vec::new();
    collect(&serde_json::from_str(&text).expect("the vectors are JSON"), &mut vectors);
    vectors
}

#[test]
fn every_seed_goes_through_its_target() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default(panic);
    }));
    let run = |name: &str, what: &dyn std::fmt::Display, bytes: &[u8]| {
        let target =
            TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name").1;
        let ended = std::panic::catch_unwind(|| target(bytes));
        assert!(ended.is_ok() && PANICS.load(Ordering::Relaxed) == 0, "{name} fails with {what}");
    };
    let vectors = vectors();
    assert!(vectors.len() > 20, "{} vectors", vectors.len());
    for (number, bytes) in vectors.iter().enumerate() {
        for name in ["message", "metadata"] {
            run(name, &format!("vector {number}"), bytes);
        }
    }
    let all_seeds = |name: &str| {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        run(name, &"nothing", b"");
        for seed in seeds {
            run(name, &seed.display(), &fs::read(&seed).unwrap());
        }
    };
    if let Ok(name) = std::env::var(TARGET_VARIABLE) {
        return all_seeds(&name);
    }
    for (name, _) in TARGETS.into_iter().filter(|(name, _)| !SERVE.contains(name)) {
        all_seeds(name);
    }
    for name in SERVE {
        let this = std::env::current_exe().expect("a program");
        let again = Command::new(this).args([TEST, "--exact"]).env(TARGET_VARIABLE, name).status();
        assert!(again.expect("it starts").success(), "{name} fails");
    }
}
