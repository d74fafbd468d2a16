//! Checks the rules of ARCHITECTURE.md that need a parser: imports of files, names of types, and
//! the size of files and functions. The test also checks that no line of any file is longer than
//! 100 columns. `walls.sh` in the same folder checks the other rules.

mod checks;
mod circles;
mod imports;
mod lines;
mod names;
mod rooms;
mod shape;
mod source;

use imports::Imports;
use source::Source;

/// The rooms in which files and functions must be small: `shape` checks all of their code.
const SMALL: [&str; 10] = [
    "engine/src/calls",
    "engine/src/core",
    "engine/src/functions",
    "engine/src/ids",
    "engine/src/pool",
    "engine/src/scheduler",
    "engine/src/transport",
    "runtime-core/src/ipc",
    "runtime-core/src/protocol",
    "runtime-core/src/worker",
];

/// The crates of the workspace with more than one file, except the rooms of the process tests.
const CRATES: [&str; 14] = [
    "bench/src/main.rs",
    "bindings/c/src/lib.rs",
    "bindings/facts/src/lib.rs",
    "bindings/node/src/lib.rs",
    "bindings/python/src/lib.rs",
    "engine/src/lib.rs",
    "languages/rust/src/lib.rs",
    "load/src/lib.rs",
    "runtime-core/src/lib.rs",
    "tests/conformance/main.rs",
    "tests/counts/main.rs",
    "tests/fuzz/lib.rs",
    "tests/harness/lib.rs",
    "tests/soak/main.rs",
];

/// The rooms of the process tests. Each is a folder of `tests` and a program.
const PROCESS_TESTS: [&str; 7] =
    ["calls", "commands", "direct", "hostile", "http", "load", "processes"];

fn read(root: &str) -> Source {
    Source::read(harness::repository(), root)
}

#[track_caller]
fn expect_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[track_caller]
fn expect_no_circle(root: &str) {
    expect_none(&circles::circles(&Imports::of(&read(root))));
}

#[test]
fn no_circle_of_imports_in_the_engine() {
    expect_no_circle("engine/src/lib.rs");
}

#[test]
fn no_circle_of_imports_in_the_runtime() {
    expect_no_circle("runtime-core/src/lib.rs");
}

#[test]
fn no_circle_of_imports_in_the_c_binding() {
    expect_no_circle("bindings/c/src/lib.rs");
}

#[test]
fn no_circle_of_imports_in_the_load() {
    expect_no_circle("load/src/lib.rs");
}

#[test]
fn no_two_types_of_a_crate_share_a_name() {
    let rooms = PROCESS_TESTS.map(|room| format!("tests/{room}/main.rs"));
    let roots = CRATES.map(str::to_owned).into_iter().chain(rooms);
    let found: Vec<String> = roots.flat_map(|root| names::shared(&read(&root))).collect();
    expect_none(&found);
}

#[test]
fn transport_and_scheduler_know_nothing_of_each_other() {
    let source = read("engine/src/lib.rs");
    expect_none(&rooms::missing(&source));
    expect_none(&rooms::breaches(&Imports::of(&source)));
}

#[test]
fn files_and_functions_are_small() {
    let mut found = Vec::new();
    let crates = ["engine/src/lib.rs", "runtime-core/src/lib.rs"].map(read);
    for room in SMALL {
        let files = crates.iter().flat_map(|source| &source.files);
        let mut files = files.filter(|file| rooms::is_of(&file.path, room)).peekable();
        assert!(files.peek().is_some(), "there is no room {room}");
        found.extend(files.flat_map(shape::complaints));
    }
    expect_none(&found);
}

#[test]
fn no_line_of_any_file_is_too_long() {
    let repository = harness::repository();
    expect_none(&lines::complaints(repository, &lines::files(repository)));
}

#[test]
fn every_file_of_a_test_room_is_compiled() {
    for room in PROCESS_TESTS {
        let folder = harness::repository().join("tests").join(room);
        let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap();
            let is_declared = main.lines().any(|line| line == format!("mod {module};"));
            assert!(module == "main" || is_declared, "{} is in no program", path.display());
        }
    }
}
