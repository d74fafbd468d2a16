//! The text of a file with the settings of the command line, and the line and column of a byte.

use std::ops::Range;
use std::path::Path;

use super::error::{ConfigError, Excerpt, FilePosition};
use super::setting::Setting;

/// The longest part of a line that an error shows, in characters, so that it fits a terminal.
const MAX_EXCERPT_CHARS: usize = 100;

/// A text with the index of its lines, and the settings that replace its values.
pub(super) struct Source<'s> {
    path: &'s Path,
    text: &'s str,
    settings: &'s [Setting],
    line_starts: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(super) fn new(path: &'s Path, text: &'s str, settings: &'s [Setting]) -> Self {
        // A byte order mark is not part of the first line: columns are counted after it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Source { path, text, settings, line_starts }
    }

    /// Returns the text without a byte order mark. Spans are positions in this text.
    pub(super) fn text(&self) -> &'s str {
        self.text
    }

    /// Returns the line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Returns the span of a setting of the command line: a position behind the text.
    pub(super) fn span_of_setting(&self, index: usize) -> Range<usize> {
        let at = self.text.len() + 1 + index;
        at..at
    }

    /// Creates an error that points at `span`.
    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> ConfigError {
        let behind = span.start.checked_sub(self.text.len() + 1);
        if let Some(setting) = behind.and_then(|index| self.settings.get(index)) {
            let place = format!("--set {}", setting.key());
            return ConfigError::of_file(Path::new(&place), message);
        }
        ConfigError::at(self.path, self.place(span), message)
    }

    fn place(&self, span: &Range<usize>) -> FilePosition {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end).max(start);
        let line = self.line(start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let rest = &self.text[line_start..];
        let content = rest.split('\n').next().unwrap_or_default();
        let content = content.strip_suffix('\r').unwrap_or(content);
        let column = self.text[line_start..start].chars().count();
        let line_end = (line_start + content.len()).clamp(start, end);
        let marked = self.text[start..line_end].chars().count();
        FilePosition { line, column: column + 1, excerpt: excerpt(content, column, marked) }
    }
}

/// Cuts out the part of a line around the marked characters, safe to print on a terminal.
fn excerpt(line: &str, column: usize, marked: usize) -> Excerpt {
    let length = line.chars().count();
    let first =
        if length <= MAX_EXCERPT_CHARS { 0 } else { column.saturating_sub(MAX_EXCERPT_CHARS / 2) };
    let cut_before = first > 0;
    let cut_after = length > first + MAX_EXCERPT_CHARS;
    let printable =
        |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };

    let mut text = String::new();
    let mut padding = String::new();
    if cut_before {
        text.push('…');
        padding.push(' ');
    }
    text.extend(line.chars().skip(first).take(MAX_EXCERPT_CHARS).map(printable));
    if cut_after {
        text.push('…');
    }
    let before = line.chars().skip(first).take(column - first);
    padding.extend(before.map(|c| if c == '\t' { '\t' } else { ' ' }));
    // A place past the end of the line (a missing quote) still gets its caret.
    padding.extend(std::iter::repeat_n(' ', column.saturating_sub(length)));
    let carets = marked.min((first + MAX_EXCERPT_CHARS).saturating_sub(column)).max(1);
    Excerpt { text, marker: padding + &"^".repeat(carets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        Source::new(Path::new("f"), text, &[]).error(&span, "m").to_string()
    }

    #[test]
    fn points_at_the_characters() {
        assert_eq!(shown("a\nbc = d\n", 7..8), "f:2:6: m\n  2 | bc = d\n    |      ^");
        assert_eq!(shown("abc", 0..3), "f:1:1: m\n  1 | abc\n    | ^^^");
    }

    #[test]
    fn counts_columns_in_characters() {
        assert_eq!(shown("\"é\" = 1", 5..6), "f:1:5: m\n  1 | \"é\" = 1\n    |     ^");
    }

    #[test]
    fn keeps_tabs_and_drops_carriage_returns() {
        assert_eq!(shown("\ta = 1\r\n", 1..7), "f:1:2: m\n  1 | \ta = 1\n    | \t^^^^^");
    }

    #[test]
    fn marks_the_first_line_of_a_longer_span() {
        assert_eq!(shown("a = [\n1]\n", 4..8), "f:1:5: m\n  1 | a = [\n    |     ^");
    }

    #[test]
    fn points_past_the_end() {
        assert_eq!(shown("a =", 3..3), "f:1:4: m\n  1 | a =\n    |    ^");
        assert_eq!(shown("a\n", 2..2), "f:2:1: m\n  2 | \n    | ^");
        assert_eq!(shown("", 900..1000), "f:1:1: m\n  1 | \n    | ^");
        // The line is just longer than the excerpt, and ends with a carriage return that is not
        // shown.
        let line = "a".repeat(MAX_EXCERPT_CHARS);
        let expected =
            format!("f:1:102: m\n  1 | {line}\n    | {}^", " ".repeat(MAX_EXCERPT_CHARS + 1));
        assert_eq!(shown(&format!("{line}\r"), 101..101), expected);
    }

    #[test]
    fn does_not_count_a_byte_order_mark() {
        assert_eq!(shown("\u{feff}ab", 0..1), "f:1:1: m\n  1 | ab\n    | ^");
    }

    #[test]
    fn hides_control_characters() {
        assert_eq!(shown("a\u{1b}[2Jb", 0..1), "f:1:1: m\n  1 | a\u{fffd}[2Jb\n    | ^");
    }

    #[test]
    fn shows_a_part_of_a_long_line() {
        let text = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let expected = format!(
            "f:1:1001: m\n  1 | …{}X{}…\n    | {}^",
            "a".repeat(50),
            "b".repeat(49),
            " ".repeat(51)
        );
        assert_eq!(shown(&text, 1000..1001), expected);
    }
}
