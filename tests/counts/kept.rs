//! Reads and writes the instruction counts that are kept in the repository.

use harness::repository;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The number of instructions that the engine executes for one call, by kind of call.
type Counts = BTreeMap<String, u64>;

/// The content of `instructions.json`: the counts by processor architecture and by channel.
pub struct Kept(BTreeMap<String, BTreeMap<String, Counts>>);

fn path() -> PathBuf {
    repository().join("tests/counts/instructions.json")
}

impl Kept {
    pub fn read() -> Kept {
        let text = fs::read(path()).expect("the kept counts can be read");
        Kept(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path().display())))
    }

    /// Returns the kept counts of a channel on this machine's architecture.
    pub fn of(&self, channel: &str) -> Option<Counts> {
        self.0.get(std::env::consts::ARCH)?.get(channel).cloned()
    }

    /// Replaces the kept counts of a channel on this machine's architecture, and writes the file.
    pub fn write(&mut self, channel: &str, counts: Counts) {
        self.0
            .entry(std::env::consts::ARCH.to_owned())
            .or_default()
            .insert(channel.to_owned(), counts);
        let mut text = serde_json::to_string_pretty(&self.0).expect("numbers are JSON");
        text.push('\n');
        fs::write(path(), text).expect("the kept counts can be written");
        println!("wrote the counts to tests/counts/instructions.json");
    }
}
