//! A process that leaves behind a child in a session of its own, which prints without end, and
//! exits.

use crate::functions::{Function, Special};
use crate::ledger::Finding;
use crate::probe::Probe;
use harness::{process, wait::find_within};
use nix::sys::signal::Signal;
use std::time::Duration;

/// The name of its function.
pub const NAME: &str = "Spills";
/// Starts the program of the other words; while there is a file named by the first word, leaves a
/// child instead. It exits when the child has its own session, or the child would die with it.
/// The child prints a megabyte a second or so: what is kept of that must not fill the small disk.
pub const SCRIPT: &str = "[ ! -e \"$0\" ] || { exec 4>&1; \
    { setsid sh -c 'echo; while echo left >&4; do :; done' & } | read -r _; exit 3; }; exec \"$@\"";
/// A stopped launcher goes on after 2 s at most.
const REAPED_WITHIN: Duration = Duration::from_secs(10);

/// A container, and the launcher that started it.
#[derive(Clone, Copy)]
pub struct Started {
    pub container: i32,
    pub launcher: i32,
}

/// Has each process of the function leave a child, kills another function's container, and waits
/// until that one is reaped and its function answers again.
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

/// Whether a process that has ended is still its launcher's, which lives.
fn is_unreaped(killed: Started) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", killed.container));
    let stat = stat.unwrap_or_default();
    let mut words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let launcher = killed.launcher.to_string();
    words.next() == Some("Z")
        && words.next() == Some(&launcher)
        && process::is_alive(killed.launcher)
}
