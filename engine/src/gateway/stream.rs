//! The stream between hyper and a client's socket.
//!
//! It does two things that hyper does not. First, it can send the first bytes of an answer ahead of
//! the rest; each of these bytes tests whether a client that has half-closed its connection still
//! reads. Second, before it closes, it reads what the client is still sending: the system resets a
//! connection that is closed with unread bytes, and a reset discards the answer that the client has
//! not read yet.

use super::client::Client;
use super::frames::Frames;
use super::socket::Socket;
use super::timeouts::HeadTimer;
use super::turns::{TURN_BYTES, Turns};
use crate::tcp::{send_now, unacknowledged};
use hyper::rt::{Sleep, Timer};
use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first bytes of every HTTP/1 answer.
const BEGIN: &[u8] = b"HTTP/1.";
/// The time for which a client may keep sending after the last answer. It is enough for most of
/// what the client had begun to send, and as long as a client has for a part of a body.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);
/// The time of silence after which the connection is closed.
const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// The number of bytes that an HTTP/2 client may keep sending. It sends the rest of a body only as
/// far as its window reaches; all else that it sends is small frames, or a flood.
const LINGER_BYTES_OF_FRAMES: usize = 64 * 1024;
/// The size of a read whose bytes are discarded.
const LINGER_BYTES: usize = 16 * 1024;

/// A socket, and the state that the connection's task needs to know.
pub(super) struct Wire<S> {
    socket: RefCell<S>,
    client: Rc<Client>,
    /// The number of bytes of the next answer that are sent already.
    ahead: Cell<usize>,
    written: Cell<u64>,
}

impl<S: Socket> Wire<S> {
    pub(super) fn new(socket: S, client: Rc<Client>) -> Wire<S> {
        Wire { socket: RefCell::new(socket), client, ahead: Cell::new(0), written: Cell::new(0) }
    }

    /// Returns the socket. While it is borrowed, do not call anything that may read or write.
    pub(super) fn socket(&self) -> Ref<'_, S> {
        self.socket.borrow()
    }

    /// Returns a new descriptor of the same socket.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.borrow().as_fd().try_clone_to_owned()
    }

    /// Returns the number of bytes that the system has accepted for the client.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// Returns the number of bytes that the client has taken. The system accepts megabytes ahead of
    /// a client, and accepts more when the client has taken a large part of them.
    pub(super) fn taken(&self) -> u64 {
        self.written().saturating_sub(unacknowledged(self.socket.borrow().as_fd()))
    }

    /// Sends the next byte of the beginning of the next HTTP/1 answer, unless another answer is
    /// being written. A client that has left answers it with a reset. Returns false if no such byte
    /// is left.
    pub(super) fn send_ahead(&self) -> io::Result<bool> {
        let Some(next) = BEGIN.get(self.ahead.get()) else { return Ok(false) };
        if !self.client.writes() {
            match send_now(self.socket.borrow().as_fd(), std::slice::from_ref(next)) {
                Ok(sent) => self.ahead.set(self.ahead.get() + sent),
                // The system ends the connection of a client that takes nothing.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The wire as a stream, for [`Turns`].
struct WireStream<S>(Rc<Wire<S>>);

impl<S: Socket> AsyncRead for WireStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_read(context, into)
    }
}

impl<S: Socket> AsyncWrite for WireStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.socket.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_shutdown(context)
    }
}

/// A connection whose last answer was written, and whose client is still being read.
struct Linger {
    until: Instant,
    /// The number of bytes that may still come.
    left: usize,
    heard: bool,
    silence: Pin<Box<dyn Sleep>>,
}

impl Linger {
    fn begin(is_http2: bool) -> Linger {
        let until = Instant::now() + LINGER_TIMEOUT;
        let left = if is_http2 { LINGER_BYTES_OF_FRAMES } else { usize::MAX };
        Linger { until, left, heard: false, silence: HeadTimer.sleep(LINGER_SILENCE) }
    }

    /// Waits until the client has been silent for long enough, or has kept sending for too long.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.silence.as_mut().poll(context).is_ready() {
            if !self.heard || Instant::now() >= self.until {
                return Poll::Ready(());
            }
            self.heard = false;
            self.silence = HeadTimer.sleep(LINGER_SILENCE);
        }
        Poll::Pending
    }
}

/// The stream that hyper reads from and writes to.
pub(super) struct ClientStream<S> {
    turns: Turns<WireStream<S>>,
    frames: Frames,
    wire: Rc<Wire<S>>,
    /// Whether the written bytes are HTTP/2 frames. No frame begins like an HTTP/1 answer.
    is_http2: bool,
    linger: Option<Linger>,
}

impl<S: Socket> ClientStream<S> {
    pub(super) fn new(wire: Rc<Wire<S>>) -> ClientStream<S> {
        let turns = Turns::new(WireStream(wire.clone()));
        let frames = Frames::new(TURN_BYTES);
        ClientStream { turns, frames, wire, is_http2: false, linger: None }
    }

    /// Records that bytes are about to be written.
    fn note_write(&mut self, bytes: &[u8]) {
        self.wire.client.note_writes(true);
        if self.wire.written() == 0 {
            self.is_http2 = !bytes.starts_with(BEGIN);
        }
    }

    fn wrote(&self, bytes: usize) -> usize {
        self.wire.written.set(self.wire.written.get() + bytes as u64);
        bytes
    }
}

impl<S: Socket> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        match this.frames.read_bytes().filter(|most| *most < into.remaining()) {
            None => ready!(Pin::new(&mut this.turns).poll_read(context, into))?,
            Some(most) => {
                let mut part = ReadBuf::new(into.initialize_unfilled_to(most));
                ready!(Pin::new(&mut this.turns).poll_read(context, &mut part))?;
                let read = part.filled().len();
                into.advance(read);
            }
        }
        if this.frames.note(&into.filled()[before..]) {
            this.turns.end_turn();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.note_write(bytes);
        let ahead = self.wire.ahead.get().min(bytes.len());
        let written = match &bytes[ahead..] {
            [] => 0,
            rest => ready!(Pin::new(&mut self.turns).poll_write(context, rest))?,
        };
        self.wire.ahead.set(self.wire.ahead.get() - ahead);
        Poll::Ready(Ok(ahead + self.wrote(written)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = parts.iter().find(|part| !part.is_empty());
        let first: &[u8] = first.map_or(&[], |part| part);
        if self.wire.ahead.get() > 0 {
            return self.poll_write(context, first);
        }
        self.note_write(first);
        let written = ready!(Pin::new(&mut self.turns).poll_write_vectored(context, parts))?;
        Poll::Ready(Ok(self.wrote(written)))
    }

    fn is_write_vectored(&self) -> bool {
        self.turns.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.turns).poll_flush(context))?;
        self.wire.client.note_writes(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.turns).poll_shutdown(context))?;
            if !this.wire.client.lingers() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Linger::begin(this.is_http2));
        let mut bytes = [0; LINGER_BYTES];
        while linger.left > 0 && Instant::now() < linger.until {
            let mut into = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.turns).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                    linger.heard = true;
                    linger.left = linger.left.saturating_sub(into.filled().len());
                }
                // The end, or a reset: in both cases the client sends no more.
                Poll::Ready(_) => break,
                Poll::Pending => return linger.poll_over(context).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}
