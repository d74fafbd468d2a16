//! Lines that handlers write about their calls.

use crate::protocol::CallId;
use crate::protocol::call_id::LINE_MARK;
use std::io::{self, IsTerminal, Write};

/// Writes each line of a text to standard error so that the log knows which call it is about; to a
/// terminal, with the call's id before it. All in one write, so that lines of other threads do not
/// come between.
pub(super) fn log(call: CallId, text: &[u8]) {
    let mut stderr = io::stderr().lock();
    let lines = lines(call, text, stderr.is_terminal());
    // If standard error is closed there is nobody to be told.
    let _ = stderr.write_all(&lines);
}

fn lines(call: CallId, text: &[u8], is_terminal: bool) -> Vec<u8> {
    let mark: &[u8] = if is_terminal { b"" } else { &[LINE_MARK] };
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n');
    lines.flat_map(|line| [mark, &call.digits(), b" ", line, b"\n"].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_marked() {
        let marked = b"\x1e0000000000000007 one\n\x1e0000000000000007 \n\x1e0000000000000007 two\n";
        assert_eq!(lines(CallId::new(7), b"one\n\ntwo\n", false), marked);
        assert_eq!(lines(CallId::new(7), b"one", true), b"0000000000000007 one\n");
    }
}
