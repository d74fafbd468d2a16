//! Writes strings as TOML.

use super::variables::escape;

/// Writes a text as a TOML string on one line. Escapes the text, so that nothing in it is expanded
/// as a variable when the configuration is read.
pub(super) fn string(text: &str) -> String {
    quote(&escape(text))
}

/// Writes a text as a TOML string on one line. Variables in the text stay variables.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
