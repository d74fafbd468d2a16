//! Counts the engine's instructions for an external and for an internal call, with callgrind.
//! Unlike times, these counts are the same on a busy machine. They do not include the kernel's
//! instructions. `nightcore-counts [--write] [CHANNEL]` compares the counts with those in
//! `instructions.json`, or with `--write` replaces those in the file.

mod callgrind;
mod kept;

use callgrind::{Callgrind, Profile};
use harness::{Connection, Engine, Setup, process, wait_until, workers};
use kept::Kept;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The difference from the kept count, in %, above which the test reports a count. The counts of
/// fifteen runs of one engine, with idle and with busy cores, differed by at most 0.5 %.
const MAX_OFF_PERCENT: f64 = 5.0;
/// The number of calls before the counted ones. After them, every pool is full and concurrency
/// control has data about the function.
const WARM_UP: usize = 200;
/// The number of counted external calls. It is large, so that the engine's occasional work adds
/// little to the count of a call.
const EXTERNAL_CALLS: usize = 1000;
/// The number of counted internal calls. One external call makes them, and accounts for about 0.1 %
/// of the counted instructions.
const INTERNAL_CALLS: usize = 2000;
/// The channel of a worker, if the command line names none.
const DEFAULT_CHANNEL: &str = "fifo";
/// The number of the engine's functions that are shown.
const SHOWN: usize = 10;

/// Returns the body that makes `Caller` call `Empty` this number of times, with empty bodies. Its
/// format is "SIZE COUNT WARMUP TARGET". One of the calls precedes the warm-up, and one is timed.
fn internal_calls(count: usize) -> String {
    format!("0 1 {} Empty", count - 2)
}

/// Waits until the engine has finished the previous call and sleeps, and then makes an external
/// call. Without this wait, the amount of work that the engine finds when it polls would vary.
fn call(engine: &Engine, connection: &mut Connection, function: &str, body: &str) {
    wait_until("the engine to sleep", || process::is_asleep(engine.pid()));
    let response = connection.call(function, body.as_bytes());
    assert_eq!(response.status, 200, "{function}: {}", response.text());
}

/// Counts the instructions that the engine runs for each kind of call.
fn count(channel: Option<&str>) -> [(&'static str, usize, Profile); 2] {
    let program = workers::bench();
    let lines = channel.map(|channel| format!("channel = \"{channel}\"")).unwrap_or_default();
    let setup =
        Setup::new().function("Caller", &program, &lines).function("Empty", &program, &lines);
    let home = setup.home();
    let callgrind = Callgrind::new(home.path());
    let engine = home.start_under("valgrind", &callgrind.arguments());
    let mut connection = engine.connect();
    for _ in 0..WARM_UP {
        call(&engine, &mut connection, "Empty", "");
    }
    let external = callgrind.profile(&engine, || {
        for _ in 0..EXTERNAL_CALLS {
            call(&engine, &mut connection, "Empty", "");
        }
    });
    call(&engine, &mut connection, "Caller", &internal_calls(WARM_UP));
    let internal = callgrind.profile(&engine, || {
        call(&engine, &mut connection, "Caller", &internal_calls(INTERNAL_CALLS));
    });
    drop(connection);
    engine.stop();
    [("external", EXTERNAL_CALLS, external), ("internal", INTERNAL_CALLS, internal)]
}

/// Prints a count beside the kept one. Returns false if the count has grown too much.
fn compare(name: &str, now: u64, kept: u64) -> bool {
    let change = (now as f64 / kept as f64 - 1.0) * 100.0;
    println!("{name} call: {now} instructions of the engine, {kept} kept ({change:+.1} %)");
    if change < -MAX_OFF_PERCENT {
        println!("that is less by more than {MAX_OFF_PERCENT} %: keep it, by `make counts`");
    }
    change <= MAX_OFF_PERCENT
}

/// Prints the functions that run the most instructions of their own.
fn show(name: &str, calls: usize, profile: &Profile) {
    println!("instructions per {name} call, by function:");
    for (function, instructions) in profile.most(SHOWN) {
        let percent = instructions as f64 / profile.total as f64 * 100.0;
        println!("  {:6} {percent:4.1} %  {function}", instructions / calls as u64);
    }
}

fn main() -> ExitCode {
    let mut write = false;
    let mut channel = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--write" => write = true,
            name if !name.starts_with('-') && channel.is_none() => channel = Some(argument),
            _ => {
                eprintln!("nightcore-counts [--write] [CHANNEL]: what is {argument:?}?");
                return ExitCode::from(2);
            }
        }
    }
    if !callgrind::is_installed() {
        return ExitCode::SUCCESS;
    }
    let mut kept = Kept::read();
    let name = channel.as_deref().unwrap_or(DEFAULT_CHANNEL);
    if !write && kept.of(name).is_none() {
        let machine = std::env::consts::ARCH;
        println!(
            "skipped: no counts of {name} on {machine} are kept; \
             `make counts` writes those of this machine"
        );
        return ExitCode::SUCCESS;
    }
    let profiles = count(channel.as_deref());
    let counts: BTreeMap<String, u64> = profiles
        .iter()
        .map(|(kind, calls, profile)| ((*kind).to_owned(), profile.total / *calls as u64))
        .collect();
    let before = kept.of(name).unwrap_or_default();
    let mut grown = false;
    for (kind, calls, profile) in &profiles {
        let now = counts[*kind];
        let fits = match before.get(*kind) {
            Some(kept) => compare(kind, now, *kept),
            None => {
                println!("{kind} call: {now} instructions of the engine");
                write
            }
        };
        if !fits {
            grown = true;
            show(kind, *calls, profile);
        }
    }
    if write {
        kept.write(name, counts);
        return ExitCode::SUCCESS;
    }
    if grown {
        println!(
            "a call costs over {MAX_OFF_PERCENT} % more than it did; \
             if it is worth that, `make counts` keeps the new count"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
