//! An engine under callgrind, and what callgrind wrote of it.

use harness::{Engine, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longer names, those of closures in generic functions, are cut.
const MAX_NAME: usize = 100;

/// Returns whether there is callgrind, and vgdb, which controls it; prints if the counts are
/// skipped for it.
pub fn is_installed() -> bool {
    let found = |program| {
        let mut help = Command::new(program);
        help.arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let all = found("valgrind") && found("vgdb");
    if !all {
        println!("skipped: valgrind is not installed");
    }
    all
}

/// Where callgrind writes.
pub struct Callgrind {
    output: PathBuf,
    /// Begins the names of the pipes by which it is told what to do.
    pipes: PathBuf,
}

impl Callgrind {
    /// All it writes lies in this folder.
    pub fn new(folder: &Path) -> Callgrind {
        Callgrind { output: folder.join("callgrind"), pipes: folder.join("vgdb") }
    }

    /// The arguments of valgrind. It follows no children: launcher and workers run as ever.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "--tool=callgrind",
            "--quiet",
            "--dump-line=no",
            "--compress-strings=no",
            "--compress-pos=no",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--callgrind-out-file={}", self.output.display()));
        arguments.push(format!("--vgdb-prefix={}", self.pipes.display()));
        arguments
    }

    #[track_caller]
    fn tell(&self, engine: &Engine, order: &str) {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(format!("--vgdb-prefix={}", self.pipes.display()));
        vgdb.arg(format!("--pid={}", engine.pid())).arg(order);
        let told = run(&mut vgdb, b"");
        assert_eq!(told.code, Some(0), "vgdb cannot tell callgrind to {order}: {}", told.stderr);
    }

    /// Counts the instructions that the engine runs during `meanwhile`.
    #[track_caller]
    pub fn profile(&self, engine: &Engine, meanwhile: impl FnOnce()) -> Profile {
        self.tell(engine, "zero");
        meanwhile();
        self.tell(engine, "dump");
        let (number, path) =
            self.dumps().into_iter().next_back().expect("callgrind has written a dump");
        let text = fs::read(&path).unwrap_or_else(|e| panic!("dump {number}: {e}"));
        Profile::parse(&String::from_utf8_lossy(&text))
    }

    /// Returns the paths of the dumps that callgrind has written, by number.
    fn dumps(&self) -> BTreeMap<u32, PathBuf> {
        let folder =
            fs::read_dir(self.output.parent().expect("it lies in a folder")).expect("it is there");
        let paths = folder.flatten().map(|entry| entry.path());
        let dumps = paths.filter(|path| path.file_stem() == self.output.file_name());
        dumps.filter_map(|path| Some((path.extension()?.to_str()?.parse().ok()?, path))).collect()
    }
}

/// The instructions that callgrind counted.
pub struct Profile {
    /// All instructions.
    pub total: u64,
    own: BTreeMap<String, u64>,
}

impl Profile {
    /// A line `fn=NAME` begins a function. A line `0 COUNT` counts what the function ran itself,
    /// except after `calls=`, where it counts what the function called.
    fn parse(text: &str) -> Profile {
        let mut own = BTreeMap::<String, u64>::new();
        let (mut function, mut called) = ("", false);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                called = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit())
                && !std::mem::take(&mut called)
                && let Some(count) = line.split(' ').nth(1)
            {
                *own.entry(function.to_owned()).or_default() +=
                    count.parse::<u64>().unwrap_or_default();
            }
        }
        let total = own.values().sum();
        assert!(total > 0, "callgrind has counted nothing");
        Profile { total, own }
    }

    /// The functions that run the most, and how many instructions each.
    pub fn most(&self, count: usize) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.own.iter().map(|(name, own)| (name, *own)).collect();
        all.sort_by_key(|(_, own)| std::cmp::Reverse(*own));
        all.into_iter()
            .take(count)
            .map(|(name, own)| (name.chars().take(MAX_NAME).collect(), own))
            .collect()
    }
}
