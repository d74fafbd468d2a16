//! Measures how soon the last of five functions in five languages notices that the client has
//! left. Each language is the last one in turn.

use crate::ask::{On, Outcome, SOON, Wrong};
use harness::Engine;
use harness::wait::find_within;
use nightcore_runtime::clock::now_ns;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

/// The functions before the last one.
const WAY: [&str; 4] = ["C", "Go", "Asyncio", "Node"];
/// The number of clients that leave, for each language.
const ROUNDS: usize = 100;
/// The limit for the 99th percentile of the times. It allows for a machine that is busy with other
/// work. `bench/README.md` says which times are good.
const NOTICED_WITHIN: Duration = Duration::from_millis(100);

/// Reads the lines that a function prints, as they arrive in its log.
struct Printed {
    log: PathBuf,
    /// `None` until the log exists, which is when the function prints its first line.
    reader: Option<BufReader<File>>,
}

impl Printed {
    fn by(on: &On<'_>) -> Printed {
        let log = on.engine.home().directory().join("logs").join(format!("{}.log", on.function));
        Printed { log, reader: None }
    }

    /// Waits for a line that begins with `begin`, and returns the rest of that line.
    fn rest_of_line(&mut self, begin: &str) -> Option<String> {
        let mut line = String::new();
        find_within(SOON, || {
            if self.reader.is_none() {
                self.reader = File::open(&self.log).ok().map(BufReader::new);
            }
            let reader = self.reader.as_mut()?;
            // `line` keeps the beginning of a line that is not complete yet.
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
                // The log has lines of the form TIME PID CALL LINE.
                let rest =
                    line.trim_end().splitn(4, ' ').nth(3).and_then(|line| line.strip_prefix(begin));
                if rest.is_some() {
                    return rest.map(str::to_owned);
                }
                line.clear();
            }
            None
        })
    }
}

/// The times between a client's leaving and the moment when a function noticed it, sorted.
pub struct Noticed(Vec<Duration>);

impl Noticed {
    /// Returns this percentile of the times.
    pub fn percent(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    /// Checks that 99 % of the times are within [`NOTICED_WITHIN`].
    pub fn is_soon(&self) -> Outcome {
        let slow = self.percent(99);
        if slow <= NOTICED_WITHIN {
            return Ok(());
        }
        let asked = format!("{ROUNDS} clients that leave");
        Err(Wrong {
            asked,
            expected: format!("p99 at most {NOTICED_WITHIN:?}"),
            got: format!("{slow:?}"),
        })
    }
}

/// Returns the chain of functions that ends with `last`, without those that are not in `there`.
pub fn way(last: &str, there: &[&str]) -> Vec<String> {
    WAY.iter()
        .filter(|name| there.contains(name))
        .chain([&last])
        .map(|name| (*name).to_owned())
        .collect()
}

/// Calls the first function of `way` and closes the connection while the last function waits.
/// Repeats this for [`ROUNDS`] clients.
pub fn measure(engine: &Engine, way: &[String]) -> Result<Noticed, Wrong> {
    let [first, rest @ ..] = way else { return Ok(Noticed(vec![Duration::ZERO])) };
    let last = On { engine, function: way.last().unwrap_or(first) };
    let wrong = |expected: &str, got: String| Wrong {
        asked: format!("a client of {} that leaves", way.join(">")),
        expected: expected.into(),
        got,
    };
    let mut printed = Printed::by(&last);
    let mut noticed = Vec::new();
    for round in 0..ROUNDS {
        let ask = On { engine, function: first }.ask("chain").with("route", rest.join(","));
        let ask = match rest {
            [] => On { engine, function: first }.ask("wait_for_cancel"),
            _ => ask.with("to", "wait_for_cancel"),
        };
        let name = format!("leaves-{round}");
        let connection = ask.body(name.clone()).send()?;
        let body = [&[name], &way[..way.len() - 1]].concat().join(">");
        let silent = |what: &str| wrong(what, format!("the log of {} without it", last.function));
        printed.rest_of_line(&format!("waiting {body}")).ok_or_else(|| silent("that it waits"))?;
        let left_at = now_ns();
        drop(connection);
        let at = printed.rest_of_line(&format!("noticed {body} at "));
        let at: u64 = at.and_then(|at| at.parse().ok()).ok_or_else(|| silent("when it noticed"))?;
        let after = at.checked_sub(left_at);
        noticed.push(Duration::from_nanos(
            after.ok_or_else(|| wrong("a time after it left", at.to_string()))?,
        ));
    }
    noticed.sort_unstable();
    Ok(Noticed(noticed))
}
