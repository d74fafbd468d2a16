//! The counts that are kept in the repository.

use harness::repository;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Instructions by kind of call.
type Counts = BTreeMap<String, u64>;

/// `instructions.json`: by machine, as its compiler names it, and by channel.
pub struct Kept(BTreeMap<String, BTreeMap<String, Counts>>);

fn path() -> PathBuf {
    repository().join("tests/counts/instructions.json")
}

impl Kept {
    pub fn read() -> Kept {
        let text = fs::read(path()).expect("the kept counts can be read");
        Kept(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path().display())))
    }

    /// Those of a channel on such a machine.
    pub fn of(&self, channel: &str) -> Option<Counts> {
        self.0.get(std::env::consts::ARCH)?.get(channel).cloned()
    }

    /// Keeps these instead.
    pub fn write(&mut self, channel: &str, counts: Counts) {
        self.0
            .entry(std::env::consts::ARCH.to_owned())
            .or_default()
            .insert(channel.to_owned(), counts);
        let mut text = serde_json::to_string_pretty(&self.0).expect("numbers are JSON");
        text.push('\n');
        fs::write(path(), text).expect("the kept counts can be written");
        println!("kept in tests/counts/instructions.json");
    }
}
