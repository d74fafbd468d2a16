//! A page of metrics in the format of Prometheus.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// The samples of a page, each by its name and labels as written, such as `a_total{b="c"}`.
#[derive(Clone, Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Parses a page. Panics if a sample occurs twice.
    #[track_caller]
    pub fn parse(page: &str) -> Metrics {
        let mut samples = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) =
                line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
            let value = value.parse().unwrap_or_else(|e| panic!("{e} in {line:?}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "{name} stands there twice");
        }
        Metrics(samples)
    }

    /// Returns the value of a sample. Panics if there is no such sample.
    #[track_caller]
    pub fn value(&self, sample: &str) -> f64 {
        *self
            .0
            .get(sample)
            .unwrap_or_else(|| panic!("there is no {sample} among {:#?}", self.0.keys()))
    }

    /// Returns the samples that are not 0 and whose names begin with `with`, without that prefix,
    /// in order.
    pub fn beginning(&self, with: &str) -> Vec<(&str, f64)> {
        let samples =
            self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(with)?, *value)));
        samples.filter(|(_, value)| *value != 0.0).collect()
    }

    /// Returns the buckets of a histogram in order: the upper bound of each, and the cumulative
    /// count.
    pub fn buckets(&self, name: &str, labels: &str) -> Vec<(f64, f64)> {
        let before = format!("{name}_bucket{{{labels},le=\"");
        let ends = |sample: &str| sample.strip_prefix(&before)?.strip_suffix("\"}")?.parse().ok();
        let mut buckets: Vec<(f64, f64)> =
            self.0.iter().filter_map(|(sample, value)| Some((ends(sample)?, *value))).collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

/// Checks a page with promtool, if it is installed.
#[track_caller]
pub fn check_with_promtool(page: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        // This is written directly to standard error, because a test's captured output is not
        // shown.
        let _ = writeln!(std::io::stderr(), "\nskipped: promtool is not installed");
        return;
    };
    let mut input = promtool.stdin.take().expect("it was asked for");
    input.write_all(page.as_bytes()).expect("it reads the page");
    drop(input);
    let said = promtool.wait_with_output().expect("it ends");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(said.status.success() && text.trim().is_empty(), "promtool says: {text}");
}
