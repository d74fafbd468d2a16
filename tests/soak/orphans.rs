//! A fault: a process leaves behind a child in a session of its own, which prints without end, and
//! exits.

use crate::functions::{Function, Special};
use crate::ledger::Finding;
use crate::probe::Probe;
use harness::{process, wait::find_within};
use nix::sys::signal::Signal;
use std::time::Duration;

/// The name of its function.
pub const NAME: &str = "Spills";
/// Starts the program in the other words. While the file named by the first word exists, leaves a
/// child instead, and exits once the child has its own session, because the child would otherwise
/// die with it. The child prints about a megabyte a second: the log of it must not fill the small
/// disk.
pub const SCRIPT: &str = "[ ! -e \"$0\" ] || { exec 4>&1; \
    { setsid sh -c 'echo; while echo left >&4; do :; done' & } | read -r _; exit 3; }; exec \"$@\"";
/// The time limit for reaping. A stopped launcher continues after at most 2 s.
const REAPED_WITHIN: Duration = Duration::from_secs(10);

/// A container, and the launcher that started it.
#[derive(Clone, Copy)]
pub struct Started {
    pub container: i32,
    pub launcher: i32,
}

/// Makes each process of the function leave a child, kills another function's container, and waits
/// until that container is reaped and its function answers again.
pub fn run(
    mut probe: Probe,
    spills: &Special,
    spilling: i32,
    function: &Function,
    killed: Started,
    lasts: Duration,
) {
    if !spills.begin() {
        return;
    }
    process::signal(spilling, Signal::SIGKILL);
    std::thread::sleep(lasts);
    process::signal(killed.container, Signal::SIGKILL);
    probe.until_answered(function, "while a child of another function prints");
    if find_within(REAPED_WITHIN, || (!is_unreaped(killed)).then_some(())).is_none() {
        let text = format!("the launcher does not reap a process of {}", function.name);
        probe.find(Finding::LeftOver, &text);
    }
    spills.end();
}

/// Returns whether a process that has ended has not been reaped by its launcher, which lives.
fn is_unreaped(killed: Started) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", killed.container));
    let stat = stat.unwrap_or_default();
    let mut words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let launcher = killed.launcher.to_string();
    words.next() == Some("Z")
        && words.next() == Some(&launcher)
        && process::is_alive(killed.launcher)
}
