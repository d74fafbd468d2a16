//! Records the system calls of an engine and all its processes.

use crate::engine::Engine;
use crate::home::Home;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// One system call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The file of its first argument, if that is a descriptor.
    pub on: String,
    /// The bytes read or written.
    pub bytes: Vec<u8>,
    /// Its result; `None` if it failed.
    pub result: Option<i64>,
    /// The line as strace wrote it.
    pub line: String,
}

impl Call {
    /// Returns whether it is a read or a write on a worker's channel.
    pub fn is_on_channel(&self) -> bool {
        self.on.contains("/pipe-")
    }
}

/// A trace that strace is writing.
pub struct Trace(PathBuf);

/// Returns whether strace is installed. If not, prints that the test is skipped.
pub fn is_installed() -> bool {
    let found = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: strace is not installed");
    }
    found
}

/// Starts an engine and records all system calls of all its processes.
pub fn start(home: &Arc<Home>) -> (Engine, Trace) {
    start_under(home, &["-y", "-xx", "-s", "4096"], &[])
}

/// Starts an engine that may use only these cores, and records the system calls of all its
/// processes, without the files that they read and write and without the bytes.
pub fn start_on(home: &Arc<Home>, cores: &[usize]) -> (Engine, Trace) {
    let cores = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    start_under(home, &[], &["taskset", "--cpu-list", &cores])
}

fn start_under(home: &Arc<Home>, options: &[&str], program: &[&str]) -> (Engine, Trace) {
    let path = home.path().join("trace");
    let output = path.to_str().expect("paths are text");
    // One file for each thread, so that the line of a call is not split by another thread's.
    let arguments = [&["-f", "-ff", "-o", output], options, program].concat();
    (home.start_under("strace", &arguments), Trace(path))
}

impl Trace {
    /// Returns the calls of each thread so far, in order.
    pub fn threads(&self) -> BTreeMap<i32, Vec<Call>> {
        let folder =
            fs::read_dir(self.0.parent().expect("it lies in a folder")).expect("it is there");
        let mut threads = BTreeMap::new();
        for path in folder.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(thread) = name.strip_prefix("trace.").and_then(|id| id.parse().ok()) {
                let text = fs::read_to_string(&path).unwrap_or_default();
                threads.insert(thread, text.lines().filter_map(parse).collect());
            }
        }
        threads
    }
}

/// Parses a line `name(FD<path>, "\x..", ...) = RESULT`. Any other line, such as a signal, is not a
/// call.
fn parse(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let on = arguments.split_once('<').filter(|(fd, _)| fd.bytes().all(|b| b.is_ascii_digit()));
    let on = on.and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| unescape(path));
    let bytes = arguments.split('"').nth(1).map(hex).unwrap_or_default();
    let result = result.split_ascii_whitespace().next()?.parse().ok().filter(|result| *result >= 0);
    let on = String::from_utf8_lossy(&on.unwrap_or_default()).into_owned();
    Some(Call { name: name.to_owned(), on, bytes, result, line: line.to_owned() })
}

/// With `-xx`, paths may also be written in hexadecimal.
fn unescape(text: &str) -> Vec<u8> {
    if text.contains("\\x") { hex(text) } else { text.as_bytes().to_vec() }
}

fn hex(text: &str) -> Vec<u8> {
    text.split("\\x")
        .skip(1)
        .filter_map(|byte| u8::from_str_radix(byte.get(..2)?, 16).ok())
        .collect()
}
