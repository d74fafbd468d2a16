//! Prepares text from outside for a terminal: shows the characters that would control the terminal.
//!
//! Control characters are shown as in `cat -v` and Git (`^[`, `^M`), and others as in `less`
//! (`<U+202E>`, `<9B>`). Tabs are kept, and so are colours (SGR sequences), as in Git: they cannot
//! move the cursor, and they end with the text.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

/// The longest SGR sequence that is kept: longer ones are not colours.
const MAX_SGR_BYTES: usize = 64;
const ESCAPE: u8 = 0x1b;
/// The sequence that ends all colours.
const PLAIN: &[u8] = b"\x1b[0m";

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    static IS_TERMINAL: OnceLock<bool> = OnceLock::new();
    *IS_TERMINAL.get_or_init(|| io::stderr().is_terminal())
}

/// Makes a text harmless for a terminal. The line ends of Unix and DOS are kept.
pub fn visible(text: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n');
    if text.iter().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = Vec::with_capacity(text.len() + 32);
    let mut is_coloured = false;
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut rest = valid;
        while let Some(c) = rest.chars().next() {
            if let Some(len) = sgr_len(rest.as_bytes()) {
                shown.extend_from_slice(&rest.as_bytes()[..len]);
                is_coloured = true;
                rest = &rest[len..];
                continue;
            }
            let after = &rest[c.len_utf8()..];
            if c == '\r' && after.starts_with('\n') {
                shown.push(b'\r');
            } else {
                push(c, &mut shown);
            }
            rest = after;
        }
        for byte in chunk.invalid() {
            shown.extend_from_slice(format!("<{byte:02X}>").as_bytes());
        }
    }
    if is_coloured {
        // It goes before the last line end, so that it does not begin a line of its own.
        let end = shown.ends_with(b"\n");
        shown.truncate(shown.len() - usize::from(end));
        shown.extend_from_slice(PLAIN);
        shown.extend(end.then_some(b'\n'));
    }
    Cow::Owned(shown)
}

/// Makes a string harmless for a terminal, as [`visible`] does.
pub fn visible_text(text: &str) -> String {
    String::from_utf8_lossy(&visible(text.as_bytes())).into_owned()
}

/// Indents all lines but the first, so that none looks like a line from another source.
pub fn indented(text: &str) -> Cow<'_, str> {
    match text.contains('\n') {
        true => Cow::Owned(text.replace('\n', "\n  ")),
        false => Cow::Borrowed(text),
    }
}

/// Escapes the characters that would control a terminal and that `serde_json` leaves in a JSON
/// text. They only occur in strings, where an escape has the same meaning.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let commands = |c: char| c == '\x7f' || is_command(c);
    if !json.contains(commands) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        match commands(c) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character beyond ASCII controls a terminal: a control character, or one that changes
/// the direction of text.
fn is_command(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push(c: char, shown: &mut Vec<u8>) {
    match c {
        '\t' | '\n' => shown.push(c as u8),
        '\0'..='\x1f' | '\x7f' => shown.extend([b'^', c as u8 ^ 0x40]),
        c if is_command(c) => {
            shown.extend_from_slice(format!("<U+{:04X}>", u32::from(c)).as_bytes());
        }
        c => shown.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Returns the length of the SGR sequence at the beginning of a text.
fn sgr_len(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(&[ESCAPE, b'['])?;
    let is_parameter = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    let len = parameters.iter().take_while(|byte| is_parameter(byte)).count();
    (parameters.get(len) == Some(&b'm') && len < MAX_SGR_BYTES).then_some(len + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8]) -> String {
        String::from_utf8(visible(text).into_owned()).unwrap()
    }

    #[test]
    fn terminal_commands_are_made_visible() {
        for (text, expected) in [
            (&b"plain\ttext\n"[..], "plain\ttext\n"),
            ("grüß 漢字 🎉".as_bytes(), "grüß 漢字 🎉"),
            (b"\rGood | forged\x1b[2K", "^MGood | forged^[[2K"),
            (b"a\r\nb\r\n", "a\r\nb\r\n"),
            (b"\0\x07\x08\x7f", "^@^G^H^?"),
            (b"\x1b]0;title\x07", "^[]0;title^G"),
            (b"\x9b2K \xff", "<9B>2K <FF>"),
            ("\u{9b}2K \u{202e}abc\u{2066}".as_bytes(), "<U+009B>2K <U+202E>abc<U+2066>"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn colours_stay_and_end_with_the_text() {
        assert_eq!(shown(b"\x1b[1;31mred\n"), "\x1b[1;31mred\x1b[0m\n");
        assert_eq!(shown(b"\x1b[mred"), "\x1b[mred\x1b[0m");
        for command in ["\x1b[31", "\x1b[?25l", "\x1b[2J", "\x1b[1 m"] {
            assert_eq!(shown(command.as_bytes()), command.replace('\x1b', "^["));
        }
        let long = format!("\x1b[{}m", "1;".repeat(MAX_SGR_BYTES));
        assert!(shown(long.as_bytes()).starts_with("^["));
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"line": "a\u{1b}\u{7f}\u{9b}\u{202e}\n"});
        let json = value.to_string();
        let escaped = visible_json(&json);
        assert!(escaped.contains("\\u007f\\u009b\\u202e"), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_colours_comes_through(text: Vec<u8>) {
            let shown = shown(&text);
            let left = shown.replace("\r\n", "\n");
            let parts = left.split('\x1b');
            for part in parts.skip(1) {
                let end = part.find('m').unwrap();
                assert!(part[..end].bytes().all(|b| b"[0123456789;:".contains(&b)), "{shown:?}");
            }
            let forbidden = |c: char| c != '\x1b' && c != '\n' && c != '\t' && c.is_control();
            assert!(!left.contains(forbidden), "{shown:?}");
        }
    }
}
