//! Checks the length of lines in every file of the repository.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The maximum number of characters in a line.
const MAX_COLUMNS: usize = 100;

/// The files whose lines may be longer, each as the end of a path, or as a folder that ends with a
/// slash.
const EXEMPT: [&str; 6] = [
    // Package managers write these.
    ".lock",
    "/go.sum",
    "/package-lock.json",
    // proptest writes a failed case as one line.
    "/proptest-regressions/",
    // A seed consists of any bytes.
    "tests/fuzz/seeds/",
    // A vector has all bytes of a message on one line.
    "tests/vectors/",
];

/// Returns the paths of all files that are in the repository or would be added by the next commit.
pub fn files(repository: &Path) -> Vec<String> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(repository).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).unwrap();
    paths.split_terminator('\0').map(str::to_owned).collect()
}

/// Describes the lines of these files that are too long, and the exemptions that no file needs.
pub fn complaints(repository: &Path, files: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !EXEMPT.iter().any(|place| is_of(file, place))) {
        // A file may be removed and still be in the index.
        let bytes = fs::read(repository.join(file)).unwrap_or_default();
        if let Ok(text) = String::from_utf8(bytes) {
            found.extend(too_long(file, &text));
        }
    }
    for place in EXEMPT {
        if !files.iter().any(|file| is_of(file, place)) {
            found.push(format!("tests/architecture/lines.rs exempts {place}, which no file is"));
        }
    }
    found
}

fn is_of(file: &str, place: &str) -> bool {
    if place.ends_with('/') { file.contains(place) } else { file.ends_with(place) }
}

/// Describes the lines of a file that are too long.
pub fn too_long(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_markdown = file.ends_with(".md");
    // The language after the opening fence, while the line is in a block of code.
    let mut block = None;
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(word) } else { None };
        }
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !(is_markdown && cannot_break(line, block)) {
            let number = number + 1;
            found.push(format!("{file}:{number}: {columns} columns; at most {MAX_COLUMNS}"));
        }
    }
    found
}

/// Returns whether a line of Markdown has no place to break. A block of `text` shows the output of
/// a program, so its lines cannot be broken either.
fn cannot_break(line: &str, block: Option<&str>) -> bool {
    if let Some(word) = block {
        return word == "text";
    }
    let piece = line.trim_start_matches(['-', '>', ' ']).trim_end_matches(['.', ',', ':', ';']);
    let is_row = piece.starts_with('|');
    let is_link = piece.starts_with('[') && piece.find(')') == Some(piece.len() - 1);
    let is_code = piece.starts_with('`') && piece[1..].find('`') == Some(piece.len() - 2);
    is_row || is_link || is_code
}
