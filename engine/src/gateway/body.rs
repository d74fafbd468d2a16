//! Reads the body of a request within its limits, or discards it.

use crate::buffer::Buffer;
use crate::memory::{Memory, MemoryReservation};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Version;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use nightcore_runtime::protocol::{Failure, Status};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// The time that a client has to send [`BODY_PART_BYTES`] of a body, or the rest of the body if
/// that is less.
const BODY_PART_TIMEOUT: Duration = Duration::from_secs(30);
/// The size of a part of a body. A client slower than 500 bytes/s is treated as stalled. Otherwise
/// a client that sends byte by byte could keep its connection and memory for as long as it likes.
const BODY_PART_BYTES: u64 = 16 * 1024;
/// The largest body that is read and discarded so that the connection can be kept. It arrives
/// within a few milliseconds, or at least sooner than a new connection would be set up.
const DISCARD_BYTES: u64 = 256 * 1024;
/// No memory is reserved for a body of at most this size: the reservation of its request covers it.
const UNCOUNTED_BYTES: u64 = 4 * 1024;
/// The number of frames, or of chunks over HTTP/1, that are read before the task yields to others.
/// A client may send one byte in each.
const FRAMES_IN_TURN: u32 = 32;
/// The time within which a discarded body must arrive. Its client waits for the answer meanwhile.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The reason for which a request does not become a call.
pub enum NoCall {
    /// The body violates HTTP.
    Malformed,
    /// The body did not arrive or is too large, or the headers ask for something impossible.
    Failed(Failure),
}

impl From<Failure> for NoCall {
    fn from(failure: Failure) -> NoCall {
        NoCall::Failed(failure)
    }
}

impl From<NoCall> for Failure {
    fn from(error: NoCall) -> Failure {
        match error {
            NoCall::Malformed => {
                Failure::new(Status::InvalidArgument, "the request's body is malformed")
            }
            NoCall::Failed(failure) => failure,
        }
    }
}

impl From<hyper::Error> for NoCall {
    fn from(error: hyper::Error) -> NoCall {
        let cause =
            std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => NoCall::Malformed,
            _ => NoCall::Failed(Failure::new(
                Status::Cancelled,
                format!("the request was cut off: {error}"),
            )),
        }
    }
}

fn too_large(max_bytes: u64) -> Failure {
    Failure::new(
        Status::PayloadTooLarge,
        format!("the request's body is over the limit of {max_bytes} bytes"),
    )
}

/// Returns the failure of a request for which there is no memory.
fn no_memory(memory: &Memory) -> Failure {
    let limit = memory.usage().limit;
    let text = format!(
        "requests and answers hold as much memory as they may, {limit} bytes; try again later, or \
         raise [gateway] memory"
    );
    Failure::new(Status::Overloaded, text)
}

/// A body that was read completely.
pub struct ReadBody {
    /// The body.
    pub bytes: Bytes,
    /// The memory that is reserved for the body until the call has ended, because the body is
    /// passed on to a worker's memory.
    pub held: MemoryReservation,
}

/// Creates a buffer that begins with these bytes and has room for `more` further bytes.
fn begin_with(first: &[u8], more: usize) -> io::Result<Buffer> {
    let mut all = Buffer::with_capacity(first.len() + more)?;
    all.push(first)?;
    Ok(all)
}

type NextFrame = Option<Result<Frame<Bytes>, hyper::Error>>;

/// The body of a request.
pub struct RequestBody {
    incoming: Incoming,
    memory: Memory,
    /// The memory of the request's headers.
    held: MemoryReservation,
    frames: u32,
    ended: bool,
    broken: bool,
    /// True if the client may wait for `100 Continue` before it sends the body.
    is_asked_for: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, parts: &Parts, memory: &Memory) -> RequestBody {
        let ended = incoming.is_end_stream();
        let is_asked_for = parts.version == Version::HTTP_11 && parts.headers.contains_key(EXPECT);
        let (memory, held) = (*memory, memory.hold_nothing());
        RequestBody { incoming, memory, held, frames: 0, ended, broken: false, is_asked_for }
    }

    /// Reserves memory for the request's headers until the answer is written.
    pub(super) fn hold_head(&mut self, bytes: u64) -> Result<(), Failure> {
        if self.held.grow(bytes) { Ok(()) } else { Err(no_memory(&self.memory)) }
    }

    /// Returns the reservation for the request's headers.
    pub(super) fn into_held(self) -> MemoryReservation {
        self.held
    }

    /// Returns whether the body was read to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Refuses a body before any of it is read: if the head of the request announces more than the
    /// limit, or more than there is memory for.
    pub(super) fn check_announced(&self, max_bytes: u64) -> Result<(), Failure> {
        let max_bytes = max_bytes.min(self.memory.largest_request());
        let announced = self.incoming.size_hint().lower();
        if announced > max_bytes {
            Err(too_large(max_bytes))
        } else if announced > UNCOUNTED_BYTES && !self.memory.admits(announced) {
            Err(no_memory(&self.memory))
        } else {
            Ok(())
        }
    }

    /// Returns the next frame of the body. Fails if it has not arrived by `until`.
    async fn next_frame(&mut self, until: Instant) -> Result<NextFrame, NoCall> {
        self.frames += 1;
        if self.frames == FRAMES_IN_TURN {
            self.frames = 0;
            tokio::task::yield_now().await;
        }
        let frame = tokio::time::timeout_at(until, self.incoming.frame()).await;
        let frame = frame.map_err(|_| {
            let text = format!(
                "the client sent less than {BODY_PART_BYTES} bytes of the body in {} s",
                BODY_PART_TIMEOUT.as_secs()
            );
            NoCall::Failed(Failure::new(Status::Cancelled, text))
        })?;
        self.broken |= matches!(frame, Some(Err(_)));
        self.ended = frame.is_none() && !self.broken;
        Ok(frame)
    }

    /// Reads the body within the limit and the available memory.
    ///
    /// # Errors
    ///
    /// If the body is over the limit or malformed, if there is no memory for it, or if it does not
    /// arrive in time.
    pub async fn read(&mut self, max_bytes: u64) -> Result<ReadBody, NoCall> {
        let max_bytes = max_bytes.min(self.memory.largest_request());
        let mut held = self.memory.hold_nothing();
        if self.ended {
            return Ok(ReadBody { bytes: Bytes::new(), held });
        }
        let mut first = Bytes::new();
        let mut rest: Option<Buffer> = None;
        let mut received: u64 = 0;
        let (mut part_until, mut part_ends) = (Instant::now() + BODY_PART_TIMEOUT, BODY_PART_BYTES);
        while let Some(frame) = self.next_frame(part_until).await? {
            let Ok(data) = frame?.into_data() else { continue };
            received += data.len() as u64;
            if received > max_bytes {
                return Err(NoCall::Failed(too_large(max_bytes)));
            }
            if received > UNCOUNTED_BYTES && !held.grow(data.len() as u64) {
                return Err(NoCall::Failed(no_memory(&self.memory)));
            }
            if received >= part_ends {
                (part_until, part_ends) =
                    (Instant::now() + BODY_PART_TIMEOUT, received + BODY_PART_BYTES);
            }
            // A body that arrived in one piece is not copied.
            if first.is_empty() && rest.is_none() {
                first = data;
                continue;
            }
            let announced = self.incoming.size_hint().lower().min(max_bytes) as usize;
            let all = match rest.take() {
                Some(all) => Ok(all),
                None => begin_with(&first, data.len() + announced),
            };
            let all = all.and_then(|mut all| all.push(&data).map(|()| all));
            rest = Some(all.map_err(|_| no_memory(&self.memory))?);
        }
        Ok(ReadBody { bytes: rest.map_or(first, Buffer::freeze), held })
    }

    /// Reads and discards the rest of the body if it is small and arrives soon.
    pub(super) async fn discard(&mut self) {
        if self.is_asked_for || self.broken || self.incoming.size_hint().lower() > DISCARD_BYTES {
            return;
        }
        let until = Instant::now() + DISCARD_TIMEOUT;
        let mut received = 0;
        while !self.ended && received <= DISCARD_BYTES {
            match self.next_frame(until).await {
                Ok(Some(Ok(frame))) => received += frame.data_ref().map_or(0, Bytes::len) as u64,
                Ok(None | Some(Err(_))) | Err(_) => return,
            }
        }
    }
}
