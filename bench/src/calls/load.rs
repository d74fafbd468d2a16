//! A closed loop of clients over HTTP/1.1: N kept-alive connections, each with one call under way.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use nightcore_load::{Answer, Call, Client, Next, Sent, Workload, now_ns};

use crate::calls::http;
use crate::run::interrupt;

/// The time without any answer after which a server counts as hanging.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// The longest latency that is recorded, one minute. Longer ones count as this long.
const MAX_LATENCY_NS: u64 = 60_000_000_000;
/// The number of significant digits of a recorded latency.
const LATENCY_DIGITS: u8 = 3;

/// A load. It stops at whichever limit is reached first.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The server.
    pub address: SocketAddr,
    /// The path to post to.
    pub path: &'a str,
    /// The body of each request.
    pub body: &'a [u8],
    /// The number of clients.
    pub connections: usize,
    /// The maximum number of calls.
    pub max_calls: u64,
    /// The time after which no new call begins.
    pub max_time: Duration,
}

/// The result of a load.
#[derive(Debug)]
pub struct Outcome {
    /// The number of calls that were answered with 200. Any other answer is an error.
    pub calls: u64,
    /// The time from the first request to the last answer.
    pub elapsed: Duration,
    /// The latencies of the calls, in ns.
    pub latency_ns: Histogram<u64>,
}

impl Outcome {
    /// Returns the calls per second.
    pub fn per_second(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns a quantile of the latency, in µs.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.latency_ns.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// The state of a running load.
struct ClosedLoop<'a> {
    load: &'a Load<'a>,
    start: u64,
    issued: u64,
    answered: u64,
    /// The time of the last answer, in ns of the monotonic clock.
    last: u64,
    latency_ns: Histogram<u64>,
}

impl Workload for ClosedLoop<'_> {
    fn next(&mut self, now: u64) -> Next {
        let Load { connections, max_calls, max_time, .. } = *self.load;
        let is_first = self.issued < connections as u64;
        let is_in_time = u128::from(self.last - self.start) < max_time.as_nanos();
        if self.issued == max_calls || !(is_first || is_in_time) {
            return Next::Never;
        }
        self.issued += 1;
        Next::Due(now)
    }

    fn ended(&mut self, call: Sent, now: u64, answer: Result<Answer>) -> Result<()> {
        let path = self.load.path;
        let Answer { head, body } = answer.with_context(|| path.to_owned())?;
        if head.status != 200 {
            return Err(http::refusal(path, head.status, &body));
        }
        ensure!(!head.closes, "{path}: the server does not keep connections");
        self.last = now;
        self.latency_ns.saturating_record(now - call.at);
        self.answered += 1;
        Ok(())
    }

    fn is_over(&mut self, now: u64) -> Result<bool> {
        interrupt::check()?;
        let (issued, under_way) = (self.issued, self.issued - self.answered);
        ensure!(
            u128::from(now - self.last) < STALLED_AFTER.as_nanos(),
            "{}: {under_way} of {issued} calls were not answered for {} s",
            self.load.path,
            STALLED_AFTER.as_secs()
        );
        Ok(false)
    }
}

/// Runs the load to its end. Fails unless every call is answered.
pub fn run(load: &Load) -> Result<Outcome> {
    let call = Call::post(load.address, load.path, load.body);
    let clients: Result<Vec<Client>> =
        (0..load.connections).map(|_| Client::connect(load.address)).collect();
    let clients = clients?;
    let latency_ns = Histogram::new_with_bounds(1, MAX_LATENCY_NS, LATENCY_DIGITS)?;
    let start = now_ns();
    let mut state = ClosedLoop { load, start, issued: 0, answered: 0, last: start, latency_ns };
    nightcore_load::run(&call, clients, &mut state)?;
    let elapsed = Duration::from_nanos(state.last - start);
    Ok(Outcome { calls: state.answered, elapsed, latency_ns: state.latency_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers the requests of one connection. Each request must end with "ping".
    fn serve(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                request.push(byte[0]);
                if request.ends_with(b"\r\n\r\nping") {
                    request.clear();
                    let _ = stream.write_all(answer);
                }
            }
        });
        address
    }

    fn load(address: SocketAddr) -> Load<'static> {
        let max_time = Duration::from_secs(10);
        Load { address, path: "/x", body: b"ping", connections: 1, max_calls: 100, max_time }
    }

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

    #[test]
    fn all_calls_are_answered_and_counted() {
        let outcome = run(&load(serve(GOOD))).unwrap();
        assert_eq!((outcome.calls, outcome.latency_ns.len()), (100, 100));
    }

    #[test]
    fn a_load_stops_after_its_maximum_time() {
        let outcome = run(&Load { max_time: Duration::ZERO, ..load(serve(GOOD)) }).unwrap();
        assert_eq!(outcome.calls, 1);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_body() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
        let error = run(&load(serve(answer))).unwrap_err();
        assert_eq!(error.to_string(), "/x answered 404: gone");
    }

    #[test]
    fn a_server_that_does_not_keep_connections_is_an_error() {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npong";
        assert!(run(&load(serve(answer))).is_err());
    }

    #[test]
    fn one_call_returns_the_body() {
        let within = Duration::from_secs(5);
        assert_eq!(http::call_once(serve(GOOD), "/x", b"ping", within).unwrap(), b"pong");
    }
}
