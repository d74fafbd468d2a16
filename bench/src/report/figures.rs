//! The figures, as a table for people and as one flat JSON object of names and numbers for
//! programs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The figure's name: words from the general to the specific, separated by dots.
    pub key: String,
    /// The figure's value, rounded.
    pub value: f64,
    /// The figure's bar, if it has one.
    pub bar: Option<Bar>,
    /// Whether the printed table omits the figure.
    pub is_detail: bool,
}

/// The bar of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    /// Returns whether this value meets the bar.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Bar::AtMost(bar) => value <= bar,
            Bar::AtLeast(bar) => value >= bar,
        }
    }

    /// Returns the comparison sign and the number of the bar.
    pub fn parts(self) -> (&'static str, f64) {
        match self {
            Bar::AtMost(bar) => ("<=", bar),
            Bar::AtLeast(bar) => (">=", bar),
        }
    }
}

/// All figures of a run, in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    fn push(&mut self, key: &str, value: f64, bar: Option<Bar>, is_detail: bool) {
        self.rows.push(Row { key: key.to_owned(), value: rounded(value), bar, is_detail });
    }

    /// Adds a figure without a bar.
    pub fn add(&mut self, key: &str, value: f64) {
        self.push(key, value, None, false);
    }

    /// Adds a figure that is written to the files for the page's charts, and is not in the printed
    /// table.
    pub fn add_detail(&mut self, key: &str, value: f64) {
        self.push(key, value, None, true);
    }

    /// Adds a figure that should be at most `bar`.
    pub fn add_with_bar(&mut self, key: &str, value: f64, bar: f64) {
        self.push(key, value, Some(Bar::AtMost(rounded(bar))), false);
    }

    /// Adds a figure that should be at least `bar`.
    pub fn add_with_least(&mut self, key: &str, value: f64, bar: f64) {
        self.push(key, value, Some(Bar::AtLeast(rounded(bar))), false);
    }

    /// Adds a figure with this bar, if there is one.
    pub fn add_with(&mut self, key: &str, value: f64, bar: Option<Bar>) {
        self.push(key, value, bar, false);
    }

    /// Returns a figure that was measured before.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.key == key).map(|row| row.value)
    }

    /// Returns the number of figures.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns all figures in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the table. A figure that misses its bar is marked SHORT, which is a result and not a
    /// failure.
    pub fn table(&self) -> String {
        let rows = || self.rows.iter().filter(|row| !row.is_detail);
        let width = rows().map(|row| row.key.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Row { key, value, bar, .. } in rows() {
            let line = match bar {
                Some(bar) => {
                    let verdict = if bar.is_met(*value) { "ok" } else { "SHORT" };
                    let (sign, bar) = bar.parts();
                    format!(
                        "{key:width$}  {:>12}  bar {sign} {:>8}  {verdict}",
                        shown(*value),
                        shown(bar)
                    )
                }
                None => format!("{key:width$}  {:>12}", shown(*value)),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Writes the JSON object.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let object: Map<String, Value> =
            self.rows.iter().map(|row| (row.key.clone(), Value::from(row.value))).collect();
        let text = serde_json::to_string_pretty(&object)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Rounds a value to three decimals, because no measurement is more precise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Formats a number for people.
pub fn shown(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_beside_figures() {
        let mut report = Report::default();
        report.add("a.rps", 39_712.4);
        report.add_with_bar("b.ratio", 1.1499, 1.15);
        report.add_with_bar("c.ratio", 1.2, 1.15);
        report.add_with_least("d.ratio", 1.2, 1.15);
        report.add_detail("e.p999_us", 7.0);
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("39712"));
        assert!(lines[1].ends_with("1.150  bar <=    1.150  ok"));
        assert!(lines[2].ends_with("1.200  bar <=    1.150  SHORT"));
        assert!(lines[3].ends_with("1.200  bar >=    1.150  ok"));
        assert_eq!((lines.len(), report.get("e.p999_us")), (4, Some(7.0)));
    }

    #[test]
    fn the_file_is_one_flat_object_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("report.json");
        let mut report = Report::default();
        report.add("a.rps", 1.5);
        report.write(&path).unwrap();
        let object: Map<String, Value> =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(object["a.rps"], 1.5);
    }
}
