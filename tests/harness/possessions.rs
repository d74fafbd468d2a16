//! The resources of an engine, to compare them before and after.

use crate::engine::Engine;
use crate::process::descriptors;
use crate::wait::{LONG, find_within};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The number of an engine's resources of each kind: descriptors of its processes, mapped memory,
/// processes, files.
#[derive(Clone, Debug)]
pub struct Possessions(BTreeMap<String, usize>);

impl Possessions {
    /// Counts the resources now.
    #[track_caller]
    pub fn of(engine: &Engine) -> Possessions {
        let mut all = BTreeMap::new();
        // The kind of "socket:[123]" or "/dir/pipe-7-in (deleted)" is the name without its digits.
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

    /// Returns a text for each kind of which the engine has more now. Waits for at most `within`
    /// until there is none: descriptors that were just closed may still exist, and workers that a
    /// load left behind are retired later.
    #[track_caller]
    pub fn more(&self, engine: &Engine, within: Duration) -> Vec<String> {
        let more = || -> Vec<String> {
            // The launcher keeps the log of a function open from the first line on that belongs to
            // it. That line may be printed after the resources were counted.
            let at_least = |kind: &String| usize::from(kind.contains("/logs/"));
            let before = |kind: &String| self.0.get(kind).copied().unwrap_or(0).max(at_least(kind));
            let after = Possessions::of(engine).0.into_iter();
            let more = after.filter(|(kind, count)| *count > before(kind));
            more.map(|(kind, count)| format!("{kind}: {count}, before {}", before(&kind))).collect()
        };
        find_within(within, || more().is_empty().then_some(())).map_or_else(more, |()| Vec::new())
    }

    /// Waits until the engine has no more of any kind than here. Panics if that does not happen.
    #[track_caller]
    pub fn assert_no_more(&self, engine: &Engine) {
        let more = self.more(engine, LONG / 2);
        assert!(more.is_empty(), "more than before: {more:#?}\n{self:#?}\n{:#?}", engine.status());
    }
}

/// Returns the number of bytes of memory that only this process uses.
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
