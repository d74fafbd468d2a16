//! A closed loop of clients over HTTP/1.1: N kept connections, each with one call under way, on one
//! thread.
//!
//! It knows nothing of Nightcore, so that it can measure other servers too. It is small on purpose:
//! it runs on the machine that it measures, and the processor time that it uses is missing there.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::calls::http::{self, Head};
use crate::run::interrupt;

/// A head and a small answer arrive in one read.
const BUFFER_BYTES: usize = http::MAX_HEAD_BYTES * 2;
/// A request is written at once into an empty send buffer, which always has this much room.
const MAX_REQUEST_BYTES: usize = 4 * 1024;
/// The time without any answer after which a server counts as hanging.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// Latencies of 1 ns to a minute, to three digits.
const MAX_LATENCY_NS: u64 = 60_000_000_000;
const LATENCY_DIGITS: u8 = 3;
const MAX_EVENTS: usize = 256;

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
    /// The number of calls that were answered with 200; any other answer is an error.
    pub calls: u64,
    /// The time from the first request to the last answer.
    pub elapsed: Duration,
    /// Latency in ns.
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

/// One client.
struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    filled: usize,
    /// The head of the answer that is being read, and the number of bytes of its body that are
    /// missing.
    answer: Option<(Head, usize)>,
    sent: Instant,
    busy: bool,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Connection> {
        let stream = http::connect(address)?;
        stream.set_nonblocking(true)?;
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Ok(Connection {
            stream,
            buffer,
            filled: 0,
            answer: None,
            sent: Instant::now(),
            busy: false,
        })
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.sent = Instant::now();
        self.busy = true;
        let written = self.stream.write(request).context("cannot send a request")?;
        ensure!(
            written == request.len(),
            "a request of {} bytes was not taken whole",
            request.len()
        );
        Ok(())
    }

    /// Reads once. Returns true if the answer is complete.
    fn receive(&mut self, path: &str) -> Result<bool> {
        let got = match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => bail!("{path}: the server closed a connection"),
            Ok(got) => got,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(false);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read the answer of {path}"));
            }
        };
        ensure!(self.busy, "{path}: the server sent an answer that nobody asked for");
        let body_got = match self.answer {
            Some(_) => got,
            None => {
                self.filled += got;
                let Some(head) = http::parse_head(&self.buffer[..self.filled])? else {
                    return Ok(false);
                };
                let body = &self.buffer[head.head_bytes..self.filled];
                if head.status != 200 {
                    return Err(http::refusal(path, head.status, body));
                }
                ensure!(!head.closes, "{path}: the server does not keep connections");
                self.filled = 0;
                self.answer = Some((head, head.body_bytes));
                body.len()
            }
        };
        let Some((_, left)) = &mut self.answer else { return Ok(false) };
        *left = left
            .checked_sub(body_got)
            .with_context(|| format!("{path}: the server sent more than the length it told"))?;
        if *left > 0 {
            return Ok(false);
        }
        self.answer = None;
        self.busy = false;
        Ok(true)
    }
}

/// Runs the load to its end. Fails unless every call is answered.
pub fn run(load: &Load) -> Result<Outcome> {
    let request = http::post(load.address, load.path, load.body);
    ensure!(
        request.len() <= MAX_REQUEST_BYTES,
        "the load's request is longer than {MAX_REQUEST_BYTES} bytes"
    );
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot make an epoll")?;
    let mut connections = Vec::with_capacity(load.connections);
    for index in 0..load.connections {
        let connection = Connection::open(load.address)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        epoll.add(connection.stream.as_fd(), event).context("cannot watch a connection")?;
        connections.push(connection);
    }

    let mut latency_ns = Histogram::new_with_bounds(1, MAX_LATENCY_NS, LATENCY_DIGITS)?;
    let mut events = [EpollEvent::empty(); MAX_EVENTS];
    let poll_every = EpollTimeout::try_from(interrupt::POLL_EVERY)?;
    let start = Instant::now();
    let (mut issued, mut answered, mut last) = (0u64, 0u64, start);
    for connection in &mut connections {
        if issued < load.max_calls {
            connection.send(&request)?;
            issued += 1;
        }
    }
    while answered < issued {
        let ready = match epoll.wait(&mut events, poll_every) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error).context("cannot wait for answers"),
        };
        if ready == 0 {
            interrupt::check()?;
            let under_way = issued - answered;
            ensure!(
                last.elapsed() < STALLED_AFTER,
                "{}: {under_way} of {issued} calls were not answered for {} s",
                load.path,
                STALLED_AFTER.as_secs()
            );
        }
        for event in &events[..ready] {
            let connection = &mut connections[event.data() as usize];
            if !connection.receive(load.path)? {
                continue;
            }
            last = Instant::now();
            let took_ns = u64::try_from((last - connection.sent).as_nanos())?;
            latency_ns.saturating_record(took_ns);
            answered += 1;
            if issued < load.max_calls && last - start < load.max_time {
                connection.send(&request)?;
                issued += 1;
            }
        }
        // Checked here as well, so that a server that is always ready cannot delay an interrupt.
        interrupt::check()?;
    }
    Ok(Outcome { calls: answered, elapsed: last - start, latency_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers each connection's requests, which end with "ping", with `answer`, cut into pieces of
    /// `piece` bytes.
    fn serve(connections: usize, answer: &'static [u8], piece: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut request = Vec::new();
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        request.push(byte[0]);
                        if request.ends_with(b"\r\n\r\nping") {
                            request.clear();
                            for part in answer.chunks(piece) {
                                let _ = stream.write_all(part);
                            }
                        }
                    }
                });
            }
        });
        address
    }

    fn load(address: SocketAddr, connections: usize) -> Load<'static> {
        let max_time = Duration::from_secs(10);
        Load { address, path: "/x", body: b"ping", connections, max_calls: 100, max_time }
    }

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

    #[test]
    fn all_calls_are_answered_and_counted() {
        for piece in [1, 7, GOOD.len()] {
            let outcome = run(&load(serve(4, GOOD, piece), 4)).unwrap();
            assert_eq!((outcome.calls, outcome.latency_ns.len()), (100, 100));
        }
    }

    #[test]
    fn time_is_a_bound() {
        let address = serve(1, GOOD, GOOD.len());
        let outcome = run(&Load { max_time: Duration::ZERO, ..load(address, 1) }).unwrap();
        assert_eq!(outcome.calls, 1);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_body() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
        let error = run(&load(serve(1, answer, answer.len()), 1)).unwrap_err();
        assert_eq!(error.to_string(), "/x answered 404: gone");
    }

    #[test]
    fn too_long_an_answer_is_an_error() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npongpong";
        assert!(run(&load(serve(1, answer, answer.len()), 1)).is_err());
    }

    #[test]
    fn one_call_returns_the_body() {
        let address = serve(1, GOOD, 3);
        assert_eq!(
            http::call_once(address, "/x", b"ping", Duration::from_secs(5)).unwrap(),
            b"pong"
        );
    }
}
