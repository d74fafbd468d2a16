//! The functions: one for each language and channel.

use crate::{orphans, twins};
use harness::{RINGS_ONLY, Setup, nightcore, repository, suite_channel};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The languages as in `tests/languages/`, with the prefixes of their functions' names.
const LANGUAGES: [(&str, &str); 5] =
    [("c", "C"), ("go", "Go"), ("python", "Python"), ("asyncio", "Asyncio"), ("node", "Node")];
/// Each channel, and the timeout in ms of the functions that have it. A call through both has a
/// deadline inside a deadline.
const CHANNELS: [(&str, &str, u64); 2] = [("ring", "Ring", 2000), ("fifo", "Fifo", 1500)];
/// The function that takes memory until there is none left, and its limit in KiB.
pub const EATER: &str = "Eater";
const EATER_KIB: u32 = 512 * 1024;
/// glibc reserves 64 MiB of addresses for each heap, and makes one for each of the first threads.
const ONE_HEAP: &str = "env = { MALLOC_ARENA_MAX = \"1\" }";
/// The grace time. It is short, so that handlers that continue after their deadlines are ended
/// often.
const GRACE_MS: u64 = 1000;

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub timeout: Duration,
}

impl Function {
    /// Returns the function as a word of a command line.
    pub fn word(&self) -> String {
        format!("{}={}", self.name, self.timeout.as_millis())
    }

    /// Parses such a word.
    pub fn from_word(word: &str) -> Option<Function> {
        let (name, ms) = word.split_once('=')?;
        Some(Function { name: name.to_owned(), timeout: Duration::from_millis(ms.parse().ok()?) })
    }
}

/// A function for one kind of fault. Clients do not call it.
#[derive(Clone, Debug)]
pub struct Special {
    pub function: Function,
    /// While this file exists, the function's processes do not start.
    file: PathBuf,
}

impl Special {
    /// Keeps its processes from starting from now on. Returns whether that worked.
    pub fn begin(&self) -> bool {
        File::create(&self.file).is_ok()
    }

    /// Lets them start again.
    pub fn end(&self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// All functions of an engine.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    /// The functions that clients call.
    pub called: Vec<Function>,
    /// A function with two processes, of which one is kept from starting.
    pub twins: Option<Special>,
    /// A function that leaves behind a child that prints.
    pub spills: Option<Special>,
}

impl Functions {
    /// Returns all of them.
    pub fn all(&self) -> impl Iterator<Item = &Function> {
        let specials = self.twins.iter().chain(&self.spills).map(|special| &special.function);
        self.called.iter().chain(specials)
    }
}

/// Returns the channels of the functions: both, or the one that the suite runs over.
fn channels() -> Vec<(&'static str, &'static str, u64)> {
    let only = suite_channel();
    let carrier = only.as_deref().map(|kind| if kind == RINGS_ONLY { "ring" } else { kind });
    let is_wanted = |channel: &str| carrier.is_none_or(|carrier| carrier == channel);
    CHANNELS.into_iter().filter(|(channel, ..)| is_wanted(channel)).collect()
}

/// Adds the functions to a configuration. Their workers report through the pipe `ran` which call
/// they run.
pub fn add(mut setup: Setup, ran: &Path) -> (Setup, Functions) {
    let mut functions = Functions::default();
    let file = |name: &str| ran.with_file_name(name);
    let (no_twin_file, spill_file) = (file("no-twin"), file("spill"));
    let ran = text(ran);
    let mut add = |name: String, words: &[&str], channel: &str, timeout_ms: u64, more: &str| {
        // The number of threads is the same at the end as at the beginning, so that their resources
        // can be compared.
        let threads = "workers = { min = 4, max = 16 }";
        let lines = format!(
            "channel = \"{channel}\"\ntimeout = \"{timeout_ms}ms\"\n\
             grace = \"{GRACE_MS}ms\"\n{threads}\n{more}"
        );
        setup = setup.clone().command(&name, &[words, &[ran, &name]].concat(), &lines);
        Function { name, timeout: Duration::from_millis(timeout_ms) }
    };
    let channels = channels();
    for (language, prefix) in LANGUAGES {
        let command = match build(language) {
            Ok(command) => command,
            Err(reason) => {
                println!("skipped: soak of {language}: {reason}");
                continue;
            }
        };
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for (channel, suffix, timeout_ms) in channels.iter().copied() {
            let name = format!("{prefix}{suffix}");
            functions.called.push(add(name, &words, channel, timeout_ms, ""));
        }
        if language == "c" {
            let limited = format!("ulimit -v {EATER_KIB} && ulimit -c 0 && exec \"$0\" \"$@\"");
            let (channel, _, timeout_ms) = channels[0];
            let mut by_shell = |name: &str, script: &[&str], more: &str| {
                let words = [&["/bin/sh", "-c"], script, &words].concat();
                add(name.into(), &words, channel, timeout_ms, more)
            };
            functions.called.push(by_shell(EATER, &[&limited], ONE_HEAP));
            let function =
                by_shell(twins::NAME, &[twins::SCRIPT, text(&no_twin_file)], twins::PROCESSES);
            functions.twins = Some(Special { function, file: no_twin_file.clone() });
            let function = by_shell(orphans::NAME, &[orphans::SCRIPT, text(&spill_file)], "");
            functions.spills = Some(Special { function, file: spill_file.clone() });
        }
    }
    (setup, functions)
}

/// Returns a path as a word of a command line.
fn text(path: &Path) -> &str {
    path.to_str().expect("paths are text")
}

/// Builds the worker of a language, and returns the command that starts it.
fn build(language: &str) -> Result<Vec<String>, String> {
    let built = nightcore();
    let built = built.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(repository().join("tests/languages/build.sh"));
    command.args([language, "tests/soak/workers"]).arg(built.with_file_name("soak")).arg(built);
    let output = command.current_dir(repository()).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
