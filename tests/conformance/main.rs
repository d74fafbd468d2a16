//! The conformance suite. For each kind of channel it starts an engine with the worker of every
//! language. It runs every case against each worker, and every pair of caller and callee. SPEC.md
//! says what the workers do.

mod ask;
mod cases;
mod languages;
mod leaving;
mod matrix;
mod options;
mod pairs;

use ask::{On, Outcome, Wrong};
use cases::{BROKEN, Case, FAILING, MAX_BODY, MAX_DEPTH, Subject, TIMEOUT_MS};
use harness::{Engine, Setup, nightcore};
use languages::Language;
use options::Options;
use pairs::Pair;
use std::process::ExitCode;
use std::time::Instant;

/// A language in this run.
#[derive(Clone)]
struct Player {
    language: &'static Language,
    /// The reason why the language's worker cannot take part; `None` if it can.
    out: Option<String>,
}

/// The descriptions of all failures.
type Failures = Vec<String>;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(said) => {
            eprintln!("{said}");
            return ExitCode::from(2);
        }
    };
    let (setup, players) = build(&options.languages);
    let began = Instant::now();
    let mut failures: Failures = Vec::new();
    let mut count = 0;
    for (at, channel) in options.channels.iter().enumerate() {
        // Calls between two languages do not depend on the channel that carries the bytes.
        let pairs = if at == 0 { options.pairs.as_slice() } else { &[] };
        if options.cases.is_empty() && pairs.is_empty() {
            continue;
        }
        println!("\nOver {channel}:");
        let mut wrong = Failures::new();
        count += run(
            &setup.clone().channel(channel),
            players.clone(),
            &options.cases,
            pairs,
            &mut wrong,
        );
        failures.extend(wrong.into_iter().map(|failure| format!("over {channel}: {failure}")));
    }
    println!();
    for failure in &failures {
        println!("FAILED {failure}\n");
    }
    let took = began.elapsed().as_secs_f64();
    if failures.is_empty() {
        println!("{count} checks in {took:.1} s: all languages agree");
        return ExitCode::SUCCESS;
    }
    println!("failures: {}; {count} checks in {took:.1} s", failures.len());
    ExitCode::FAILURE
}

/// Runs cases and pairs in one engine. Returns the number of checks.
fn run(
    setup: &Setup,
    mut players: Vec<Player>,
    cases: &[&'static Case],
    pairs: &[&'static Pair],
    failures: &mut Failures,
) -> usize {
    let engine = setup.home().start_some();
    exclude_unstarted(&engine, &mut players);
    for player in &players {
        if let Some(reason) = &player.out {
            failures.push(format!("{}: {}", player.language.function, indented(reason)));
        }
    }
    let mut count = 0;
    if !cases.is_empty() {
        count += by_language(&engine, &players, cases, failures);
    }
    if !pairs.is_empty() {
        count += by_pair(&engine, &players, pairs, failures);
        count += 1;
        through_all(&engine, &players, failures);
        count += by_last(&engine, &players, failures);
    }
    engine.stop();
    count
}

/// Builds every worker. Returns a setup with the functions of the workers that could be built, and
/// all languages, with the reason for each one whose worker could not be built.
fn build(languages: &[&'static Language]) -> (Setup, Vec<Player>) {
    let limits = format!("timeout = \"{TIMEOUT_MS}ms\"\nmax_depth = {MAX_DEPTH}\n");
    let spare = "workers = { min = 1, max = 1 }\nqueue = { calls = 1 }\nexpose_errors = true\n";
    let spare = format!("{limits}{spare}");
    let neutral = nightcore().with_file_name("hello-rust");
    let mut setup = Setup::new().gateway(&format!("max_body = \"{MAX_BODY}B\""));
    setup = setup.command(BROKEN, &["/bin/sh", "-c", "exit 2"], "").function(FAILING, &neutral, "");
    let mut players = Vec::new();
    for language in languages {
        let began = Instant::now();
        let built = language.build();
        println!("built {:8} {:5.1} s", language.name, began.elapsed().as_secs_f64());
        let out = match built {
            Ok(command) => {
                let (name, spare_name) = (language.function, language.spare());
                let mut words: Vec<&str> =
                    command.iter().map(String::as_str).chain([name]).collect();
                setup = setup.command(name, &words, &limits);
                words.pop();
                words.push(&spare_name);
                setup = setup.command(&spare_name, &words, &spare);
                if let Some(app) = language.app() {
                    words.pop();
                    words.push(&app);
                    let route = format!("{limits}route = \"{}\"\n", cases::route(language));
                    setup = setup.command(&app, &words, &route);
                }
                None
            }
            Err(reason) => Some(format!("its worker cannot be built:\n{reason}")),
        };
        players.push(Player { language, out });
    }
    (setup, players)
}

/// Excludes the languages whose workers did not start.
fn exclude_unstarted(engine: &Engine, players: &mut [Player]) {
    let failed = engine.ready_line().rsplit_once("failed: ").map_or("", |(_, names)| names);
    for player in players.iter_mut().filter(|player| player.out.is_none()) {
        let names = [player.language.function.to_owned(), player.language.spare()];
        if failed.split(", ").any(|failed| names.iter().any(|name| name == failed)) {
            let log = engine.nightcore("logs", &["-n", "20", player.language.function]).text();
            player.out = Some(format!("its worker does not start:\n{log}"));
        }
    }
}

/// Returns the table cell for a check. If the check failed, adds a description to `failures`.
fn cell(outcome: Outcome, what: &str, failures: &mut Failures) -> String {
    let Err(Wrong { asked, expected, got }) = outcome else { return "ok".into() };
    failures.push(format!(
        "{what}\n    asked     {asked}\n    expected  {expected}\n    got       {got}"
    ));
    "FAILED".into()
}

fn columns(players: &[Player]) -> Vec<String> {
    players.iter().map(|player| player.language.function.to_owned()).collect()
}

/// Runs every case in every language, and prints a table. Returns the number of checks.
fn by_language(
    engine: &Engine,
    players: &[Player],
    cases: &[&'static Case],
    failures: &mut Failures,
) -> usize {
    let mut rows: Vec<(String, Vec<String>)> =
        cases.iter().map(|case| (case.name.to_owned(), Vec::new())).collect();
    for player in players {
        let language = player.language;
        let spare = language.spare();
        let subject = Subject {
            language,
            on: On { engine, function: language.function },
            spare: On { engine, function: &spare },
        };
        for (case, (_, cells)) in cases.iter().zip(&mut rows) {
            cells.push(match player.out {
                Some(_) => "FAILED".into(),
                None => cell(
                    (case.run)(&subject),
                    &format!("{}: {}", language.function, case.name),
                    failures,
                ),
            });
        }
    }
    matrix::print("case", &columns(players), &rows);
    cases.len() * players.len()
}

/// Runs every pair of caller and callee, and prints a table. Returns the number of checks.
fn by_pair(
    engine: &Engine,
    players: &[Player],
    pairs: &[&'static Pair],
    failures: &mut Failures,
) -> usize {
    let mut rows = Vec::new();
    for caller in players {
        let on = On { engine, function: caller.language.function };
        let mut cells = Vec::new();
        for callee in players {
            let name = callee.language.function;
            if caller.out.is_some() || callee.out.is_some() {
                cells.push("FAILED".into());
                continue;
            }
            let mut bad = Vec::new();
            for pair in pairs {
                let what = format!("{} calls {name}: {}", on.function, pair.name);
                if cell((pair.run)(&on, name), &what, failures) != "ok" {
                    bad.push(pair.name);
                }
            }
            cells.push(if bad.is_empty() {
                "ok".into()
            } else {
                format!("FAILED: {}", bad.join(", "))
            });
        }
        rows.push((on.function.to_owned(), cells));
    }
    let names: Vec<&str> = pairs.iter().map(|pair| pair.name).collect();
    matrix::print("caller \\ callee", &columns(players), &rows);
    println!("\nEach pair: {}.", names.join(", "));
    pairs.len() * players.len() * players.len()
}

/// Sends one request through every language and back to the first one.
fn through_all(engine: &Engine, players: &[Player], failures: &mut Failures) {
    let names: Vec<&str> =
        players.iter().filter(|p| p.out.is_none()).map(|player| player.language.function).collect();
    let Some(first) = names.first() else { return };
    let route = [&names[1..], &[first]].concat().join(",");
    let expected = format!("begin>{}", names.join(">"));
    let outcome = On { engine, function: first }
        .ask("chain")
        .with("route", route)
        .body("begin")
        .answers(&expected);
    println!(
        "Through all: {expected}>{first}: {}",
        cell(outcome, "the chain through all languages", failures)
    );
}

/// Measures how soon each function, as the last of a chain, notices that a client has left.
fn by_last(engine: &Engine, players: &[Player], failures: &mut Failures) -> usize {
    let ready: Vec<&Player> = players.iter().filter(|player| player.out.is_none()).collect();
    let there: Vec<&str> = ready.iter().map(|player| player.language.function).collect();
    let mut rows = Vec::new();
    for last in &there {
        let way = leaving::way(last, &there);
        let what = format!("{last}: notices that a client has left");
        let cells = match leaving::measure(engine, &way) {
            Ok(noticed) => {
                let us = |percent| format!("{:.0}", noticed.percent(percent).as_secs_f64() * 1e6);
                vec![us(50), us(99), cell(noticed.is_soon(), &what, failures)]
            }
            Err(wrong) => vec![String::new(), String::new(), cell(Err(wrong), &what, failures)],
        };
        rows.push((way.join(">"), cells));
    }
    let columns = ["p50 us", "p99 us", "in time"].map(str::to_owned);
    matrix::print("notices that a client has left", &columns, &rows);
    rows.len()
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}
