//! Clients that call a function repeatedly, until they are stopped.

use crate::http::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// How one call ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The time at which it was sent.
    pub began: Instant,
    /// The time at which it ended.
    pub ended: Instant,
    /// The status; `None` if the connection ended instead.
    pub status: Option<u16>,
    /// The body, or the reason why there is none.
    pub text: String,
}

/// A load, which ends when it is dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Load {
    /// Starts this many clients, each with a connection of its own.
    pub fn start(address: SocketAddr, clients: usize, function: &str, body: &[u8]) -> Load {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |_| {
            let (stop, ended) = (stop.clone(), ended.clone());
            let (function, body) = (function.to_owned(), body.to_owned());
            std::thread::spawn(move || client(address, &stop, &ended, &function, &body))
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, ended, clients }
    }

    /// Returns the number of calls that have ended.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    /// Stops the load and returns the outcome of every call.
    pub fn stop(mut self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        let clients = std::mem::take(&mut self.clients).into_iter();
        clients.flat_map(|client| client.join().expect("a client does not panic")).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes calls until the load is stopped or the connection ends. The client does not reconnect.
fn client(
    address: SocketAddr,
    stop: &AtomicBool,
    ended: &AtomicUsize,
    function: &str,
    body: &[u8],
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let Ok(mut connection) = Connection::try_open(address) else { return outcomes };
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let result = connection.try_call(function, body);
        let (status, text) = match result {
            Ok(response) => (Some(response.status), response.text()),
            Err(error) => (None, error.to_string()),
        };
        outcomes.push(Outcome { began, ended: Instant::now(), status, text });
        ended.fetch_add(1, Ordering::Relaxed);
        if status.is_none() {
            break;
        }
    }
    outcomes
}
