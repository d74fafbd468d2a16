//! Lines that handlers write about their calls.

use crate::protocol::CallId;
use crate::protocol::call_id::LogKey;
use crate::protocol::control::LOG_KEY_VARIABLE;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

/// Writes the lines of a text to standard error, so that the log knows which call each line is
/// about. On a terminal, each line begins with the call's id. The text is written at once, so that
/// lines of other threads do not come between.
pub(super) fn log(call: CallId, text: &[u8]) {
    let mut stderr = io::stderr().lock();
    let key = key().filter(|_| !stderr.is_terminal());
    // If standard error is closed, the error cannot be reported to anybody.
    let _ = stderr.write_all(&lines(call, text, key));
}

/// Reads this process's key before the program can change its environment.
pub(super) fn keep_key() {
    key();
}

/// This process's key. `None` if its output goes to no log, as the process was started by hand.
fn key() -> Option<LogKey> {
    static KEY: OnceLock<Option<LogKey>> = OnceLock::new();
    *KEY.get_or_init(|| std::env::var(LOG_KEY_VARIABLE).ok()?.parse().ok())
}

fn lines(call: CallId, text: &[u8], key: Option<LogKey>) -> Vec<u8> {
    let before = key.map_or_else(|| [&call.digits()[..], b" "].concat(), |key| key.mark(call));
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n');
    lines.flat_map(|line| [&before, line, b"\n"].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_marked() {
        let marked = b"\x1e00000000000000050000000000000007 one\n\
                       \x1e00000000000000050000000000000007 \n\
                       \x1e00000000000000050000000000000007 two\n";
        let key = Some(LogKey::of_number(5));
        assert_eq!(lines(CallId::new(7), b"one\n\ntwo\n", key), marked);
        assert_eq!(lines(CallId::new(7), b"one", None), b"0000000000000007 one\n");
    }
}
