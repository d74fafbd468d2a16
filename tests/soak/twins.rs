//! A fault: a function with two processes, of which one cannot start for a while. The other one
//! serves.

use crate::functions::Special;
use crate::ledger::Finding;
use crate::outcome::Outcome;
use crate::probe::{AGAIN_WITHIN, Probe};
use harness::{process, wait::find_within};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// The function's name, and the number of its processes.
pub const NAME: &str = "Twins";
pub const PROCESSES: &str = "processes = 2";
/// Starts the program in the other words, unless the file named by the first word exists.
pub const SCRIPT: &str = "[ ! -e \"$0\" ] || exit 1; exec \"$@\"";
/// The time after which the processes of a killed launcher or engine have ended.
const DEAD_WITHIN: Duration = Duration::from_secs(2);

/// Kills one of its processes, which cannot restart, and calls the function for a while. As long as
/// `survivor` lives, the function must not be unavailable.
pub fn run(mut probe: Probe, twins: &Special, killed: i32, survivor: i32, lasts: Duration) {
    if !twins.begin() {
        return;
    }
    process::signal(killed, Signal::SIGKILL);
    let began = Instant::now();
    let mut answered = false;
    while began.elapsed() < lasts || !answered {
        let outcome = probe.call(&twins.function);
        answered |= outcome == Outcome::Answered;
        let unavailable =
            matches!(&outcome, Outcome::Error(text) if text.starts_with("UNAVAILABLE"));
        let late = !answered && began.elapsed() > AGAIN_WITHIN;
        if unavailable || late {
            if find_within(DEAD_WITHIN, || (!process::is_alive(survivor)).then_some(())).is_some() {
                break;
            }
            let text = format!("{NAME} does not serve, but {survivor} lives: {outcome:?}");
            probe.find(if late { Finding::Hung } else { Finding::Wrong }, &text);
            break;
        }
        if !process::is_alive(survivor) {
            break;
        }
    }
    twins.end();
}
