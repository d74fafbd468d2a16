//! The writing half of an event loop's channel, and the state that its requests share.

use super::channel::Outgoing;
use super::gone::engine_gone;
use super::loop_direct::LoopDirect;
use super::protocol::WorkerCore;
use super::session::Session;
use crate::protocol::{Failure, MessageBuffer};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The epoll data of the writing end.
pub(super) const WRITER: u64 = 1;

/// The writing end, and the messages that could not be sent yet.
pub(super) struct Outbound {
    channel: Outgoing,
    /// Messages for which there was no room, in order.
    unsent: VecDeque<MessageBuffer>,
}

/// The state that an event loop and its requests share.
pub(super) struct LoopChannel {
    pub(super) session: Arc<Session>,
    pub(super) epoll: Epoll,
    /// Watches only the channels, see [`super::EventLoop::message_fd`].
    pub(super) messages: Epoll,
    /// The state of direct calls. `None` over named pipes, or before version 4 of the protocol.
    pub(super) direct: Option<LoopDirect>,
    outbound: Mutex<Outbound>,
    core: Mutex<WorkerCore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoopChannel {
    pub(super) fn new(
        session: Arc<Session>,
        [epoll, messages]: [Epoll; 2],
        channel: Outgoing,
        direct: Option<LoopDirect>,
    ) -> LoopChannel {
        LoopChannel {
            session,
            epoll,
            messages,
            direct,
            outbound: Mutex::new(Outbound { channel, unsent: VecDeque::new() }),
            core: Mutex::new(WorkerCore::of_event_loop()),
        }
    }

    /// Locks the state of the calls. A thread that also locks [`LoopChannel::outbound`] locks that
    /// first.
    pub(super) fn core(&self) -> MutexGuard<'_, WorkerCore> {
        lock(&self.core)
    }

    /// Locks the writing end. While a thread holds the lock, no other thread sends a message
    /// between its messages.
    pub(super) fn outbound(&self) -> MutexGuard<'_, Outbound> {
        lock(&self.outbound)
    }

    /// Sends a message at once, or as soon as there is room.
    pub(super) fn send(&self, message: MessageBuffer) -> Result<(), Failure> {
        self.put(&mut self.outbound(), message)
    }

    /// Sends a message at once, or as soon as there is room.
    pub(super) fn put(
        &self,
        outbound: &mut Outbound,
        message: MessageBuffer,
    ) -> Result<(), Failure> {
        if outbound.unsent.is_empty() {
            match outbound.channel.send(message.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(engine_gone()),
            }
            outbound.unsent.push_back(message);
            self.wait_for_room(outbound);
        } else {
            outbound.unsent.push_back(message);
        }
        Ok(())
    }

    /// Sends as many unsent messages as there is room for.
    pub(super) fn flush(&self) {
        let mut outbound = self.outbound();
        if !outbound.unsent.is_empty() {
            outbound.channel.disarm();
            self.wait_for_room(&mut outbound);
        }
    }

    /// Sends as many unsent messages as there is room for. Arranges that the loop is woken when
    /// there is room for more.
    fn wait_for_room(&self, outbound: &mut Outbound) {
        let Outbound { channel, unsent } = outbound;
        loop {
            while let Some(message) = unsent.front() {
                match channel.send(message.as_bytes()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The message was sent, or the engine is gone, which the reading end notices.
                    _ => drop(unsent.pop_front()),
                }
            }
            if let Some(writer) = channel.pipe() {
                self.watch_writer(writer, !unsent.is_empty());
                return;
            }
            if unsent.is_empty() || channel.arm() {
                return;
            }
            channel.disarm();
        }
    }

    fn watch_writer(&self, writer: &OwnedFd, on: bool) {
        let flags = if on { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
        let _ = self.epoll.modify(writer, &mut EpollEvent::new(flags, WRITER));
    }
}
