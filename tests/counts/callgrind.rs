//! Runs an engine under callgrind, and reads the counts that callgrind writes.

use harness::{Engine, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The maximum length of a printed function name, in characters. Longer names, such as those of
/// closures in generic functions, are cut.
const MAX_NAME: usize = 100;

/// Returns whether valgrind, which contains callgrind, and vgdb, which controls it, are installed.
/// If not, prints that the counts are skipped.
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

/// The files of one run of callgrind.
pub struct Callgrind {
    output: PathBuf,
    /// The prefix of the names of the pipes through which vgdb controls callgrind.
    pipes: PathBuf,
}

impl Callgrind {
    /// Creates a run of callgrind that writes all its files to this folder.
    pub fn new(folder: &Path) -> Callgrind {
        Callgrind { output: folder.join("callgrind"), pipes: folder.join("vgdb") }
    }

    /// Returns the arguments for valgrind. valgrind does not follow child processes, so the
    /// launcher and the workers run without it.
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

    /// Returns the paths of the dumps that callgrind has written, by the dump's number.
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
    /// The number of all instructions.
    pub total: u64,
    own: BTreeMap<String, u64>,
}

impl Profile {
    /// Parses a dump. A line `fn=NAME` begins a function. A line `0 COUNT` counts the instructions
    /// of the function itself, except after `calls=`, where it counts those of a called function.
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

    /// Returns the `count` functions that run the most instructions of their own, each with the
    /// number of these instructions.
    pub fn most(&self, count: usize) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.own.iter().map(|(name, own)| (name, *own)).collect();
        all.sort_by_key(|(_, own)| std::cmp::Reverse(*own));
        all.into_iter()
            .take(count)
            .map(|(name, own)| (name.chars().take(MAX_NAME).collect(), own))
            .collect()
    }
}
