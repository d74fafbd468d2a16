//! Applies the values of `--set KEY=VALUE`, which replace those of the file.

use super::read::{ConfigReport, Span};
use super::setting::Setting;
use super::source::Source;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Puts the settings into the tables of the file, in their order.
pub(super) fn apply<'t>(
    settings: &'t [Setting],
    root: &mut DeTable<'t>,
    source: &Source<'_>,
    report: &mut ConfigReport<'_>,
) {
    for (index, setting) in settings.iter().enumerate() {
        let span = source.span_of_setting(index);
        match parse(&setting.value, &span, report) {
            Ok(value) => put(&setting.path, value, root, &span, report),
            Err(problem) => report.at(&span, problem),
        }
    }
}

/// Parses a value. An array, a table or a quoted string is TOML. Any other text is a plain string,
/// which has no type.
fn parse<'t>(
    text: &'t str,
    span: &Span,
    report: &mut ConfigReport<'_>,
) -> Result<DeValue<'t>, String> {
    if !text.starts_with(['[', '{', '"', '\'']) {
        report.set(span);
        return Ok(DeValue::String(text.into()));
    }
    let mut value = DeValue::parse(text).map_err(|error| error.message().to_owned())?.into_inner();
    place(&mut value, span);
    Ok(value)
}

/// Gives all parts of a value the span of the setting.
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
    report: &mut ConfigReport<'_>,
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
