//! Formats lines in columns: time, name, call, text.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

/// The name that is shown before the engine's own lines.
pub(super) const OWN_NAME: &str = "nightcore";
/// The width of the longest column of names. A longer name shifts the rest of its line: a wider
/// column would leave too little room for the text.
const MAX_NAME_WIDTH: usize = 24;
/// The width of a call's id.
const CALL_WIDTH: usize = 16;
/// The colours of names, which can be read on light and on dark backgrounds: green, yellow, blue,
/// magenta, cyan.
const NAME_COLOURS: [&str; 5] = ["32", "33", "34", "35", "36"];
/// The style of the engine's own name: bold.
const OWN_COLOUR: &str = "1";
/// The style of columns that are seldom read: faint.
const FAINT: &str = "2";

static COLUMNS: OnceLock<Columns> = OnceLock::new();

/// The columns of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    name_width: usize,
    is_coloured: bool,
}

/// Shows the lines of this process in these columns from now on.
pub fn use_columns(columns: Columns) {
    // The first call decides.
    let _ = COLUMNS.set(columns);
}

/// Returns the columns of this process's lines; `None` if they have none.
pub fn columns() -> Option<&'static Columns> {
    COLUMNS.get()
}

impl Columns {
    /// Creates columns for names of up to `longest` bytes. They are coloured if standard error is a
    /// terminal and `NO_COLOR` is not set.
    pub fn new(longest: usize) -> Columns {
        let no_color = std::env::var_os("NO_COLOR");
        Columns {
            name_width: longest.clamp(OWN_NAME.len(), MAX_NAME_WIDTH),
            is_coloured: is_coloured(io::stderr().is_terminal(), no_color.as_deref()),
        }
    }

    /// Returns the width of the column of names.
    pub fn name_width(&self) -> usize {
        self.name_width
    }

    /// Formats a line.
    pub(super) fn line(&self, time: &str, name: &str, call: Option<&[u8]>, text: &[u8]) -> Vec<u8> {
        let call = call.map_or(String::new(), |call| String::from_utf8_lossy(call).into_owned());
        let (name, call) = (format!("{name:0$}", self.name_width), format!("{call:CALL_WIDTH$}"));
        let painted = [(FAINT, time), (colour(name.trim_end()), &name), (FAINT, &call)];
        let mut line = Vec::with_capacity(text.len() + 80);
        for (colour, part) in painted {
            let part = if self.is_coloured {
                format!("\x1b[{colour}m{part}\x1b[0m  ")
            } else {
                format!("{part}  ")
            };
            line.extend_from_slice(part.as_bytes());
        }
        line.extend_from_slice(text);
        // Colours that the text sets end with it.
        line.extend_from_slice(if self.is_coloured { b"\x1b[0m\n" } else { b"\n" });
        line
    }
}

/// Whether lines are coloured. As <https://no-color.org> requires, any value of `NO_COLOR` but the
/// empty one turns colours off.
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Returns the colour of a name, which is always the same, in the engine and in its launcher.
fn colour(name: &str) -> &'static str {
    if name == OWN_NAME {
        return OWN_COLOUR;
    }
    let sum: usize = name.bytes().map(usize::from).sum();
    NAME_COLOURS[sum % NAME_COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(columns: Columns, name: &str, call: Option<&[u8]>) -> String {
        String::from_utf8(columns.line("01:02:03.456", name, call, b"text")).unwrap()
    }

    #[test]
    fn a_line_has_its_parts_below_those_of_others() {
        let columns = Columns { name_width: 10, is_coloured: false };
        let id = Some(&b"0000002a00000000"[..]);
        assert_eq!(line(columns, "Foo", id), "01:02:03.456  Foo         0000002a00000000  text\n");
        assert_eq!(
            line(columns, OWN_NAME, None),
            "01:02:03.456  nightcore                     text\n"
        );
        let long = line(columns, "ALongerName", id);
        assert_eq!(long, "01:02:03.456  ALongerName  0000002a00000000  text\n");
    }

    #[test]
    fn each_name_has_its_colour() {
        let columns = Columns { name_width: 10, is_coloured: true };
        let (a, b) = (line(columns, "A", None), line(columns, "B", None));
        assert_eq!(
            a,
            "\x1b[2m01:02:03.456\x1b[0m  \x1b[32mA         \x1b[0m  \
             \x1b[2m                \x1b[0m  text\x1b[0m\n"
        );
        assert!(b.contains("\x1b[33mB "), "{b:?}");
    }

    #[test]
    fn colours_are_for_terminals_of_those_who_want_them() {
        let set = |value| Some(OsStr::new(value));
        assert!(is_coloured(true, None) && is_coloured(true, set("")));
        assert!(!is_coloured(false, None) && !is_coloured(true, set("1")));
    }

    #[test]
    fn a_column_is_as_wide_as_names_need_within_reason() {
        assert_eq!(Columns::new(3).name_width(), OWN_NAME.len());
        assert_eq!(Columns::new(12).name_width(), 12);
        assert_eq!(Columns::new(63).name_width(), MAX_NAME_WIDTH);
    }
}
