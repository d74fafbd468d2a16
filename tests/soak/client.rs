//! A client: a process with several connections, which is killed and stopped like the others. It
//! reports each call on its standard output before it begins and after it has ended. It ends when
//! its standard input ends.

use crate::call::Call;
use crate::functions::Function;
use crate::outcome::{ClientReport, Outcome, Received, Summary, Times, receive};
use harness::Connection;
use nightcore_runtime::clock::now_ns;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The number of a client's connections, each with a call under way.
pub const CONNECTIONS: u64 = 6;
/// The pause after a call that was refused for lack of a worker, as the answer demands.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
/// The pause between two attempts to connect to an engine.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// The orders for a client, as words of a command line.
#[derive(Clone, Debug)]
pub struct Orders {
    pub address: SocketAddr,
    pub seed: u64,
    /// The id of its first call.
    pub first: u64,
    /// The maximum number of calls.
    pub calls: u64,
    /// Whether its calls cause no harm.
    pub calm: bool,
    pub functions: Vec<Function>,
}

impl Orders {
    /// Returns the orders as words of a command line.
    pub fn words(&self) -> Vec<String> {
        let Orders { address, seed, first, calls, calm, functions } = self;
        let mut words: Vec<String> = [
            address.to_string(),
            seed.to_string(),
            first.to_string(),
            calls.to_string(),
            calm.to_string(),
        ]
        .into();
        words.extend(functions.iter().map(Function::word));
        words
    }

    /// Parses such words.
    pub fn from_words(mut words: impl Iterator<Item = String>) -> Option<Orders> {
        let mut word = || words.next();
        Some(Orders {
            address: word()?.parse().ok()?,
            seed: word()?.parse().ok()?,
            first: word()?.parse().ok()?,
            calls: word()?.parse().ok()?,
            calm: word()?.parse().ok()?,
            functions: words.map(|word| Function::from_word(&word)).collect::<Option<_>>()?,
        })
    }
}

/// Runs a client to its end.
pub fn run(orders: &Orders) {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let connections: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(|| connection(orders, &next, &stop))).collect();
        let stop = &stop;
        // This thread is detached when all calls were made: nothing ends its read but the end of
        // the input.
        std::thread::Builder::new()
            .spawn_scoped(scope, move || {
                let _ = std::io::stdin().read(&mut [0]);
                stop.store(true, Ordering::Relaxed);
            })
            .expect("a thread can be made");
        for connection in connections {
            connection.join().expect("a connection does not panic");
        }
        std::process::exit(0);
    });
}

/// Reports in one write, so that a report is complete, or missing if this process is killed.
fn tell(told: &ClientReport) {
    if std::io::stdout().lock().write_all(told.line().as_bytes()).is_err() {
        std::process::exit(1);
    }
}

fn connection(orders: &Orders, next: &AtomicU64, stop: &AtomicBool) {
    // The times are those at which the connection was opened and its last call was sent.
    let mut connection: Option<(Connection, u64, u64)> = None;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= orders.calls {
            return;
        }
        let call = Call::new(orders.seed, orders.first + number, &orders.functions, orders.calm);
        let id = call.id;
        let headers = call.headers();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        tell(&ClientReport::Begins { id });
        let opening = now_ns();
        let is_first = connection.is_none();
        if is_first {
            match Connection::try_open(orders.address) {
                Ok(open) => connection = Some((open, opening, opening)),
                Err(error) => {
                    let outcome = Outcome::Lost(error.to_string());
                    let times = Times {
                        opened: opening,
                        idle_since: opening,
                        is_first,
                        began: opening,
                        ended: now_ns(),
                    };
                    tell(&ClientReport::Ended { id, call: Summary::of(&call), times, outcome });
                    wait_for_engine(orders.address, stop);
                    continue;
                }
            }
        }
        let Some((open, opened, idle_since)) = &mut connection else { continue };
        // The gateway may answer before all of the request is sent.
        let _ = open.send("POST", &call.path(), &headers, call.body());
        let began = now_ns();
        let Received { outcome, stays_open } = receive(open, &call);
        let times =
            Times { opened: *opened, idle_since: *idle_since, is_first, began, ended: now_ns() };
        *idle_since = began;
        let refusals = ["UNAVAILABLE", "OVERLOADED"];
        let refused = matches!(&outcome, Outcome::Error(text)
            if refusals.iter().any(|refusal| text.starts_with(refusal)));
        if !stays_open {
            connection = None;
        }
        tell(&ClientReport::Ended { id, call: Summary::of(&call), times, outcome });
        if refused {
            std::thread::sleep(REFUSED_PAUSE);
        }
    }
}

fn wait_for_engine(address: SocketAddr, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && std::net::TcpStream::connect(address).is_err() {
        std::thread::sleep(CONNECT_PAUSE);
    }
}
