//! A fault: idle clients take every connection that clients may have, while a container is killed.

use crate::functions::Function;
use crate::ledger::Finding;
use crate::probe::Probe;
use crate::windows::Without;
use harness::process;
use nix::sys::signal::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The number of an engine's descriptors. Clients may have half of them.
pub const DESCRIPTORS: u64 = 2048;
/// The number of connections. It equals the number of the engine's descriptors, so an engine that
/// reserved none for itself would have none left for a new process.
const CONNECTIONS: u64 = DESCRIPTORS;
/// The number of descriptors that clients never get. Besides those of clients, an engine has at
/// most about 500.
const KEPT: u64 = DESCRIPTORS / 8;
/// The time within which the engine has seen all clients, whatever else happens to it.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// Opens the connections and kills the function's container. Closes the connections when the
/// function has answered again and `lasts` has passed.
pub fn run(mut probe: Probe, function: &Function, engine: i32, container: i32, lasts: Duration) {
    probe.ledger().begin(Without::Room);
    probe.ledger().begin(Without::Accepting);
    let connections = (0..CONNECTIONS).map_while(|_| TcpStream::connect(probe.address).ok());
    let connections: Vec<TcpStream> = connections.collect();
    // The engine accepts connections in order, so after this call it has seen all of them.
    let began = Instant::now();
    probe.call(function);
    probe.ledger().end(Without::Accepting);
    let took = began.elapsed();
    if took > ACCEPTED_WITHIN {
        probe.find(Finding::Hung, &format!("a call behind idle clients took {took:?}"));
    }
    let has = process::descriptor_count(engine) as u64;
    if has > DESCRIPTORS - KEPT {
        let text = format!("clients left the engine {} descriptors", DESCRIPTORS - has);
        probe.find(Finding::LeftOver, &text);
    }
    process::signal(container, Signal::SIGKILL);
    probe.until_answered(function, "while idle clients hold all connections");
    std::thread::sleep(lasts);
    drop(connections);
    probe.ledger().end(Without::Room);
}
