//! A worker's end of its channel, which uses named pipes or rings.

use super::bell::{Bell, hear};
use super::session::NewWorker;
use crate::clock::now_ns;
use crate::ipc::channel::{self, is_fifo, set_blocking, set_nonblocking};
use crate::ipc::desk::Desk;
use crate::ipc::inbox::{Filled, Inbox};
use crate::ipc::place::Place;
use crate::ipc::ring::{RingFile, RingReader, RingWriter, Sent, Side, this_core};
use crate::ipc::yielding_spin::{SpinPolicy, SpinResult, spin_yielding};
use crate::protocol::control::{Mode, Placement};
use crate::protocol::{Broken, Message};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The most threads of a process that spin at the same time. Each of them takes turns on a core
/// from threads that work.
const MAX_SPINNERS: u32 = 2;
/// How many threads of this process spin now.
static SPINNERS: AtomicU32 = AtomicU32::new(0);

/// The reading end.
pub(super) enum Incoming {
    /// Messages come by the pipe.
    Pipe { reader: OwnedFd, inbox: Inbox },
    /// Messages come by the ring; the pipe is its bell.
    Ring {
        bell: OwnedFd,
        ring: RingReader,
        to_engine: Bell,
        place: Option<Place>,
        desk: Option<Desk>,
    },
}

/// The writing end.
pub(super) enum Outgoing {
    /// Messages go by the pipe.
    Pipe(OwnedFd),
    /// Messages go by the ring; the pipe is the engine's bell.
    Ring { bell: Bell, ring: RingWriter },
}

/// Opens both ends from the descriptors that came with CREATE_WORKER: the end to read from, the end
/// to write to, and the rings if there are any. The ends of a thread are blocking; those of an
/// event loop are not.
pub(super) fn open(worker: NewWorker, mode: Mode) -> Result<(Incoming, Outgoing), String> {
    let blocking = mode == Mode::Threads;
    let moves = blocking && worker.create.placement == Placement::Apart;
    let mut descriptors = worker.descriptors.into_iter();
    let (Some(reader), Some(writer)) = (descriptors.next(), descriptors.next()) else {
        return Err("no descriptors came".to_owned());
    };
    if !is_fifo(&reader) || !is_fifo(&writer) {
        return Err("a descriptor is not a named pipe".to_owned());
    }
    let rings = descriptors.next();
    let text = |error: io::Error| error.to_string();
    if blocking { set_blocking(&reader) } else { set_nonblocking(&reader) }.map_err(text)?;
    let Some(rings) = rings else {
        if blocking { set_blocking(&writer) } else { set_nonblocking(&writer) }.map_err(text)?;
        return Ok((Incoming::Pipe { reader, inbox: Inbox::default() }, Outgoing::Pipe(writer)));
    };
    set_nonblocking(&writer).map_err(text)?;
    let to_engine = Bell::new(writer.try_clone().map_err(text)?);
    let file = RingFile::map(&rings).map_err(text)?;
    let (ring_writer, ring_reader) = file.ends(Side::Worker);
    Ok((
        Incoming::Ring {
            bell: reader,
            ring: ring_reader,
            to_engine,
            place: moves.then(Place::default),
            desk: Desk::of(&file),
        },
        Outgoing::Ring { bell: Bell::new(writer), ring: ring_writer },
    ))
}

impl Incoming {
    /// The reading end of the pipe. It is readable when there may be a message, so a host can wait
    /// for it.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Incoming::Pipe { reader, .. } => reader.as_fd(),
            Incoming::Ring { bell, .. } => bell.as_fd(),
        }
    }

    /// The next complete message that is here.
    #[inline]
    pub(super) fn take(&mut self) -> Result<Option<Message<'_>>, Broken> {
        match self {
            Incoming::Pipe { inbox, .. } => inbox.take(),
            Incoming::Ring { ring, to_engine, .. } => {
                if ring.give_back() {
                    to_engine.ring();
                }
                ring.take()
            }
        }
    }

    /// The desk, which tells the engine about direct calls. `None` over named pipes, or before
    /// version 4 of the protocol.
    pub(super) fn desk(&self) -> Option<Desk> {
        match self {
            Incoming::Pipe { .. } => None,
            Incoming::Ring { desk, .. } => desk.clone(),
        }
    }

    /// Whether the thread may choose the core on which it runs.
    pub(super) fn may_move(&self) -> bool {
        matches!(self, Incoming::Ring { place: Some(_), .. })
    }

    /// Whether a message is here. For a pipe this covers only bytes that were read.
    #[inline]
    pub(super) fn has_message(&self) -> bool {
        !self.is_empty()
    }

    /// Whether no message is here. For a pipe, one may still be unread.
    fn is_empty(&self) -> bool {
        match self {
            Incoming::Pipe { inbox, .. } => inbox.is_empty(),
            Incoming::Ring { ring, .. } => !ring.has_message(),
        }
    }

    /// Spins for a message, if that pays; see [`spin_yielding`]. Returns true if there is one,
    /// or something else `has_come`.
    pub(super) fn spin(
        &mut self,
        (for_ns, turn_ns): (u64, u64),
        policy: &mut SpinPolicy,
        has_come: impl Fn() -> bool,
    ) -> bool {
        let Incoming::Ring { ring, place, .. } = self else { return false };
        let found = || ring.has_message() || has_come();
        if found() {
            return true;
        }
        if !policy.spins(now_ns) {
            return false;
        }
        if SPINNERS.fetch_add(1, Ordering::Relaxed) >= MAX_SPINNERS {
            SPINNERS.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        if let Some(place) = place
            && policy.pays()
        {
            place.note_spin(this_core(), ring.writer_core(), now_ns);
        }
        let result = spin_yielding(for_ns, turn_ns, now_ns, found);
        SPINNERS.fetch_sub(1, Ordering::Relaxed);
        policy.learn(result, now_ns);
        match result {
            SpinResult::Found => true,
            SpinResult::NotFound => false,
            SpinResult::Crowded => found(),
        }
    }

    /// Sleeps until there may be a message. For threads only, whose ends are blocking. Returns
    /// `End` if the engine has closed its end.
    pub(super) fn sleep(&mut self, policy: &mut SpinPolicy) -> io::Result<Filled> {
        match self {
            Incoming::Pipe { reader, inbox } => inbox.fill(reader.as_fd()),
            Incoming::Ring { bell, ring, .. } => {
                let began = now_ns();
                let heard = if ring.begin_wait() {
                    hear(bell)
                } else {
                    Ok(Filled::Bytes { drained: true })
                };
                ring.end_wait();
                policy.slept(now_ns() - began);
                heard
            }
        }
    }

    /// Announces that this side waits at the pipe. Returns false if there is a message already.
    pub(super) fn arm(&mut self) -> bool {
        match self {
            Incoming::Pipe { .. } => true,
            Incoming::Ring { ring, .. } => ring.begin_wait(),
        }
    }

    /// Notes that this side no longer waits at the pipe.
    pub(super) fn disarm(&mut self) {
        if let Incoming::Ring { ring, .. } = self {
            ring.end_wait();
        }
    }

    /// Notes that this side no longer waits at the pipe. Reads the byte of the bell if the bell was
    /// rung since the wait began, or if a byte is due from before. Returns whether a byte is due
    /// now: the other side lowers the flag first and writes the byte later.
    pub(super) fn stop_waiting(&mut self, is_byte_due: bool) -> bool {
        let Incoming::Ring { bell, ring, .. } = self else { return false };
        if !ring.end_wait() && !is_byte_due {
            return false;
        }
        // `EventLoop::next` notices the end of the pipe, which stays readable.
        hear(bell).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits for a message, for at most this long. A signal may end the wait early.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if !self.is_empty() {
            return Ok(true);
        }
        if timeout.is_zero() && matches!(self, Incoming::Ring { .. }) {
            return Ok(false);
        }
        // The time is rounded up, so that a wait never ends early.
        let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let ready = if self.arm() {
            match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(ready) => ready > 0,
                Err(nix::Error::EINTR) => false,
                Err(error) => return Err(error.into()),
            }
        } else {
            false
        };
        match self {
            Incoming::Pipe { .. } => Ok(ready),
            Incoming::Ring { bell, ring, .. } => {
                ring.end_wait();
                // At its end the pipe stays readable, so the next read of a message notices the
                // end.
                let ended = ready && hear(bell)? == Filled::End;
                Ok(ended || ring.has_message())
            }
        }
    }
}

impl Outgoing {
    /// The writing end of the pipe, if it carries the messages.
    pub(super) fn pipe(&self) -> Option<&OwnedFd> {
        match self {
            Outgoing::Pipe(writer) => Some(writer),
            Outgoing::Ring { .. } => None,
        }
    }

    /// Sends a message. Fails with `WouldBlock` if there is no room; a thread's pipe waits for room
    /// instead.
    #[inline]
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Outgoing::Pipe(writer) => channel::send(writer.as_fd(), message),
            Outgoing::Ring { bell, ring } => match ring.send(message) {
                Sent::Seen => Ok(()),
                Sent::Ring => {
                    bell.ring();
                    Ok(())
                }
                Sent::Full => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    /// Announces that this side waits for room. The bell at its reading end is then rung when there
    /// is room. Returns false if there is room already.
    pub(super) fn arm(&mut self) -> bool {
        match self {
            Outgoing::Pipe(_) => true,
            Outgoing::Ring { ring, .. } => ring.begin_wait(),
        }
    }

    /// Notes that this side no longer waits for room.
    pub(super) fn disarm(&mut self) {
        if let Outgoing::Ring { ring, .. } = self {
            ring.end_wait();
        }
    }
}
