//! Wakes the other side of a direct channel.

use super::bell::Bell;
use crate::ipc::direct::DirectFile;
use crate::ipc::ring::RingWriter;

/// The other side of a direct channel.
#[derive(Debug)]
pub(super) enum Peer {
    /// A worker thread, which parks at a futex.
    Thread,
    /// An event loop, which waits at its bell.
    EventLoop(Bell),
}

impl Peer {
    /// Wakes the other side, after [`crate::ipc::ring::Sent::Ring`].
    #[inline]
    pub(super) fn ring(&self, writer: &RingWriter) {
        match self {
            Peer::Thread => writer.wake(),
            Peer::EventLoop(bell) => bell.ring(),
        }
    }

    /// Wakes the callee, as the state of its call has changed. A thread finds that out by itself.
    pub(super) fn wake_callee(&self, file: &DirectFile) {
        if let Peer::EventLoop(bell) = self
            && file.end_callee_wait()
        {
            bell.ring();
        }
    }

    /// Wakes the caller, as the state of its call has changed.
    pub(super) fn wake_caller(&self, file: &DirectFile) {
        match self {
            Peer::Thread => file.wake_caller(),
            Peer::EventLoop(bell) => {
                if file.end_caller_wait() {
                    bell.ring();
                }
            }
        }
    }

    /// Whether the other side is a worker thread.
    pub(super) fn is_thread(&self) -> bool {
        matches!(self, Peer::Thread)
    }
}
