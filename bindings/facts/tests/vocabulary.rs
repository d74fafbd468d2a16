//! Tests that docs/api.md names each public type and function of a language, and no name that is
//! missing in its sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

type Names = BTreeSet<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the names in one column of the table.
fn column(title: &str) -> Names {
    let text = read("docs/api.md");
    let mut rows = text.lines().filter(|line| line.starts_with('|'));
    let header = rows.next().expect("a table");
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let index = cells(header).iter().position(|cell| cell == title).expect("the column");
    let mut names = Names::new();
    for row in rows.skip(1) {
        names.extend(cells(row)[index].split('`').skip(1).step_by(2).map(str::to_owned));
    }
    assert!(names.len() > 20, "{title}: {names:?}");
    names
}

fn words(text: &str) -> Names {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !is_word(c)).map(str::to_owned).collect()
}

/// Removes comments, which begin and end with the given markers, from a text.
fn without(text: &str, begin: &str, end: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, comment)) = rest.split_once(begin) {
        kept += before;
        // The line break stays, because it also ends the code before the comment.
        rest = comment.find(end).map_or("", |at| &comment[at..]);
        rest = if end == "\n" { rest } else { rest.strip_prefix(end).unwrap_or(rest) };
    }
    kept + rest
}

/// Removes comments, and docstrings in Python, from sources.
fn code(title: &str, sources: &str) -> String {
    match title {
        "Python" => without(&without(sources, "\"\"\"", "\"\"\""), "#", "\n"),
        _ => without(&without(sources, "/*", "*/"), "//", "\n"),
    }
}

#[test]
fn comments_are_no_code() {
    let c = code("C", "int a; // b\n/* c\n * d */ e /// f");
    assert_eq!(c, "int a; \n e ");
    let python = code("Python", "a  # b\n\"\"\"c\nd\"\"\"\ne");
    assert_eq!(python, "a  \n\ne");
}

/// Returns the word that follows one of these beginnings of a line, for each line that has one.
fn declared(text: &str, beginnings: &[&str]) -> Names {
    let name = |line: &str| {
        let rest = beginnings.iter().find_map(|beginning| line.strip_prefix(beginning))?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some(name)
    };
    text.lines().filter_map(name).collect()
}

/// Compares a column with the text of the sources and with their public names.
#[track_caller]
fn check(title: &str, sources: &str, public: &Names) {
    let told = column(title);
    let missing: Vec<_> = public.difference(&told).collect();
    assert!(missing.is_empty(), "docs/api.md leaves out of {title}: {missing:?}");
    let words = words(&code(title, sources));
    let made_up: Vec<_> = told.difference(&words).collect();
    assert!(made_up.is_empty(), "docs/api.md has of {title}, which has no such names: {made_up:?}");
}

#[test]
fn of_c() {
    let header = read("include/nightcore.h");
    let mut public: Names = words(&header).into_iter().filter(|w| w.starts_with("nc_")).collect();
    public.extend(declared(&header, &["#define NC_"]).iter().map(|name| format!("NC_{name}")));
    check("C", &header, &public);
}

#[test]
fn of_cpp() {
    let header = read("include/nightcore.hpp") + &read("include/nightcore_testing.hpp");
    let mut public = Names::new();
    let mut is_detail = false;
    for line in header.lines() {
        match line {
            "namespace detail {" => is_detail = true,
            "} // namespace detail" => is_detail = false,
            _ if is_detail => {}
            _ => public.extend(declared(line, &["class ", "struct ", "using "])),
        }
    }
    check("C++", &header, &public);
}

#[test]
fn of_go() {
    let (mut sources, mut public) = (String::new(), Names::new());
    for folder in ["languages/go", "languages/go/nightcoretest"] {
        for entry in fs::read_dir(root().join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy();
            if !name.ends_with(".go") || name.ends_with("_test.go") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            public.extend(declared(&text, &["func ", "type "]));
            sources += &text;
        }
    }
    public.retain(|name| name.starts_with(char::is_uppercase));
    check("Go", &sources, &public);
}

#[test]
fn of_python() {
    let package = read("languages/python/src/nightcore/__init__.py");
    let (_, all) = package.split_once("__all__ = [").expect("__all__");
    let (all, _) = all.split_once(']').expect("its end");
    let public = all.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let mut sources = package.clone();
    for entry in fs::read_dir(root().join("languages/python/src/nightcore")).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "py") {
            sources += &fs::read_to_string(path).expect("text");
        }
    }
    check("Python", &sources, &public);
}

#[test]
fn of_node() {
    let types = read("languages/node/lib/index.d.ts") + &read("languages/node/lib/testing.d.ts");
    let exports = ["export type ", "export class ", "export interface ", "export function "];
    check("Node", &types, &declared(&types, &exports));
}

#[test]
fn of_rust() {
    let library = read("languages/rust/src/lib.rs");
    let mut public = Names::new();
    for line in library.lines() {
        let Some(path) = line.strip_prefix("pub use ") else { continue };
        let (_, names) = path.trim_end_matches(';').rsplit_once("::").expect("a path");
        let names = names.trim_matches(['{', '}']).split(", ");
        public.extend(names.map(str::to_owned));
    }
    let mut sources = library.clone();
    for folder in ["languages/rust/src", "languages/rust/src/asynchronous"] {
        for entry in fs::read_dir(root().join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                sources += &fs::read_to_string(path).expect("text");
            }
        }
    }
    check("Rust", &sources, &public);
}
