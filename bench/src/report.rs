//! The figures: a table for people, and one flat JSON object, name to number, for programs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// One figure.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    key: String,
    value: f64,
    bar: Option<Bar>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

/// All figures of a run, in the order they were measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a figure that is there to be looked at.
    pub fn add(&mut self, key: &str, value: f64) {
        self.rows.push(Row { key: key.to_owned(), value: rounded(value), bar: None });
    }

    /// Adds a figure that should be at most `bar`.
    pub fn add_with_bar(&mut self, key: &str, value: f64, bar: f64) {
        self.rows.push(Row {
            key: key.to_owned(),
            value: rounded(value),
            bar: Some(Bar::AtMost(rounded(bar))),
        });
    }

    /// Adds a figure that should be at least `bar`.
    pub fn add_with_least(&mut self, key: &str, value: f64, bar: f64) {
        let bar = Some(Bar::AtLeast(rounded(bar)));
        self.rows.push(Row { key: key.to_owned(), value: rounded(value), bar });
    }

    /// How many figures there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The table. A figure that misses its bar is SHORT, which is a result and no failure.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.key.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Row { key, value, bar } in &self.rows {
            let line = match bar {
                Some(bar) => {
                    let (sign, bar, is_met) = match bar {
                        Bar::AtMost(bar) => ("<=", bar, value <= bar),
                        Bar::AtLeast(bar) => (">=", bar, value >= bar),
                    };
                    let verdict = if is_met { "ok" } else { "SHORT" };
                    format!("{key:width$}  {:>12}  bar {sign} {:>8}  {verdict}", shown(*value), shown(*bar))
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
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let object: Map<String, Value> =
            self.rows.iter().map(|row| (row.key.clone(), Value::from(row.value))).collect();
        let text = serde_json::to_string_pretty(&object)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// More digits would say more than was measured.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn shown(value: f64) -> String {
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
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("39712"));
        assert!(lines[1].ends_with("1.150  bar <=    1.150  ok"));
        assert!(lines[2].ends_with("1.200  bar <=    1.150  SHORT"));
        assert!(lines[3].ends_with("1.200  bar >=    1.150  ok"));
    }

    #[test]
    fn the_file_is_one_flat_object_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("report.json");
        let mut report = Report::default();
        report.add("a.rps", 1.5);
        report.write(&path).unwrap();
        let object: Map<String, Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(object["a.rps"], 1.5);
    }
}
