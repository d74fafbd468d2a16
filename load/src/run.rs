//! Runs a load: starts calls when they are due and a client is idle, and takes their answers.

use crate::client::{Answer, Call, Client};
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::Duration;

/// The longest time between two checks of whether the load is over, in ms.
const ASK_EVERY_MS: u16 = 100;
const MAX_EVENTS: usize = 256;
/// The size of the read buffer. The head and the body of a small answer fit, so that one read
/// returns both.
const BUFFER_BYTES: usize = 64 * 1024;
/// The number by which epoll identifies the timer's events. No client has this number.
const TIMER: u64 = u64::MAX;

/// Returns the time of the monotonic clock, in ns.
pub fn now_ns() -> u64 {
    // CLOCK_MONOTONIC always exists on Linux, and is never negative.
    clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// A call that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The time at which the call was due, in ns of the monotonic clock.
    pub due: u64,
    /// The time at which the call was sent, in ns of the monotonic clock.
    pub at: u64,
}

/// The next call of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A call has been due since this time, and is sent now.
    Due(u64),
    /// No call is due before this time.
    At(u64),
    /// No call is left.
    Never,
}

/// Decides when calls are due, and takes their answers.
pub trait Workload {
    /// Returns the next call. This function is called whenever a client is idle and a call may be
    /// due.
    fn next(&mut self, now: u64) -> Next;

    /// Takes the answer to a call, or the error if the connection ended before the answer was
    /// complete.
    ///
    /// # Errors
    ///
    /// Fails if the load cannot continue.
    fn ended(&mut self, call: Sent, now: u64, answer: Result<Answer>) -> Result<()>;

    /// Returns whether the load ends now, even with calls under way. This function is called
    /// several times per second.
    ///
    /// # Errors
    ///
    /// Fails if the load cannot continue.
    fn is_over(&mut self, now: u64) -> Result<bool>;
}

/// The reason why a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadEnd {
    /// No call is left, and every call has ended.
    Complete,
    /// The workload ended the load, although calls may still be due or under way.
    Over,
}

/// Runs a load to its end. The client that has been idle for the longest time makes the next call.
/// If the server has closed a client's connection, a new connection replaces it for the next call.
///
/// # Errors
///
/// Returns the workload's error, or an error if no connection can be made any more.
pub fn run(call: &Call, clients: Vec<Client>, workload: &mut impl Workload) -> Result<LoadEnd> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot create an epoll")?;
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).context("cannot create a timer")?;
    epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
    for (index, client) in clients.iter().enumerate() {
        watch(&epoll, client, index)?;
    }
    let idle = (0..clients.len()).collect();
    let seats = clients.into_iter().map(|client| Seat { client: Some(client), under_way: None });
    let seats = seats.collect();
    let timer_at = None;
    Run { call, workload, epoll, timer, timer_at, seats, idle, none_left: false }.finish()
}

fn watch(epoll: &Epoll, client: &Client, index: usize) -> Result<()> {
    let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
    epoll.add(client.stream.as_fd(), event).context("cannot watch a connection")
}

/// A place for a client.
struct Seat {
    /// The client, or `None` if its connection has ended.
    client: Option<Client>,
    /// The client's call, or `None` if the client is idle.
    under_way: Option<Sent>,
}

struct Run<'a, W> {
    call: &'a Call,
    workload: &'a mut W,
    epoll: Epoll,
    timer: TimerFd,
    /// The time at which the timer expires, in ns of the monotonic clock.
    timer_at: Option<u64>,
    seats: Vec<Seat>,
    /// The seats without a call. The first one has been idle for the longest time.
    idle: VecDeque<usize>,
    none_left: bool,
}

impl<W: Workload> Run<'_, W> {
    fn finish(mut self) -> Result<LoadEnd> {
        let mut events = [EpollEvent::empty(); MAX_EVENTS];
        let mut buffer = vec![0; BUFFER_BYTES];
        self.start_due()?;
        while !self.none_left || self.idle.len() < self.seats.len() {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(ASK_EVERY_MS)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error).context("cannot wait for answers"),
            };
            if self.workload.is_over(now_ns())? {
                return Ok(LoadEnd::Over);
            }
            for event in &events[..ready] {
                match event.data() {
                    TIMER => {
                        self.timer_at = None;
                        // If the timer was set again after this event, the timer has not expired,
                        // and the wait fails. The error is ignored.
                        let _ = self.timer.wait();
                    }
                    index => self.proceed(index as usize, &mut buffer)?,
                }
                self.start_due()?;
            }
        }
        Ok(LoadEnd::Complete)
    }

    /// Sends calls that are due while there are idle clients.
    fn start_due(&mut self) -> Result<()> {
        while !self.none_left
            && let Some(index) = self.idle.front().copied()
        {
            match self.workload.next(now_ns()) {
                Next::Due(due) => {
                    self.idle.pop_front();
                    self.send(index, due)?;
                }
                Next::At(at) if self.timer_at == Some(at) => return Ok(()),
                Next::At(at) => {
                    let time = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
                    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
                    self.timer
                        .set(Expiration::OneShot(time), flags)
                        .context("cannot set a timer")?;
                    self.timer_at = Some(at);
                    return Ok(());
                }
                Next::Never => self.none_left = true,
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: u64) -> Result<()> {
        let request = &self.call.request;
        let seat = &mut self.seats[index];
        seat.under_way = Some(Sent { due, at: now_ns() });
        let is_sent = seat.client.as_mut().is_some_and(|client| client.send(request));
        if !is_sent {
            let mut client = Client::connect(self.call.address)?;
            watch(&self.epoll, &client, index)?;
            // If the server closes this connection at once, reading the answer fails.
            client.send(request);
            seat.client = Some(client);
        }
        self.watch_for_room(index, false)
    }

    /// Makes epoll report when a connection can take more bytes, but only while a part of the
    /// request is unsent. `is_watched` says whether epoll reports that at the moment.
    fn watch_for_room(&mut self, index: usize, is_watched: bool) -> Result<()> {
        let Some(client) = &self.seats[index].client else { return Ok(()) };
        let is_sending = client.is_sending();
        if is_sending == is_watched {
            return Ok(());
        }
        let flags = if is_sending { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
        let mut event = EpollEvent::new(EpollFlags::EPOLLIN | flags, index as u64);
        self.epoll.modify(client.stream.as_fd(), &mut event).context("cannot watch a connection")
    }

    fn proceed(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        let seat = &mut self.seats[index];
        let Some(client) = &mut seat.client else { return Ok(()) };
        let Some(sent) = seat.under_way else {
            // The server has closed an idle connection, or sent an answer without a request.
            seat.client = None;
            return Ok(());
        };
        let was_sending = client.is_sending();
        let answer = match client.proceed(&self.call.request, buffer) {
            Ok(None) => return self.watch_for_room(index, was_sending),
            Ok(Some(answer)) => Ok(answer),
            Err(error) => Err(error),
        };
        let keeps = answer.as_ref().is_ok_and(|answer| !answer.head.closes);
        if !keeps || client.is_sending() {
            seat.client = None;
        }
        seat.under_way = None;
        self.watch_for_room(index, was_sending)?;
        self.idle.push_back(index);
        self.workload.ended(sent, now_ns(), answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

    /// Starts a server that serves each connection with this function. Returns its address.
    fn serve(serve_one: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let serve_one = serve_one.clone();
                std::thread::spawn(move || serve_one(stream.unwrap()));
            }
        });
        address
    }

    /// Reads a request with this body. Returns whether a request arrived.
    fn read_request(stream: &mut TcpStream, body: &[u8]) -> bool {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => request.push(byte[0]),
                _ => return false,
            }
        }
        let mut rest = vec![0; body.len()];
        stream.read_exact(&mut rest).is_ok() && rest == body
    }

    /// Starts a server that answers every request, in pieces of `piece` bytes.
    fn echo(answer: &'static [u8], piece: usize) -> SocketAddr {
        serve(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            while read_request(&mut stream, b"ping") {
                for part in answer.chunks(piece) {
                    let _ = stream.write_all(part);
                }
            }
        })
    }

    /// Starts a server that answers one request on each connection, and then closes the connection.
    fn answer_once(answer: &'static [u8]) -> SocketAddr {
        serve(move |mut stream| {
            read_request(&mut stream, b"ping");
            let _ = stream.write_all(answer);
        })
    }

    /// A workload of calls that are due at given times, with the results of the calls.
    struct Calls {
        due: VecDeque<u64>,
        sent: Vec<Sent>,
        answers: Vec<Result<Answer>>,
    }

    impl Workload for Calls {
        fn next(&mut self, now: u64) -> Next {
            match self.due.front().copied() {
                None => Next::Never,
                Some(due) if due <= now => {
                    self.due.pop_front();
                    Next::Due(due)
                }
                Some(due) => Next::At(due),
            }
        }

        fn ended(&mut self, call: Sent, _: u64, answer: Result<Answer>) -> Result<()> {
            self.sent.push(call);
            self.answers.push(answer);
            Ok(())
        }

        fn is_over(&mut self, now: u64) -> Result<bool> {
            Ok(self.sent.last().is_some_and(|sent| now > sent.at + 10_000_000_000))
        }
    }

    /// Makes one call for each number of `due_ms`, due that many ms after the start.
    fn calls(call: &Call, clients: usize, due_ms: &[u64]) -> Result<Calls> {
        let clients = (0..clients).map(|_| Client::connect(call.address)).collect::<Result<_>>()?;
        let start = now_ns();
        let due = due_ms.iter().map(|ms| start + ms * 1_000_000).collect();
        let mut calls = Calls { due, sent: Vec::new(), answers: Vec::new() };
        assert_eq!(run(call, clients, &mut calls)?, LoadEnd::Complete);
        Ok(calls)
    }

    /// Makes calls one after the other. Returns the statuses, with `None` for each call whose
    /// connection ended first.
    fn statuses(address: SocketAddr, due_ms: &[u64]) -> Vec<Option<u16>> {
        let answers = calls(&Call::post(address, "/x", b"ping"), 1, due_ms).unwrap().answers;
        answers.iter().map(|answer| answer.as_ref().ok().map(|answer| answer.head.status)).collect()
    }

    #[test]
    fn all_calls_are_answered() {
        for piece in [1, 7, GOOD.len()] {
            let call = Call::post(echo(GOOD, piece), "/x", b"ping");
            let answers = calls(&call, 4, &[0; 100]).unwrap().answers;
            assert_eq!(answers.len(), 100);
            assert!(answers.iter().all(|answer| answer.is_ok()));
        }
    }

    #[test]
    fn a_call_is_sent_when_it_is_due_and_a_client_is_idle() {
        let address = serve(|mut stream| {
            while read_request(&mut stream, b"ping") {
                std::thread::sleep(Duration::from_millis(20));
                let _ = stream.write_all(GOOD);
            }
        });
        let sent = calls(&Call::post(address, "/x", b"ping"), 1, &[5, 5, 60]).unwrap().sent;
        let waited_ms: Vec<u64> =
            sent.iter().map(|sent| (sent.at - sent.due) / 1_000_000).collect();
        assert!(waited_ms[0] < 15 && waited_ms[1] >= 20 && waited_ms[2] < 15, "{waited_ms:?}");
    }

    #[test]
    fn a_connection_that_was_closed_while_it_was_idle_is_replaced() {
        assert_eq!(statuses(answer_once(GOOD), &[0, 30, 60]), [Some(200); 3]);
        let closes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(statuses(answer_once(closes), &[0, 0, 0]), [Some(200); 3]);
    }

    #[test]
    fn a_connection_that_breaks_during_a_call_fails_the_call() {
        for part in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npo"] {
            assert_eq!(statuses(answer_once(part), &[0, 0, 0]), [None; 3]);
        }
    }

    #[test]
    fn a_server_that_is_gone_ends_the_load() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let call = Call::post(listener.local_addr().unwrap(), "/x", b"ping");
        let clients = vec![Client::connect(call.address).unwrap()];
        drop(listener);
        let due = VecDeque::from([0, 0]);
        let mut calls = Calls { due, sent: Vec::new(), answers: Vec::new() };
        let error = run(&call, clients, &mut calls).unwrap_err();
        assert!(error.to_string().starts_with("cannot connect to 127.0.0.1"), "{error}");
    }

    #[test]
    fn the_body_of_an_error_response_is_kept() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
        let call = Call::post(echo(answer, 50), "/x", b"ping");
        let answers = calls(&call, 1, &[0, 0]).unwrap().answers;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().body == b"gone"));
    }

    #[test]
    fn a_request_larger_than_the_send_buffer_is_sent_whole() {
        let body = vec![b'x'; 32 << 20];
        let expected = body.clone();
        let address = serve(move |mut stream| {
            while read_request(&mut stream, &expected) {
                let _ = stream.write_all(GOOD);
            }
        });
        let answers = calls(&Call::post(address, "/x", &body), 2, &[0, 0, 0]).unwrap().answers;
        assert!(answers.len() == 3 && answers.iter().all(|answer| answer.is_ok()));
    }

    #[test]
    fn an_answer_that_arrives_before_the_whole_request_is_sent_is_accepted() {
        let body = vec![b'x'; 32 << 20];
        let address = serve(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|got| got > 0) {}
        });
        let answers = calls(&Call::post(address, "/x", &body), 1, &[0, 0]).unwrap().answers;
        let statuses = answers.iter().map(|answer| answer.as_ref().unwrap().head.status);
        assert_eq!(statuses.collect::<Vec<u16>>(), [413, 413]);
    }

    #[test]
    fn an_answer_longer_than_its_content_length_is_an_error() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npongpong";
        assert_eq!(statuses(echo(answer, answer.len()), &[0]), [None]);
    }
}
