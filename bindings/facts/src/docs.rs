//! The reference of the configuration keys.

use crate::text::comment_after;
use nightcore_engine::config::reference;
use nightcore_runtime::protocol::name;
use std::io;
use std::path::Path;

pub(crate) const CONFIGURATION: &str = "docs/configuration.md";

/// The markers before and after the generated lines of the document.
const FIRST: &str = "[functions.Foo] ";
const END: &str = "```\n";
/// The column of the comments.
const COLUMN: usize = 29;

/// Returns the document with a line for each key of a function.
pub(crate) fn configuration(root: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(root.join(CONFIGURATION))?;
    let begin = text.find(FIRST);
    let place = begin.and_then(|begin| Some((begin, begin + text[begin..].find(END)?)));
    let Some((begin, end)) = place else {
        let problem = format!("{CONFIGURATION} has no block of code with {FIRST:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    };
    let mut lines = commented("[functions.Foo]", name::PATTERN);
    for (line, note) in reference() {
        lines += &commented(&line, note);
    }
    Ok([&text[..begin], &lines, &text[end..]].concat())
}

fn commented(line: &str, note: &str) -> String {
    let width = COLUMN.max(line.len() + 2);
    let comment = comment_after(&format!("{line:width$}#"), note, &format!("{:COLUMN$}#", ""));
    comment + "\n"
}
