//! Reads typed values from the parsed tree. Each value knows its place in the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors};
use super::expansion::Expansion;
use super::nearest::nearest;
use super::quote::{header, printable, quoted};
use super::source::Source;
use super::units;

/// A range of bytes of the text.
pub(super) type Span = Range<usize>;

/// The number of errors of a file that are kept. To find the places of ten thousand errors on one
/// long line would take minutes.
const MAX_KEPT_ERRORS: usize = 100;

/// Collects the errors and warnings of one file.
pub(super) struct ConfigReport<'s> {
    source: &'s Source<'s>,
    errors: Vec<(Span, String)>,
    warnings: Vec<(Span, String)>,
    /// The string values whose text has no TOML type, by the start of their spans: strings in which
    /// variables were expanded, and values of `--set` (`None`).
    untyped: HashMap<usize, Option<Expansion>>,
}

impl<'s> ConfigReport<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        ConfigReport { source, errors: Vec::new(), warnings: Vec::new(), untyped: HashMap::new() }
    }

    pub(super) fn at(&mut self, span: &Span, message: impl Into<String>) {
        let message = self.concealed(span, message.into());
        self.errors.push((span.clone(), message));
    }

    fn concealed(&self, span: &Span, message: String) -> String {
        match self.untyped.get(&span.start) {
            Some(Some(expanded)) => expanded.conceal(&message),
            _ => message,
        }
    }

    /// Warns of a value that is probably a mistake.
    pub(super) fn warn(&mut self, span: &Span, message: impl AsRef<str>) {
        let message = self.concealed(span, format!("warning: {}", message.as_ref()));
        self.warnings.push((span.clone(), message));
    }

    /// Records that variables were expanded in the value of this span.
    pub(super) fn expanded(&mut self, span: &Span, expansion: Expansion) {
        self.untyped.insert(span.start, Some(expansion));
    }

    /// Records that the value of this span is a plain text from `--set`.
    pub(super) fn set(&mut self, span: &Span) {
        self.untyped.insert(span.start, None);
    }

    /// Takes the warnings, in the order of the file.
    pub(super) fn take_warnings(&mut self) -> Vec<ConfigError> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.sort_by_key(|(span, _)| span.start);
        // A warning about [defaults] can show once for each function.
        warnings.dedup();
        let placed = warnings.iter().take(MAX_KEPT_ERRORS);
        placed.map(|(span, message)| self.source.error(span, message)).collect()
    }

    /// Returns the line of a span, counted from 1.
    pub(super) fn line(&self, span: &Span) -> usize {
        self.source.line(span.start)
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Returns the reported errors, if there are any.
    pub(super) fn finish(&mut self) -> Result<(), ConfigErrors> {
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_by_key(|(span, _)| span.start);
        // A mistake in [defaults] can show once for each function.
        errors.dedup();
        if errors.is_empty() {
            return Ok(());
        }
        let placed = errors
            .iter()
            .take(MAX_KEPT_ERRORS)
            .map(|(span, message)| self.source.error(span, message));
        Err(ConfigErrors::new(placed.collect(), errors.len().saturating_sub(MAX_KEPT_ERRORS)))
    }
}

/// A table, with the names by which messages refer to it.
pub(super) struct Table<'t> {
    table: &'t DeTable<'t>,
    /// The path of the table's key, such as "workers", below the table whose header the file has.
    /// Empty for a table with a header.
    path: String,
    /// The header, such as "[functions.Foo]".
    header: String,
}

impl<'t> Table<'t> {
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Table { table, path: String::new(), header: String::new() }
    }

    /// Sets the header by which messages name this table.
    pub(super) fn with_header(mut self, keys: &[&str]) -> Self {
        self.path.clear();
        self.header = header(keys);
        self
    }

    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// Returns the value of a key, if the table has it.
    pub(super) fn get(&self, key: &str) -> Option<Item<'t>> {
        self.table.get_key_value(key).map(|(key, value)| self.item(key, value))
    }

    /// Returns the table of a key of the root.
    pub(super) fn table(
        &self,
        key: &str,
        example: &str,
        report: &mut ConfigReport<'_>,
    ) -> Option<Table<'t>> {
        let table = self.get(key)?.table(example, report)?;
        Some(table.with_header(&[key]))
    }

    /// Returns all keys with their values, in the order of the file.
    pub(super) fn entries(&self) -> Vec<Item<'t>> {
        let mut items: Vec<_> =
            self.table.iter().map(|(key, value)| self.item(key, value)).collect();
        items.sort_by_key(|item| item.key.span().start);
        items
    }

    fn item(&self, key: &'t Spanned<DeString<'t>>, value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
        let name = key.get_ref();
        let path =
            if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Item {
            key,
            key_span: key.span(),
            value: ReadValue { value, path },
            header: self.header.clone(),
        }
    }

    /// Reports every key that is not in `known`, with the nearest known key.
    pub(super) fn refuse_unknown(&self, known: &[&str], report: &mut ConfigReport<'_>) {
        for item in self.entries() {
            if !known.contains(&item.name()) {
                self.refuse(&item, known, report);
            }
        }
    }

    /// Reports a key that is not in `known`.
    pub(super) fn refuse(&self, item: &Item<'_>, known: &[&str], report: &mut ConfigReport<'_>) {
        let hint = match nearest(item.name(), known) {
            Some(known) => format!("did you mean {known:?}?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        let table = match self.path.as_str() {
            "" => self.header.clone(),
            path => format!("{path} of {}", self.header),
        };
        report
            .at(item.key_span(), format!("unknown key {} in {table}; {hint}", quoted(item.name())));
    }
}

/// A value, with its place and the path by which messages name it.
pub(super) struct ReadValue<'t> {
    value: &'t Spanned<DeValue<'t>>,
    path: String,
}

/// A key with its value.
pub(super) struct Item<'t> {
    key: &'t Spanned<DeString<'t>>,
    key_span: Span,
    value: ReadValue<'t>,
    header: String,
}

impl<'t> std::ops::Deref for Item<'t> {
    type Target = ReadValue<'t>;

    fn deref(&self) -> &ReadValue<'t> {
        &self.value
    }
}

impl<'t> Item<'t> {
    pub(super) fn name(&self) -> &'t str {
        self.key.get_ref()
    }

    pub(super) fn key_span(&self) -> &Span {
        &self.key_span
    }

    /// Returns the value as a table, and reports any other type.
    pub(super) fn table(&self, example: &str, report: &mut ConfigReport<'_>) -> Option<Table<'t>> {
        match self.as_table() {
            Some(table) => Some(Table { header: self.header.clone(), ..table }),
            None => self.mismatch(&format!("a table such as {example}"), report),
        }
    }
}

impl<'t> ReadValue<'t> {
    pub(super) fn span(&self) -> Span {
        self.value.span()
    }

    /// Reports an error about this value.
    pub(super) fn wrong(&self, message: impl AsRef<str>, report: &mut ConfigReport<'_>) {
        report.at(&self.span(), format!("{}: {}", printable(&self.path), message.as_ref()));
    }

    /// Warns about this value.
    pub(super) fn doubtful(&self, message: impl AsRef<str>, report: &mut ConfigReport<'_>) {
        report.warn(&self.span(), format!("{}: {}", printable(&self.path), message.as_ref()));
    }

    fn mismatch<T>(&self, expected: &str, report: &mut ConfigReport<'_>) -> Option<T> {
        self.wrong(
            format!("expected {expected}, found {}", self.value.get_ref().type_str()),
            report,
        );
        None
    }

    /// Returns the string as the file writes it, if variables were expanded in it.
    pub(super) fn written<'r>(&self, report: &'r ConfigReport<'_>) -> Option<&'r str> {
        report.untyped.get(&self.span().start)?.as_ref().map(|expanded| expanded.written.as_str())
    }

    /// Returns the value. An expanded string or a plain text of `--set` has no type: it is read as
    /// the number or boolean that it would be without quotes.
    fn scalar(&self, report: &ConfigReport<'_>) -> Cow<'t, DeValue<'t>> {
        let value = self.value.get_ref();
        let text = value.as_str().filter(|_| report.untyped.contains_key(&self.span().start));
        match text.map(DeValue::parse) {
            Some(Ok(typed)) => Cow::Owned(typed.into_inner()),
            _ => Cow::Borrowed(value),
        }
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Returns the table, or `None` without a report if the value has another type.
    pub(super) fn as_table(&self) -> Option<Table<'t>> {
        let table = self.value.get_ref().as_table()?;
        Some(Table { table, path: self.path.clone(), header: String::new() })
    }

    /// Returns the string, or `None` without a report if the value has another type.
    pub(super) fn as_str(&self) -> Option<&'t str> {
        self.value.get_ref().as_str()
    }

    /// Returns the value as a string, and reports any other type.
    pub(super) fn string(
        &self,
        example: Option<&str>,
        report: &mut ConfigReport<'_>,
    ) -> Option<&'t str> {
        match (self.as_str(), example) {
            (Some(text), _) => Some(text),
            (None, Some(example)) => {
                self.mismatch(&format!("a string such as {example:?}"), report)
            }
            (None, None) => self.mismatch("a string", report),
        }
    }

    pub(super) fn boolean(&self, report: &mut ConfigReport<'_>) -> Option<bool> {
        match self.scalar(report).as_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.mismatch("true or false", report),
        }
    }

    /// Whether the value is an array without elements.
    pub(super) fn is_empty_array(&self) -> bool {
        self.value.get_ref().as_array().is_some_and(|array| array.is_empty())
    }

    /// Returns the elements of an array. Messages name them "command[0]" and so on.
    pub(super) fn array(
        &self,
        example: &str,
        report: &mut ConfigReport<'_>,
    ) -> Option<Vec<ReadValue<'t>>> {
        let Some(array) = self.value.get_ref().as_array() else {
            return self.mismatch(&format!("an array such as {example}"), report);
        };
        let name = |index| format!("{}[{index}]", self.path);
        Some(
            array
                .iter()
                .enumerate()
                .map(|(index, value)| ReadValue { value, path: name(index) })
                .collect(),
        )
    }

    /// Returns a whole number within `range`.
    pub(super) fn integer(
        &self,
        range: RangeInclusive<u32>,
        report: &mut ConfigReport<'_>,
    ) -> Option<u32> {
        let value = self.scalar(report);
        let DeValue::Integer(integer) = value.as_ref() else {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            return self.mismatch(&expected, report);
        };
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let found = printable(&integer.to_string());
                self.wrong(
                    format!("expected {} to {}, found {found}", range.start(), range.end()),
                    report,
                );
                None
            }
        }
    }

    /// Returns a number with at most three decimal places, in thousandths, within `range`.
    pub(super) fn thousandths(
        &self,
        range: RangeInclusive<u32>,
        report: &mut ConfigReport<'_>,
    ) -> Option<u32> {
        let value = self.scalar(report);
        let text = match value.as_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => return self.mismatch("a number such as 1.5", report),
        };
        let found = text.parse::<f64>().ok().map(|number| number * 1000.0);
        let found = found
            .filter(|found| (found - found.round()).abs() < 1e-6 && *found <= f64::from(u32::MAX));
        let found = found.map(|found| found.round() as u32).filter(|found| range.contains(found));
        if found.is_none() {
            let (least, most) = (
                units::format_thousandths(*range.start()),
                units::format_thousandths(*range.end()),
            );
            let found = printable(text);
            self.wrong(
                format!(
                    "expected {least} to {most} with at most three digits after the point, \
                     found {found}"
                ),
                report,
            );
        }
        found
    }

    /// Returns a duration within `range`.
    pub(super) fn duration(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut ConfigReport<'_>,
    ) -> Option<Duration> {
        let text = self.string(Some("5s"), report)?;
        let shown = |duration: &Duration| units::format_duration(*duration);
        match units::parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Some(duration),
            Ok(_) => {
                let (least, most) = (shown(range.start()), shown(range.end()));
                self.wrong(format!("expected {least} to {most}, found {}", quoted(text)), report);
                None
            }
            Err(message) => {
                self.wrong(message, report);
                None
            }
        }
    }

    /// Whether the value is this string.
    pub(super) fn is_string(&self, text: &str) -> bool {
        matches!(self.value.get_ref(), DeValue::String(string) if string == text)
    }

    /// Returns a size in bytes within `range`.
    pub(super) fn size(
        &self,
        range: RangeInclusive<u64>,
        report: &mut ConfigReport<'_>,
    ) -> Option<u64> {
        let value = self.scalar(report);
        let (size, found) = match value.as_ref() {
            DeValue::Integer(integer) => {
                let size = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
                (size, printable(&integer.to_string()))
            }
            DeValue::String(text) => match units::parse_size(text) {
                Ok(size) => (Some(size), quoted(text)),
                Err(message) => {
                    self.wrong(message, report);
                    return None;
                }
            },
            _ => return self.mismatch("a string such as \"32MiB\" or a number of bytes", report),
        };
        let size = size.filter(|size| range.contains(size));
        if size.is_none() {
            let (least, most) =
                (units::format_size(*range.start()), units::format_size(*range.end()));
            self.wrong(format!("expected {least} to {most}, found {found}"), report);
        }
        size
    }
}
