//! Expands `${NAME}` and `${NAME:-default}` in the strings of a configuration.
//!
//! Keys are not expanded. A dollar sign without a brace behind it is kept: passwords, patterns and
//! templates contain many. `$${` stands for `${`.

use super::expansion::Expansion;
use super::quote::quoted;
use super::read::{ConfigReport, ReadValue};
use std::borrow::Cow;
use std::ffi::OsString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Returns the value of a variable; `None` if it is not set.
pub(super) type Lookup<'l> = &'l dyn Fn(&str) -> Option<OsString>;

/// Replaces the variables in all strings of a table.
pub(super) fn expand_all(
    table: &mut DeTable<'_>,
    lookup: Lookup<'_>,
    report: &mut ConfigReport<'_>,
) {
    for value in table.iter_mut().map(|(_, value)| value) {
        expand_value(value, lookup, report);
    }
}

fn expand_value(
    value: &mut Spanned<DeValue<'_>>,
    lookup: Lookup<'_>,
    report: &mut ConfigReport<'_>,
) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) => match expand(text, lookup) {
            Ok(None) => {}
            Ok(Some(expansion)) => {
                *text = Cow::Owned(expansion.value.clone());
                report.expanded(&span, expansion);
            }
            Err(problem) => report.at(&span, problem),
        },
        DeValue::Array(values) => {
            values.iter_mut().for_each(|value| expand_value(value, lookup, report));
        }
        DeValue::Table(table) => expand_all(table, lookup, report),
        _ => {}
    }
}

/// Returns the text with the values of its variables; `None` if it has none.
///
/// # Errors
///
/// Returns a message that names the variable if it is malformed, or if it is not set and has no
/// default.
fn expand(text: &str, lookup: Lookup<'_>) -> Result<Option<Expansion>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let (mut expanded, mut variables) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &from[2..];
            continue;
        }
        expanded.push_str(before);
        let Some((reference, after)) = from[2..].split_once('}') else {
            return Err(format!("{} has no closing brace; {LITERAL}", quoted(from)));
        };
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(format!(
                "{} is not the name of a variable; \
                 write ${{NAME}} or ${{NAME:-default}}; {LITERAL}",
                quoted(name)
            ));
        }
        match (lookup(name), default) {
            // As in a shell, the default also replaces an empty variable.
            (Some(value), Some(default)) if value.is_empty() => expanded.push_str(default),
            (None, Some(default)) => expanded.push_str(default),
            (Some(value), _) => match value.to_str() {
                Some(value) => {
                    expanded.push_str(value);
                    variables.push((format!("${{{reference}}}"), value.to_owned()));
                }
                None => return Err(format!("the environment variable {name} is not UTF-8")),
            },
            (None, None) => {
                return Err(format!(
                    "the environment variable {name} is not set; set it, or give a default: \
                     ${{{name}:-default}}; {LITERAL}"
                ));
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Some(Expansion { written: text.to_owned(), value: expanded, variables }))
}

const LITERAL: &str = "for the characters \"${\" themselves write \"$${\"";

fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Returns the string of a value as the file writes it: with the names of its variables, because
/// their values could be secrets.
pub(super) fn written(value: &ReadValue<'_>, text: &str, report: &ConfigReport<'_>) -> String {
    value.written(report).map_or_else(|| escape(text).into_owned(), str::to_owned)
}

/// Escapes the text so that no variable in it is expanded.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains("${") { text.replace("${", "$${").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    fn lookup(name: &str) -> Option<OsString> {
        match name {
            "PORT" => Some("8080".into()),
            "EMPTY" => Some("".into()),
            "NESTED" => Some("${PORT}".into()),
            "BINARY" => Some(OsString::from_vec(vec![0xff])),
            _ => None,
        }
    }

    #[test]
    fn variables_have_their_values_or_defaults() {
        let cases = [
            ("no variable: $5 $PORT {}", None),
            ("127.0.0.1:${PORT}", Some("127.0.0.1:8080")),
            ("${PORT}${PORT}", Some("80808080")),
            ("${UNSET:-5s}", Some("5s")),
            ("${UNSET:-}", Some("")),
            ("${PORT:-1}", Some("8080")),
            ("${EMPTY}", Some("")),
            ("${EMPTY:-x}", Some("x")),
            ("${UNSET:-a:-b}", Some("a:-b")),
            // The value of a variable is not expanded again.
            ("${NESTED}", Some("${PORT}")),
            ("$${PORT}", Some("${PORT}")),
            ("a$$${PORT}", Some("a$${PORT}")),
            ("é${PORT}é", Some("é8080é")),
        ];
        for (text, expected) in cases {
            let expanded = expand(text, &lookup).unwrap().map(|expansion| expansion.value);
            assert_eq!(expanded.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_name_the_variable() {
        for (text, start) in [
            ("${UNSET}", "the environment variable UNSET is not set; set it, or give a default"),
            ("a${PORT", "\"${PORT\" has no closing brace"),
            ("${}", "\"\" is not the name of a variable"),
            ("${A B}", "\"A B\" is not the name of a variable"),
            ("${1}", "\"1\" is not the name of a variable"),
            ("${BINARY}", "the environment variable BINARY is not UTF-8"),
            ("${UNSET-x}", "\"UNSET-x\" is not the name of a variable"),
        ] {
            let problem = expand(text, &lookup).unwrap_err();
            assert!(problem.starts_with(start), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn an_escaped_text_comes_back(text in r"[a$\{\}:-]{0,12}") {
            let expanded = expand(&escape(&text), &lookup).unwrap();
            let expanded = expanded.map(|expansion| expansion.value);
            prop_assert_eq!(expanded.unwrap_or(escape(&text).into_owned()), text);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let _ = expand(&text, &lookup);
        }
    }
}
