//! Tests that the committed header matches the source, and that C and C++ compilers accept it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// If it is set, the header is written instead of compared.
const WRITE_VARIABLE: &str = "NIGHTCORE_WRITE_BINDINGS";

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn include_dir() -> PathBuf {
    crate_dir().join("../../include")
}

fn generated() -> String {
    let config =
        cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new().with_crate(crate_dir()).with_config(config).generate();
    let mut text = Vec::new();
    bindings.expect("the crate can be read").write(&mut text);
    String::from_utf8(text).expect("a header is text")
}

#[test]
fn the_header_is_fresh() {
    let (path, fresh) = (include_dir().join("nightcore.h"), generated());
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        std::fs::write(&path, fresh).expect("include/ is writable");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let line = committed.lines().zip(fresh.lines()).position(|(a, b)| a != b);
    assert!(
        committed == fresh,
        "include/nightcore.h is stale from line {line:?}: run `make bindings`"
    );
}

/// Returns the `nc_*` functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header =
        std::fs::read_to_string(include_dir().join("nightcore.h")).expect("the header is there");
    let mut names = BTreeSet::new();
    for line in header.lines() {
        // A declaration is not indented. Its name stands before the first parenthesis, unless the
        // line begins with the macro that marks an old name.
        let line = match line.strip_prefix("NC_DEPRECATED(") {
            Some(mark) => mark.split_once("\")").expect("a mark ends").1.trim_start(),
            None => line,
        };
        if line.starts_with([' ', '#', '}', '/']) || line.starts_with("typedef") {
            continue;
        }
        let before = line.split_once('(').map(|(before, _)| before);
        let name = before.and_then(|before| before.rsplit([' ', '*']).next());
        names.extend(name.filter(|name| name.starts_with("nc_")).map(str::to_owned));
    }
    names
}

#[test]
fn exported_symbols_are_the_declared_functions() {
    let library = library::build();
    let nm =
        Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().expect("nm runs");
    assert!(nm.status.success(), "{nm:?}");
    let exported: BTreeSet<String> = String::from_utf8_lossy(&nm.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect();
    assert!(!exported.is_empty());
    assert_eq!(exported, declared());
}

#[path = "library/mod.rs"]
mod library;

/// Compiles a source that begins by including the header `times` times.
fn compiles(header: &str, cpp: bool, times: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let source = dir.path().join(if cpp { "alone.cpp" } else { "alone.c" });
    let include = format!("#include <{header}>\n");
    let usage = "int alone(void);\n\
                 int alone(void) { nc_bytes text = NC_LITERAL(\"text\"); return (int)text.len; }\n";
    std::fs::write(&source, include.repeat(times) + usage).expect("written");
    let mut command = library::compiler(cpp);
    command.args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-c"]);
    command.arg("-I").arg(include_dir()).arg(&source).arg("-o").arg(dir.path().join("alone.o"));
    let output = command.output().expect("the compiler runs");
    assert!(output.status.success(), "{header}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_c_header_compiles_alone_and_twice_as_c_and_as_cpp() {
    for times in [1, 2] {
        compiles("nightcore.h", false, times);
        compiles("nightcore.h", true, times);
    }
}

#[test]
fn the_cpp_header_compiles_alone_and_twice() {
    for times in [1, 2] {
        compiles("nightcore.hpp", true, times);
        compiles("nightcore_testing.hpp", true, times);
    }
}
