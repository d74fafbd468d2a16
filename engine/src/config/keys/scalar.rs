//! Keys with one number, word, duration or boolean.

use super::super::read::{ConfigReport, Item};
use super::super::toml_string::string;
use super::super::units::format_duration;
use super::kind::{Kind, Value};
use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

impl Value for u32 {
    type Set = u32;
}

/// A whole number.
pub(super) struct Integer {
    pub(super) range: RangeInclusive<u32>,
    pub(super) default: u32,
}

impl Kind<u32> for Integer {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<u32> {
        item.integer(self.range.clone(), report)
    }

    fn value(&self, set: Option<u32>, _report: &mut ConfigReport<'_>) -> u32 {
        set.unwrap_or(self.default)
    }

    fn write(&self, key: &str, value: &u32, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "{key} = {value}")
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {}", self.default)
    }
}

impl Value for bool {
    type Set = bool;
}

/// True or false.
pub(super) struct Flag {
    pub(super) default: bool,
}

impl Kind<bool> for Flag {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<bool> {
        item.boolean(report)
    }

    fn value(&self, set: Option<bool>, _report: &mut ConfigReport<'_>) -> bool {
        set.unwrap_or(self.default)
    }

    fn write(&self, key: &str, value: &bool, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "{key} = {value}")
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {}", self.default)
    }
}

impl Value for Duration {
    type Set = Duration;
}

/// A duration.
pub(super) struct Time {
    pub(super) range: RangeInclusive<Duration>,
    pub(super) default: Duration,
}

impl Kind<Duration> for Time {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<Duration> {
        item.duration(self.range.clone(), report)
    }

    fn value(&self, set: Option<Duration>, _report: &mut ConfigReport<'_>) -> Duration {
        set.unwrap_or(self.default)
    }

    fn write(&self, key: &str, value: &Duration, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "{key} = {}", string(&format_duration(*value)))
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {}", string(&format_duration(self.default)))
    }
}

/// The timeout of a call.
pub(super) struct Timeout(pub(super) Time);

impl Kind<Duration> for Timeout {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<Duration> {
        if item.as_str() == Some("none") {
            item.wrong("\"none\" is not supported: every call ends by its deadline", report);
            return None;
        }
        self.0.read(item, report)
    }

    fn value(&self, set: Option<Duration>, report: &mut ConfigReport<'_>) -> Duration {
        self.0.value(set, report)
    }

    fn write(&self, key: &str, value: &Duration, out: &mut dyn fmt::Write) -> fmt::Result {
        self.0.write(key, value, out)
    }

    fn example(&self, key: &str) -> String {
        self.0.example(key)
    }
}

/// A word, one of two that each name a value.
pub(super) struct Choice<T> {
    pub(super) words: [(&'static str, T); 2],
    pub(super) default: T,
}

impl<T: Copy + PartialEq> Choice<T> {
    fn word(&self, value: T) -> &'static str {
        let [(first, chosen), (second, _)] = self.words;
        if value == chosen { first } else { second }
    }
}

impl Value for ChannelKind {
    type Set = ChannelKind;
}

impl Value for Placement {
    type Set = Placement;
}

impl<T: Value<Set = T> + Copy + PartialEq> Kind<T> for Choice<T> {
    fn read(&self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<T> {
        let [(first, _), (second, _)] = self.words;
        let word = item.string(Some(first), report)?;
        let chosen = self.words.into_iter().find(|(name, _)| *name == word);
        if chosen.is_none() {
            item.wrong(format!("it is \"{first}\" or \"{second}\""), report);
        }
        chosen.map(|(_, value)| value)
    }

    fn value(&self, set: Option<T>, _report: &mut ConfigReport<'_>) -> T {
        set.unwrap_or(self.default)
    }

    fn write(&self, key: &str, value: &T, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "{key} = {}", string(self.word(*value)))
    }

    fn example(&self, key: &str) -> String {
        format!("{key} = {}", string(self.word(self.default)))
    }
}
