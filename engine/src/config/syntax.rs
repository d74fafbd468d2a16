//! Reports what the TOML parser finds wrong with a text.

use toml::de::Error;

use super::quote::quoted;
use super::read::{ConfigReport, Span};
use super::source::Source;

/// Reports the parser's errors, except those that only follow from another error.
pub(super) fn report(errors: &[Error], source: &Source<'_>, report: &mut ConfigReport<'_>) {
    let end = source.text().len();
    let span = |error: &Error| error.span().unwrap_or(end..end);
    let mut errors: Vec<_> = errors.iter().map(|error| (span(error), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    drop_misread_rest(&mut errors);
    // After the first error of a line, further errors of that line are unreliable.
    errors.dedup_by_key(|(span, _)| source.line(span.start));
    for (span, message) in errors {
        report.at(&span, reword(message, source.text().get(span.clone()).unwrap_or_default()));
    }
}

/// Rewords the parser's messages that only make sense to a reader who knows its grammar. Most
/// messages stay as they are.
fn reword(message: &str, text: &str) -> String {
    const OF_NUMBERS: &[&str] =
        &["invalid mantissa", "invalid fraction", "invalid float", "invalid integer"];
    if message == "duplicate key" {
        format!("duplicate key {}", quoted(text))
    } else if message.starts_with("string values must be quoted") {
        let cause = if text.is_empty() { "the value is missing" } else { "a string needs quotes" };
        cause.to_owned()
    } else if OF_NUMBERS.iter().any(|start| message.starts_with(start)) {
        format!("{message}; a string needs quotes")
    } else {
        message.to_owned()
    }
}

/// Removes the errors that follow from an unclosed array. The array swallows the rest of the file,
/// and each line of the rest gives errors. The place where the array went wrong and the error that
/// it is not closed are kept.
fn drop_misread_rest(errors: &mut Vec<(Span, &str)>) {
    let opens = |message: &str| {
        message.starts_with("unclosed array") || message.starts_with("unclosed inline table")
    };
    let within = |message: &str| message.contains("array") || message.contains("inline table");
    if !errors.iter().any(|(_, message)| opens(message)) {
        return;
    }
    let mut seen = false;
    errors.retain(|(_, message)| {
        let keep = opens(message) || !seen;
        seen |= within(message);
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn messages(text: &str) -> Vec<String> {
        let source = Source::new(Path::new("f"), text, &[]);
        let mut collected = ConfigReport::new(&source);
        report(&toml::de::DeTable::parse_recoverable(text).1, &source, &mut collected);
        let errors = collected.finish().unwrap_err();
        let shown = |error: &crate::config::ConfigError| {
            error.to_string().lines().next().unwrap().to_owned()
        };
        errors.errors().iter().map(shown).collect()
    }

    #[test]
    fn an_open_array_does_not_blame_the_rest_of_the_file() {
        assert_eq!(
            messages("a = [\"./foo\"\nb = '5s'\nc = true\n"),
            [
                "f:2:1: missing comma between array elements, expected `,`",
                "f:3:9: unclosed array, expected `]`"
            ]
        );
    }

    #[test]
    fn errors_before_an_open_array_stay() {
        let messages = messages("x = 5s\na = [1\nb = 2\nc = 3\n");
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert_eq!(messages[0], "f:1:5: a string needs quotes");
    }

    #[test]
    fn a_line_has_one_error() {
        assert_eq!(
            messages("a = [./foo]\nb =\n"),
            [
                "f:1:6: invalid mantissa, expected digits; a string needs quotes",
                "f:2:4: the value is missing"
            ]
        );
    }
}
