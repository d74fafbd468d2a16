//! The body of an answer in pieces, and the time that a client has to take each piece.
//!
//! Over HTTP/1 hyper gets a body as a whole, and the system ends a client that takes nothing. An
//! HTTP/2 client can also take nothing by not opening its window, while its system still
//! acknowledges everything. So over HTTP/2 hyper gets the body in pieces: it asks for the next
//! piece when the client has made room for the one before.

use super::client::Exchange;
use super::timeouts::HeadTimer;
use crate::memory::MemoryReservation;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Sleep, Timer};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The time in which a client must take a piece of an answer. It is the same as that of an HTTP/1
/// client, which the system enforces.
pub(super) const TAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// The size of a piece in bytes. A client slower than 500 bytes/s is treated as stalled, as is one
/// that sends a body.
const PIECE_BYTES: usize = 32 * 1024;
/// The maximum size of the last piece, in bytes. hyper gives up the last piece as soon as the
/// client has room for one byte of it, and then it is not known whether the client takes the rest.
const LAST_BYTES: usize = 1024;

/// The time at which the last piece of an answer was handed to hyper.
#[derive(Debug, Default)]
pub(super) struct Progress(Cell<Option<Instant>>);

/// The body of an answer.
pub(super) struct Pieces {
    rest: Bytes,
    is_split: bool,
    /// `None` if the body is given as a whole.
    progress: Option<Rc<Progress>>,
    /// The exchange ends when the body is dropped.
    _exchange: Exchange,
    /// The memory counted for the request's headers. A small answer is counted with it.
    _held: MemoryReservation,
}

impl Pieces {
    pub(super) fn new(
        body: Bytes,
        progress: Option<Rc<Progress>>,
        exchange: Exchange,
        held: MemoryReservation,
    ) -> Pieces {
        Pieces { rest: body, is_split: false, progress, _exchange: exchange, _held: held }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match &self.progress {
            None => std::mem::take(&mut self.rest),
            Some(progress) => {
                progress.0.set(Some(Instant::now()));
                let bytes = match self.rest.len() {
                    last if last <= LAST_BYTES => last,
                    many => PIECE_BYTES.min(many - LAST_BYTES),
                };
                let piece = self.rest.split_to(bytes);
                let is_last_of_many = self.rest.is_empty() && self.is_split;
                self.is_split = true;
                // hyper keeps the last piece until the client takes it. A copy lets the whole body
                // be freed.
                if is_last_of_many { Bytes::copy_from_slice(&piece) } else { piece }
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// An HTTP/2 exchange, which is ended when its client does not take the answer in time.
pub(super) struct Taken<F> {
    exchange: Pin<Box<F>>,
    progress: Rc<Progress>,
    late: Option<Pin<Box<dyn Sleep>>>,
}

impl<F> Taken<F> {
    pub(super) fn new(exchange: F, progress: Rc<Progress>) -> Taken<F> {
        Taken { exchange: Box::pin(exchange), progress, late: None }
    }
}

impl<F: Future<Output = ()>> Future for Taken<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.exchange.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // If no piece was handed over, the answer is still being produced.
        let Some(handed_over) = self.progress.0.get() else { return Poll::Pending };
        loop {
            let late =
                self.late.get_or_insert_with(|| HeadTimer.sleep_until(handed_over + TAKE_TIMEOUT));
            if late.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if handed_over.elapsed() >= TAKE_TIMEOUT {
                // The stream is reset, and the memory of the exchange is released.
                return Poll::Ready(());
            }
            self.late = None;
        }
    }
}
