//! Idle clients that take every connection that clients may have, while a container is killed.

use crate::functions::Function;
use crate::ledger::Finding;
use crate::probe::Probe;
use crate::windows::Without;
use harness::process;
use nix::sys::signal::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Descriptors of each engine. Clients may have half of them.
pub const DESCRIPTORS: u64 = 2048;
/// As many connections as the engine has descriptors: an engine that keeps none for itself has none
/// left for a new process.
const CONNECTIONS: u64 = DESCRIPTORS;
/// Descriptors that are never for clients. Beside those of clients an engine has some 500 at most.
const KEPT: u64 = DESCRIPTORS / 8;
/// The engine has seen all clients by then, whatever else happens to it.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// Opens the connections, kills the function's container, and closes them when the function has
/// answered again and so much time has passed.
pub fn run(mut probe: Probe, function: &Function, engine: i32, container: i32, lasts: Duration) {
    probe.ledger().begin(Without::Room);
    probe.ledger().begin(Without::Accepting);
    let connections = (0..CONNECTIONS).map_while(|_| TcpStream::connect(probe.address).ok());
    let connections: Vec<TcpStream> = connections.collect();
    // The engine takes connections up in their order: when this call has ended it has seen all.
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
