//! `nightcore bench`

mod ending;
mod interrupt;
mod load;
mod report;
mod schedule;
mod tally;

use super::arguments::{Engine, check_name};
use super::engine_client::ask_status;
use super::exit::{EXIT_BAD_INPUT, EXIT_CALL_FAILED, EXIT_NO_ENGINE, Exit};
use super::invoke::body;
use super::output::print;
use crate::config::{format_duration, parse_duration};
use crate::engine_log::log;
use crate::launcher::raise_open_files;
use load::{BenchLoad, LoadEnd, Pace};
use nightcore_load::{Call, Client};
use nightcore_runtime::ipc::slice::{SHORTEST_SLICE_NS, ask_for_short_slice};
use nightcore_runtime::protocol::Status;
use report::{BenchParameters, BenchReport};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::time::Duration;

/// The maximum rate: more than this client, which has one thread, can send in a second. Beyond it,
/// only the client would be measured.
const MAX_RATE: i64 = 100_000;
/// The default rate: enough to see queues form, and few enough calls for any machine.
const DEFAULT_RATE: u32 = 1000;
/// The maximum number of connections. Each takes a descriptor here and one in the engine, and one
/// of the 28,000 ports that a client has by default.
const MAX_CONNECTIONS: i64 = 10_000;
/// The maximum duration, so that a run that is forgotten ends by itself.
const MAX_DURATION: Duration = Duration::from_secs(600);

/// The explanation of the numbers for the user.
const READING: &str = "\
Calls are due at the rate asked for, at random times (a Poisson process, the same in every run),
whatever becomes of those before. A call's latency counts from when it was due to the end of its
answer: what it waits for a free connection counts, too. Calls that fail are counted by error,
without a latency. The exit code is 1 if any failed.";

#[derive(clap::Args)]
#[command(after_help = READING)]
pub struct Bench {
    #[command(flatten)]
    engine: Engine,
    /// The function; it is called as a client calls it, over HTTP
    function: String,
    /// The body of each call; without it, standard input if that is not a terminal
    #[arg(short, long)]
    data: Option<String>,
    /// Calls a second
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RATE)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MAX_RATE))]
    rate: u32,
    /// A closed loop, for the highest throughput: each connection calls again when it has its
    /// answer, and no call is ever late
    #[arg(long, conflicts_with = "rate")]
    closed: bool,
    /// Kept connections, with one call at a time on each; when all are busy, calls wait
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS))]
    connections: u32,
    /// How long to measure, 10m at most; Ctrl-C ends it earlier
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = bounded_duration)]
    duration: Duration,
    /// How long to call before that, without measuring
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = bounded_duration)]
    warm_up: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(self) -> Result<(), Exit> {
        check_name(&self.function)?;
        let pace = if self.closed { Pace::Closed } else { Pace::Open(self.rate) };
        let nothing = match pace {
            Pace::Open(rate) => schedule::count(rate, self.duration) == 0,
            Pace::Closed => self.duration.is_zero(),
        };
        if nothing {
            let duration = format_duration(self.duration);
            return Err(Exit::new(
                EXIT_BAD_INPUT,
                format!("no call is due in {duration}; measure longer"),
            ));
        }
        let address = self.find()?;
        let path = format!("/function/{}", self.function);
        let call = Call::post(address, &path, &body(self.data)?);
        let asked = BenchParameters {
            function: &self.function,
            pace,
            connections: self.connections as usize,
            warm_up: self.warm_up,
            duration: self.duration,
        };
        let load = BenchLoad { call, pace, warm_up: self.warm_up, duration: self.duration };
        // Waiting for a processor on which other programs compute should not count as the latency
        // of answers.
        ask_for_short_slice(SHORTEST_SLICE_NS);
        let clients = connect(address, self.connections)?;
        if io::stderr().is_terminal() {
            let time = format_duration(self.warm_up + self.duration);
            log(&format!("calling {} for {time}; Ctrl-C ends it early", self.function));
        }
        let outcome = load::run(load, clients).map_err(Exit::bad_input)?;
        let report = BenchReport::new(asked, &outcome);
        print(if self.json { report.json() } else { report.text() })?;
        match (outcome.end, report.failure()) {
            (LoadEnd::Lost(error), _) => Err(Exit::new(EXIT_NO_ENGINE, format!("{error:#}"))),
            (_, Some(failure)) => Err(Exit::new(EXIT_CALL_FAILED, failure)),
            (_, None) => Ok(()),
        }
    }

    /// Returns the address at which the engine takes calls, if it has the function.
    fn find(&self) -> Result<SocketAddr, Exit> {
        let status = ask_status(&self.engine)?;
        let names: Vec<&str> =
            status.functions.iter().map(|function| function.name.as_str()).collect();
        if !names.contains(&self.function.as_str()) {
            let (function, error) = (&self.function, Status::NotFound.name());
            let names = names.join(", ");
            let text = format!(
                "{function}: {error}: there is no function {function:?}; there are: {names}"
            );
            return Err(Exit::new(EXIT_CALL_FAILED, text));
        }
        let address =
            status.address.strip_prefix("http://").and_then(|address| address.parse().ok());
        address.ok_or_else(|| {
            let text =
                format!("the engine is of another version: it listens on {}", status.address);
            Exit::new(EXIT_NO_ENGINE, text)
        })
    }
}

fn bounded_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration > MAX_DURATION {
        return Err(format!("{text} is more than {}", format_duration(MAX_DURATION)));
    }
    Ok(duration)
}

fn connect(address: SocketAddr, count: u32) -> Result<Vec<Client>, Exit> {
    // If the limit cannot be raised, it may be high enough as it is.
    let _ = raise_open_files();
    let mut clients = Vec::new();
    for number in 1..=count {
        let client = Client::connect(address);
        let client = client.map_err(|error| {
            let os_error = error.downcast_ref().and_then(io::Error::raw_os_error);
            match os_error {
                Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL) => Exit::new(
                    EXIT_BAD_INPUT,
                    format!("connection {number} of {count}: {error:#}; use fewer"),
                ),
                _ => Exit::new(EXIT_NO_ENGINE, format!("{error:#}")),
            }
        });
        clients.push(client?);
    }
    Ok(clients)
}
