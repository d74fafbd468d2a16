//! Tests that the checks find the violations that they are made for.

use crate::circles::circles;
use crate::imports::Imports;
use crate::lines::too_long;
use crate::names::shared;
use crate::rooms::breaches;
use crate::shape::complaints;
use crate::source::Source;
use std::fs;
use tempfile::TempDir;

/// Returns a crate of these files, each given as a path in `engine/src` and a text.
fn written(files: &[(&str, &str)]) -> Source {
    let base = TempDir::new().unwrap();
    for (path, text) in files {
        let path = base.path().join("engine/src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Source::read(base.path(), "engine/src/lib.rs")
}

/// Returns the last lines of the description of the only cycle: its shortest path.
#[track_caller]
fn circle(files: &[(&str, &str)]) -> String {
    let source = written(files);
    let found = circles(&Imports::of(&source));
    assert_eq!(found.len(), 1, "{found:?}");
    let (_, steps) = found[0].split_once("the shortest circle in it:\n").unwrap();
    let steps: Vec<&str> = steps.lines().map(|line| line.trim()).collect();
    steps.join("\n").replace("engine/src/", "")
}

#[track_caller]
fn no_circle(files: &[(&str, &str)]) {
    let source = written(files);
    assert_eq!(circles(&Imports::of(&source)), Vec::<String>::new());
}

#[test]
fn two_files_that_import_each_other_are_a_circle() {
    let lib = ("lib.rs", "mod a; mod b;");
    let a = ("a.rs", "use crate::b::B;\npub struct A;");
    assert_eq!(
        circle(&[
            lib,
            a,
            ("b.rs", "pub struct B;\nimpl B { fn a(&self) -> crate::a::A { loop {} } }")
        ]),
        "a.rs:1: use crate::b::B;\nb.rs:2: impl B { fn a(&self) -> crate::a::A { loop {} } }"
    );
    no_circle(&[lib, a, ("b.rs", "pub struct B;")]);
}

#[test]
fn a_child_that_takes_from_the_file_that_exports_it_is_a_circle() {
    let lib = ("lib.rs", "mod room;");
    let room = ("room/mod.rs", "mod child;\nmod sibling;\npub use child::Child;\nstruct Own;");
    let sibling = ("room/sibling.rs", "pub struct Sibling;");
    for line in ["use super::Own;", "use super::*;", "use crate::room::{Own};"] {
        let found = circle(&[lib, room, sibling, ("room/child.rs", line)]);
        assert_eq!(found, format!("room/mod.rs:3: pub use child::Child;\nroom/child.rs:1: {line}"));
    }
    no_circle(&[lib, room, sibling, ("room/child.rs", "use super::sibling::Sibling;")]);
    no_circle(&[lib, room, sibling, ("room/child.rs", "pub(super) struct Child;")]);
    no_circle(&[lib, ("room/mod.rs", "mod child;"), ("room/child.rs", "use super::*;")]);
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let lib = ("lib.rs", "mod a;\nmod b;");
    let b = ("b.rs", "use crate::a::A;\npub mod inner { pub struct B; }");
    for a in [
        "use crate::{b::inner::B};",
        "use crate::b as other;",
        "use super::b::{self};",
        "use crate::b::{inner as other};",
        "fn f() { use crate::b::inner; }",
        "fn f(b: &crate::b::inner::B) {}",
        "fn f() { vec![crate::b::inner::B] }",
        "mod deep { use super::super::b::inner::B; }",
        "pub use crate::b::*;",
        "impl From<crate::b::inner::B> for A {}",
        "#[derive(crate::b::Macro)] struct S;",
        "macro_rules! m { () => { $crate::b::inner::B } }",
    ] {
        assert!(circle(&[lib, b, ("a.rs", a)]).starts_with(&format!("a.rs:1: {a}")));
    }
    let by_name = "use super::c;\nfn f() { c::b::B }";
    let lib_with_c = ("lib.rs", "mod a;\nmod c;");
    let c = ("c/mod.rs", "pub mod b;");
    assert_eq!(
        circle(&[lib_with_c, c, ("a.rs", by_name), ("c/b.rs", "use crate::a::A;")]),
        "a.rs:2: fn f() { c::b::B }\nc/b.rs:1: use crate::a::A;"
    );
    let by_child = ("c/mod.rs", "pub mod b;\nfn f() { b::B }");
    assert_eq!(
        circle(&[("lib.rs", "mod c;"), by_child, ("c/b.rs", "use super::C;")]),
        "c/mod.rs:2: fn f() { b::B }\nc/b.rs:1: use super::C;"
    );
}

#[test]
fn code_for_tests_only_does_not_count() {
    let lib = ("lib.rs", "mod a;\nmod b;");
    let b = ("b.rs", "use crate::a::A;");
    for a in [
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[cfg(test)] use crate::b::B;",
        "#[cfg(all(test, unix))] fn f() { crate::b::B }",
        "struct A; impl A { #[cfg(test)] fn f() { crate::b::B } }",
        "#[cfg(test)] mod tests;",
        "// use crate::b::B;",
        "/// [`crate::b::B`]\nstruct A;",
    ] {
        no_circle(&[lib, b, ("a.rs", a), ("a/tests.rs", "use crate::b::B;")]);
    }
}

#[test]
fn a_transport_that_knows_its_owner_is_found() {
    let lib = ("lib.rs", "mod core;\nmod ids;\nmod scheduler;\nmod transport;");
    let empty = [("core.rs", ""), ("ids.rs", ""), ("scheduler.rs", "")];
    let found = |transport: &str| {
        let files = [&[lib, ("transport/mod.rs", transport)], &empty[..]].concat();
        breaches(&Imports::of(&written(&files)))
    };
    assert_eq!(found("use crate::ids::Key;"), Vec::<String>::new());
    for line in ["use super::{scheduler::Event};", "use crate::{core as c};"] {
        let reason = "the transport reports events and does not know who takes them";
        assert_eq!(found(line), [format!("{reason}: engine/src/transport/mod.rs:1: {line}")]);
    }
}

#[test]
fn a_scheduler_that_knows_more_than_its_parts_is_found() {
    let lib = ("lib.rs", "mod ids;\nmod engine_log;\nmod scheduler;\nmod transport;");
    let others =
        [("ids.rs", ""), ("engine_log.rs", ""), ("scheduler.rs", "mod run;"), ("transport.rs", "")];
    let found = |run: &str| {
        let files = [&[lib, ("scheduler/run.rs", run)], &others[..]].concat();
        breaches(&Imports::of(&written(&files)))
    };
    assert_eq!(found("use crate::{ids::Key, scheduler::Event};"), Vec::<String>::new());
    for line in ["use crate::transport::Channel;", "use crate::engine_log::log;"] {
        let reason = "the scheduler knows only its own parts";
        assert_eq!(found(line), [format!("{reason}: engine/src/scheduler/run.rs:1: {line}")]);
    }
}

#[test]
fn types_that_share_a_name_are_found() {
    let lib = ("lib.rs", "mod a;\nmod b;\nstruct Own;");
    let found = |b: &str| shared(&written(&[lib, ("a.rs", "pub struct Door;"), ("b.rs", b)]));
    for other in [
        "enum Door {}",
        "trait Door {}",
        "union Door { a: u8 }",
        "type Door = u8;",
        "fn f() { struct Door; }",
        "#[cfg(test)] mod tests { struct Door; }",
    ] {
        let expected = "2 types are called Door: engine/src/a.rs:1, engine/src/b.rs:1";
        assert_eq!(found(other), [expected], "{other}");
    }
    let elsewhere = ("../b.rs", "struct A;");
    let lib = ("lib.rs", "#[path = \"../b.rs\"]\nmod b;\nstruct A;");
    let expected = "2 types are called A: engine/src/lib.rs:3, engine/src/../b.rs:1";
    assert_eq!(shared(&written(&[lib, elsewhere])), [expected]);
    for other in
        ["struct Gate;", "fn Door() {}", "trait Gate { type Door; }", "use crate::a::Door;"]
    {
        assert_eq!(found(other), Vec::<String>::new(), "{other}");
    }
}

#[test]
fn too_large_files_and_functions_are_found() {
    let found = |text: &str| -> Vec<String> {
        let source = written(&[("lib.rs", text)]);
        let found = complaints(&source.files[0]);
        found.iter().map(|line| line.replace("engine/src/lib.rs", "")).collect()
    };
    let none = Vec::<String>::new();
    assert_eq!(found(&"\n".repeat(500)), none);
    assert_eq!(found(&"\n".repeat(501)), [": 501 lines without tests; at most 500"]);
    let tests = format!("{}#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(500), "\n".repeat(99));
    assert_eq!(found(&tests), none);

    let function = |first: &str, others: &str| {
        found(&format!("trait T {{\nfn f({first}, b: u8, c: u8, d: u8, e: u8{others}) {{}} }}"))
    };
    for first in ["a: u8", "&self"] {
        assert_eq!(function(first, ", f: u8"), none);
        let complaint = ":2: f has 7 parameters; at most 6";
        assert_eq!(function(first, ", f: u8, g: u8"), [complaint]);
    }

    assert_eq!(found("const A: usize = X as usize + 1 - 1;"), none);
    for expression in ["X as usize - 1", "(X as usize) - 1", "f!(X as usize\n- 1)"] {
        assert_eq!(found(&format!("const A: usize = {expression};")), [":1: `as usize - 1`"]);
    }
}

#[test]
fn a_line_that_is_too_long_is_found() {
    let none = Vec::<String>::new();
    assert_eq!(too_long("a.sh", &format!("# {}\n", "ü".repeat(98))), none);
    let long = format!("# {}\n", "ü".repeat(99));
    assert_eq!(too_long("a.sh", &format!("\n{long}")), ["a.sh:2: 101 columns; at most 100"]);

    let words = "long ".repeat(30);
    for line in [format!("| {words}|"), format!("- `{words}`;"), format!("[{words}](a.md).")] {
        assert_eq!(too_long("a.md", &line), none, "{line}");
        assert_eq!(too_long("a.c", &line).len(), 1, "{line}");
    }
    for line in [format!("`a` {words}`b`"), format!("[a](b) {words}(c)"), words.clone()] {
        assert_eq!(too_long("a.md", &line).len(), 1, "{line}");
        assert_eq!(too_long("a.md", &format!("```text\n{line}\n```")), none, "{line}");
        assert_eq!(too_long("a.md", &format!("```sh\n{line}\n```")).len(), 1, "{line}");
        assert_eq!(too_long("a.md", &format!("```text\n```\n{line}")).len(), 1, "{line}");
    }
}
