//! Keys that have no value unless the file sets one.

use super::super::limits::MAX_ROUTE_BYTES;
use super::super::path::is_of_path;
use super::super::read::{ConfigReport, Item};
use super::super::toml_string::string;
use super::kind::{Kind, Value};
use std::fmt;

const READY_PATH_EXAMPLE: &str = "/healthz";

impl Value for Option<String> {
    type Set = String;
}

/// The path of a URL that a process must answer.
pub(super) struct ReadyPath;

impl Kind<Option<String>> for ReadyPath {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<String> {
        let path = item.string(Some(READY_PATH_EXAMPLE), report)?;
        let problem = if !path.starts_with('/') {
            "the path begins with a slash, as in \"/healthz\""
        } else if path.len() > MAX_ROUTE_BYTES {
            &format!("the path has at most {MAX_ROUTE_BYTES} bytes")
        } else if !path.bytes().all(is_of_path) {
            "this is the path of a URL, without a query: other characters than letters, digits and \
             -._~!$&'()*+,;=:@ are written as %20"
        } else {
            return Some(path.to_owned());
        };
        item.wrong(problem, report);
        None
    }

    fn value(&self, set: Option<String>, _report: &mut ConfigReport<'_>) -> Option<String> {
        set
    }

    fn write(&self, key: &str, value: &Option<String>, out: &mut dyn fmt::Write) -> fmt::Result {
        value.iter().try_for_each(|path| writeln!(out, "{key} = {}", string(path)))
    }

    fn example(&self, key: &str) -> String {
        format!("# {key} = {}", string(READY_PATH_EXAMPLE))
    }
}

impl Value for Option<bool> {
    type Set = bool;
}

/// A switch whose default depends on the command.
pub(super) struct OptionalFlag;

impl Kind<Option<bool>> for OptionalFlag {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<bool> {
        item.boolean(report)
    }

    fn value(&self, set: Option<bool>, _report: &mut ConfigReport<'_>) -> Option<bool> {
        set
    }

    fn is_same(&self, one: &Option<bool>, other: &Option<bool>) -> bool {
        one.unwrap_or(false) == other.unwrap_or(false)
    }

    fn write(&self, key: &str, value: &Option<bool>, out: &mut dyn fmt::Write) -> fmt::Result {
        match value {
            Some(value) => writeln!(out, "{key} = {value}"),
            None => writeln!(out, "# {key} = false, and true for `nightcore dev`"),
        }
    }

    fn example(&self, key: &str) -> String {
        format!("# {key} = false")
    }
}
