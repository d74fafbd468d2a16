//! `make soak`: mixed load on the conformance workers of every language, each answer held to what it must be; between
//! rounds of load, when nothing is under way, memory, threads and descriptors of every process are looked at.

#[allow(dead_code)] // What the conformance suite asks of a language.
#[path = "../conformance/languages.rs"]
mod languages;
mod load;
mod usage;

use harness::{Engine, Setup, wait::wait_until_within};
use languages::LANGUAGES;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use usage::Usage;

/// Rounds of load. Those before `WARM` are warm-up.
const ROUNDS: usize = 12;
const WARM: usize = 4;
/// Rounds whose medians are compared: the first of these after the warm-up, and the last.
const COMPARED: usize = 3;
/// Clients, each with a connection of its own.
const CLIENTS: u64 = 12;
/// Seconds of the whole run, unless the first argument says more.
const DEFAULT_SECONDS: u64 = 600;
/// Threads that the load left behind are retired within 3 s, the load itself is forgotten within 10 s.
const SETTLE: Duration = Duration::from_secs(14);
/// Everything under way ends by its deadline.
const QUIET_WITHIN: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let seconds = match std::env::args().nth(1).map_or(Ok(DEFAULT_SECONDS), |given| given.parse()) {
        Ok(seconds) => seconds,
        Err(_) => {
            eprintln!("usage: nightcore-soak [SECONDS]");
            return ExitCode::from(2);
        }
    };
    let (engine, functions) = start();
    let time = Duration::from_secs(seconds)
        .checked_div(ROUNDS as u32)
        .map_or(Duration::ZERO, |each| each.saturating_sub(SETTLE))
        .max(Duration::from_secs(2));
    let began = Instant::now();
    let mut calls = load::Tally::default();
    let mut samples: Vec<Vec<Usage>> = Vec::new();
    for number in 1..=ROUNDS {
        let round = run(&engine, &functions, number, time);
        for wrong in &round.wrong {
            println!("FAILED {wrong}");
        }
        calls.add(round);
        quiet(&engine);
        samples.push(usage::of(&engine, &functions));
        println!("round {number} of {ROUNDS}, {:.0} s: {calls}", began.elapsed().as_secs_f64());
    }
    let ended = ended(&engine);
    let grown = usage::compare(&samples[WARM..WARM + COMPARED], &samples[ROUNDS - COMPARED..]);
    engine.stop();
    for wrong in ended.iter().chain(&grown) {
        println!("FAILED {wrong}");
    }
    calls.wrong.extend(ended);
    println!(
        "soak: {} calls in {:.0} s over {} languages, {} wrong, {} grown",
        calls.count,
        began.elapsed().as_secs_f64(),
        functions.len(),
        calls.wrong.len(),
        grown.len()
    );
    if calls.wrong.is_empty() && grown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// An engine with a function in every language.
fn start() -> (Engine, Vec<&'static str>) {
    let mut setup = Setup::new();
    let mut functions = Vec::new();
    for language in &LANGUAGES {
        match language.build() {
            Ok(command) => {
                let words: Vec<&str> =
                    command.iter().map(String::as_str).chain([language.function]).collect();
                setup = setup.command(language.function, &words, "");
                functions.push(language.function);
            }
            Err(reason) => println!("skipped: {}: {reason}", language.function),
        }
    }
    (setup.start(), functions)
}

fn run(engine: &Engine, functions: &[&'static str], round: usize, time: Duration) -> load::Tally {
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, functions, stop) = (engine.address(), functions.to_vec(), stop.clone());
            let seed = 1 + client + CLIENTS * round as u64;
            std::thread::spawn(move || load::run(address, &functions, seed, &stop))
        })
        .collect();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let mut tally = load::Tally::default();
    for client in clients {
        tally.add(client.join().expect("a client does not panic"));
    }
    tally
}

/// The functions whose processes have ended, each with what it said last.
fn ended(engine: &Engine) -> Vec<String> {
    let ended = engine.status().functions.into_iter().filter(|function| function.restarts > 0);
    ended
        .map(|function| {
            let log = engine.nightcore("logs", &[&function.name]).text();
            // But for what the workers print when all is well.
            let odd = log.lines().filter(|line| {
                !["waiting x", "cancelled x"].iter().any(|ordinary| line.ends_with(ordinary))
                    && !line.contains("noticed x at ")
            });
            let log: Vec<&str> = odd.take(30).collect();
            let log = log.join("\n");
            let how = function.last_end.unwrap_or_default();
            format!(
                "{} was started again {} times, last after {how}:\n{log}",
                function.name, function.restarts
            )
        })
        .collect()
}

/// Waits until nothing is under way and the load is forgotten.
fn quiet(engine: &Engine) {
    wait_until_within("all calls to have ended", QUIET_WITHIN, || {
        engine.status().functions.iter().all(|f| f.queued == 0 && f.running == 0 && f.waiting == 0)
    });
    std::thread::sleep(SETTLE);
}
