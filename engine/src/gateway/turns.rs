//! Client streams that take turns: a stream that carries a lot of data yields after each part of
//! it, so that other streams make progress.
//!
//! hyper reads and writes as long as the kernel provides and accepts data, and over loopback that
//! is megabytes. It would handle all of a large body at once, and the bodies of all clients that
//! send one, before anyone else's small call.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The number of bytes that a stream reads and writes in one turn: about 5 µs of copying. One turn
/// may carry many small requests.
pub(super) const TURN_BYTES: usize = 32 * 1024;

/// A stream that takes turns.
pub(super) struct Turns<S> {
    stream: S,
    /// The number of bytes left in this turn.
    left: usize,
}

impl<S> Turns<S> {
    pub(super) fn new(stream: S) -> Turns<S> {
        Turns { stream, left: TURN_BYTES }
    }

    /// Yields if this turn is over. The task is woken again after the tasks that became ready
    /// meanwhile.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.left > 0 {
            return Poll::Ready(());
        }
        self.left = TURN_BYTES;
        pin!(tokio::task::yield_now()).poll(context)
    }

    /// Ends this turn, because handling what was read takes as long as a turn.
    pub(super) fn end_turn(&mut self) {
        self.left = 0;
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Turns<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(context));
        let before = into.filled().len();
        // A read may exceed the rest of the turn: it takes as much as hyper's buffer has room for,
        // which is at most twice a turn.
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        self.spend(into.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Turns<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(context));
        let most = bytes.len().min(self.left);
        let written = Pin::new(&mut self.stream).poll_write(context, &bytes[..most]);
        if let Poll::Ready(Ok(written)) = written {
            self.spend(written);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(context));
        let all: usize = parts.iter().map(|part| part.len()).sum();
        if all > self.left {
            let first = parts.iter().find(|part| !part.is_empty());
            return self.poll_write(context, first.map_or(&[], |part| part));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if let Poll::Ready(Ok(written)) = written {
            self.spend(written);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
