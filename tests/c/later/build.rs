//! Makes the sources of a later version of libnightcore from the present ones, and writes them to
//! `src/` in cargo's output folder. The build fails if an edit does not find its place.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The field that the later version adds to each struct.
const FIELD: &str = "pub later: u64,";
/// Returns the code by which the later library reports the value of the field in a struct that it
/// reads, so that tests see the value.
fn used(name: &str) -> String {
    format!(
        "if {name}.later != 0 {{ return Err(invalid(format!(\"later is {{}}\", {name}.later))); }}"
    )
}

/// The value of the field in structs that the later library writes.
const RESULT: &str = "later: 0x6c61_7465_7221, ";

fn main() {
    let today = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../bindings/c");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", today.join("src").display());
    // The soname is that of the present library, so that existing programs load the later one.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnightcore.so.0");

    let mut sources = Vec::new();
    for entry in fs::read_dir(today.join("src")).expect("the sources are there") {
        let path = entry.expect("a folder can be read").path();
        let name = path.file_name().expect("a file has a name").to_owned();
        let mut text = with_fields(&fs::read_to_string(&path).expect("a source is text"));
        if name == "lib.rs" {
            text = without_inner_attributes(&text);
        }
        // The sources' unit tests already run in `bindings/c`.
        sources.push((name, text.replace("#[cfg(test)]", "#[cfg(any())]")));
    }
    for name in ["options", "request"] {
        insert(&mut sources, &format!("if {name}.flags != 0 {{"), &used(name));
    }
    insert(&mut sources, "..extensible::zeroed()", RESULT);

    let src = out.join("src");
    let _ = fs::remove_dir_all(&src);
    fs::create_dir_all(&src).expect("the output folder is writable");
    for (name, text) in sources {
        fs::write(src.join(name), text).expect("the output folder is writable");
    }
}

/// Adds the field to each struct that begins with `struct_size`, and to the list of its versions.
fn with_fields(source: &str) -> String {
    let mut text = source.to_owned();
    for head in source.match_indices("pub struct_size: usize,").map(|(at, _)| &source[..at]) {
        let (_, name) = head.rsplit_once("pub struct ").expect("a field belongs to a struct");
        let name = name.split_whitespace().next().expect("a struct has a name");
        append(&mut text, &format!("pub struct {name} {{\n"), "\n}\n", FIELD);
        let version = format!("size_of::<{name}>() => later;");
        append(&mut text, &format!("extensible!({name} {{\n"), "\n});\n", &version);
    }
    text
}

/// Adds a line before the first `end` after `begin`.
fn append(text: &mut String, begin: &str, end: &str, line: &str) {
    assert_eq!(text.matches(begin).count(), 1, "a struct with a size needs one {begin:?}");
    let (before, _) = text.split_once(begin).expect("it was counted");
    let at = before.len() + begin.len();
    let length = text[at..].find(end).unwrap_or_else(|| panic!("{begin:?} does not end"));
    text.insert_str(at + length, &format!("\n    {line}"));
}

/// Adds code before the only `place` for it in all sources.
fn insert(sources: &mut [(OsString, String)], place: &str, code: &str) {
    let places = sources.iter().map(|(_, text)| text.matches(place).count()).sum::<usize>();
    assert_eq!(places, 1, "the edit's place is gone, or there are more: {place:?}");
    for (_, text) in sources {
        if let Some(at) = text.find(place) {
            text.insert_str(at, code);
        }
    }
}

/// Removes a crate's inner attributes and documentation, so that its root can be included as a
/// file. Only the including crate can have these attributes.
fn without_inner_attributes(text: &str) -> String {
    let inner = |line: &&str| line.starts_with("//!") || line.starts_with("#![");
    text.lines().filter(|line| !inner(line)).map(|line| format!("{line}\n")).collect()
}
