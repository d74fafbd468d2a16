//! Prepares words of a configuration file for messages: safe to print, and of bounded length.

/// The longest part of a word that a message repeats, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// Quotes a word of the file for a message.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Writes the header of a table in the syntax of the file.
pub(super) fn header(keys: &[&str]) -> String {
    let is_bare = |key: &str| {
        !key.is_empty()
            && key.len() <= MAX_QUOTED_CHARS
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    let keys: Vec<_> =
        keys.iter().map(|key| if is_bare(key) { (*key).to_owned() } else { quoted(key) }).collect();
    format!("[{}]", keys.join("."))
}

/// Prepares a word of the file for a message, without quotes.
pub(super) fn printable(text: &str) -> String {
    let shown: String = text.chars().take(MAX_QUOTED_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_cut() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert_eq!(quoted("\u{1b}"), r#""\u{1b}""#);
        assert_eq!(quoted(&"é".repeat(100)), format!("\"{}\"…", "é".repeat(80)));
    }

    #[test]
    fn headers_are_written_as_toml() {
        assert_eq!(header(&["functions", "Foo"]), "[functions.Foo]");
        assert_eq!(header(&["functions", "a b"]), r#"[functions."a b"]"#);
    }
}
