//! What an engine has, to compare before with after.

use crate::engine::Engine;
use crate::process::descriptors;
use crate::wait::{LONG, find_within};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// How many of what an engine has, by kind: descriptors of its processes, mapped memory, processes, files.
#[derive(Clone, Debug)]
pub struct Possessions(BTreeMap<String, usize>);

impl Possessions {
    /// What it has now.
    #[track_caller]
    pub fn of(engine: &Engine) -> Possessions {
        let mut all = BTreeMap::new();
        // Of "socket:[123]" or "/dir/pipe-7-in (deleted)" what is not a number says which kind it is.
        let kind = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let mut add = |kind: String| *all.entry(kind).or_default() += 1;
        for (owner, pid) in [("engine", engine.pid()), ("launcher", engine.launcher())] {
            descriptors(pid)
                .iter()
                .for_each(|descriptor| add(format!("{owner}: {}", kind(descriptor))));
        }
        let maps = fs::read_to_string(format!("/proc/{}/maps", engine.pid())).unwrap_or_default();
        let shared = maps.lines().filter_map(|line| line.split_once("/memfd:"));
        shared.for_each(|(_, name)| add(format!("engine: mapped {}", kind(name))));
        engine.processes().iter().for_each(|_| add("process".into()));
        for entry in fs::read_dir(engine.home().directory()).expect("it is there").flatten() {
            add(format!("file: {}", entry.file_name().to_string_lossy()));
        }
        Possessions(all)
    }

    /// Of what there is more than here, a text for each kind. Waits for at most so long until there is no more of anything:
    /// what was closed a moment ago may still be there, and workers that a load left are retired later.
    #[track_caller]
    pub fn more(&self, engine: &Engine, within: Duration) -> Vec<String> {
        let more = || -> Vec<String> {
            let before = |kind: &String| self.0.get(kind).copied().unwrap_or(0);
            let after = Possessions::of(engine).0.into_iter();
            let more = after.filter(|(kind, count)| *count > before(kind));
            more.map(|(kind, count)| format!("{kind}: {count}, before {}", before(&kind))).collect()
        };
        find_within(within, || more().is_empty().then_some(())).map_or_else(more, |()| Vec::new())
    }

    /// Waits until there is no more of anything than here.
    #[track_caller]
    pub fn assert_no_more(&self, engine: &Engine) {
        let more = self.more(engine, LONG / 2);
        assert!(more.is_empty(), "more than before: {more:#?}\n{self:#?}\n{:#?}", engine.status());
    }
}

/// Bytes of memory that a process has to itself.
pub fn private_memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |line: &str| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok();
    let kib = rollup
        .lines()
        .filter(|line| line.starts_with("Private_Dirty:"))
        .filter_map(of)
        .sum::<u64>();
    kib * 1024
}
