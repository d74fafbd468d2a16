//! Values that a command line gives in place of those of the file: `--set gateway.listen=VALUE`.

use super::read::{Report, Span};
use super::source::Source;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value that is given in place of that of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key as it was given, such as `gateway.listen`.
    key: String,
    /// Its parts.
    path: Vec<String>,
    value: String,
}

impl Setting {
    /// The key as it was given. The value could be a secret.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Reads `KEY=VALUE`.
impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let example = "write, for example, gateway.listen=127.0.0.1:8080";
        let (key, value) = text.split_once('=').ok_or_else(|| format!("no value; {example}"))?;
        let key = key.trim();
        let document = format!("{key} = 0");
        let parsed = DeTable::parse(&document).ok().filter(|_| !key.contains(['\n', '[', '{']));
        let mut path = Vec::new();
        let mut table = parsed.as_ref().map(Spanned::get_ref);
        while let Some((part, value)) = table.and_then(|table| table.iter().next()) {
            path.push(part.get_ref().to_string());
            table = value.get_ref().as_table();
        }
        if path.is_empty() {
            return Err(format!("{key:?} is no key; {example}"));
        }
        Ok(Setting { key: key.to_owned(), path, value: value.to_owned() })
    }
}

/// Puts the settings into the tables of the file, in their order.
pub(super) fn apply<'t>(
    settings: &'t [Setting],
    root: &mut DeTable<'t>,
    source: &Source<'_>,
    report: &mut Report<'_>,
) {
    for (index, setting) in settings.iter().enumerate() {
        let span = source.span_of_setting(index);
        match parse(&setting.value, &span, report) {
            Ok(value) => put(&setting.path, value, root, &span, report),
            Err(problem) => report.at(&span, problem),
        }
    }
}

/// An array, a table or a quoted string is TOML. All else is plain text, which has no type.
fn parse<'t>(text: &'t str, span: &Span, report: &mut Report<'_>) -> Result<DeValue<'t>, String> {
    if !text.starts_with(['[', '{', '"', '\'']) {
        report.set(span);
        return Ok(DeValue::String(text.into()));
    }
    let mut value = DeValue::parse(text).map_err(|error| error.message().to_owned())?.into_inner();
    place(&mut value, span);
    Ok(value)
}

/// Has all parts of a value stand where the setting does.
fn place(value: &mut DeValue<'_>, span: &Span) {
    let place_one = |value: &mut Spanned<DeValue<'_>>| {
        place(value.get_mut(), span);
        let inner = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
        *value = Spanned::new(span.clone(), inner);
    };
    match value {
        DeValue::Array(values) => values.iter_mut().for_each(place_one),
        DeValue::Table(table) => {
            let entries: Vec<_> = std::mem::take(table).into_iter().collect();
            for (key, mut value) in entries {
                place_one(&mut value);
                table.insert(Spanned::new(span.clone(), key.into_inner()), value);
            }
        }
        _ => {}
    }
}

fn put<'t>(
    path: &'t [String],
    value: DeValue<'t>,
    table: &mut DeTable<'t>,
    span: &Span,
    report: &mut Report<'_>,
) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        let value = Spanned::new(span.clone(), value);
        match table.get_mut(first.as_str()) {
            Some(old) => *old = value,
            None => {
                table.insert(Spanned::new(span.clone(), first.as_str().into()), value);
            }
        }
        return;
    }
    if !table.contains_key(first.as_str()) {
        let new = Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
        table.insert(Spanned::new(span.clone(), first.as_str().into()), new);
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(below)) => put(rest, value, below, span, report),
        _ => report.at(span, format!("{first} is not a table in the file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_key_and_a_value() {
        let path = |text: &str| text.parse::<Setting>().unwrap().path;
        assert_eq!(path("gateway.listen=a=b"), ["gateway", "listen"]);
        assert_eq!(path("functions.Foo.env.\"A.B\"="), ["functions", "Foo", "env", "A.B"]);
        assert_eq!("a.b=c=d".parse::<Setting>().unwrap().value, "c=d");
        for text in ["gateway.listen", "=1", "a..b=1", "a b=1", "[a]\nb=1", "a\nb=1", "a={b=1"] {
            let problem = text.parse::<Setting>();
            // The last of them is a key with a strange value.
            assert_eq!(problem.is_err(), text != "a={b=1", "{text}: {problem:?}");
        }
    }
}
