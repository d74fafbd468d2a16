//! The other skin: a descriptor to wait on and a `next` that never blocks unless it is told to.
//!
//! One channel carries many calls at once. The descriptor is an epoll descriptor of the library:
//! wait until it is readable, never read it, then call [`EventLoop::next`] until it brings nothing.
//! It covers the channel, messages that could not be written yet, and the control socket. Requests
//! may be answered, and calls made, from any thread; `next` is for one thread at a time.

use super::answer::{self, Answer};
use super::channel::{self, Incoming, hear};
use super::fork::{forked, is_forked};
use super::loop_channel::{LoopChannel, WRITER};
use super::loop_request::LoopRequest;
use super::payload::Input;
use super::protocol::{Heard, HeardRequest, PendingCall};
use super::session::{NewWorker, Session, StartError};
use crate::clock::now_ns;
use crate::ipc::inbox::Filled;
use crate::ipc::look::Patience;
use crate::ipc::slice::{WORKER_SLICE_NS, ask_once_for_short_slice};
use crate::protocol::control::Mode;
use crate::protocol::to_engine::Ready;
use crate::protocol::{Broken, CallNumber, CancelReason, Failure, Status};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CHANNEL: u64 = 0;
const CONTROL: u64 = 2;

/// The longest that `next` looks for a message when no request can go on without one. Shorter than
/// a thread does: the host's other work waits meanwhile. `nightcore.h` names it.
const LOOK_NS: u64 = 25_000;

/// What happened.
pub enum Event {
    /// A call to run.
    Request(LoopRequest),
    /// The answer to a call that `request` made with this tag.
    Answer {
        /// The number of the request that made the call, see [`LoopRequest::id`].
        request: CallNumber,
        /// The tag that was given to the call.
        tag: u64,
        /// The answer.
        result: Result<Answer, Failure>,
    },
    /// The caller of this request has left or its deadline has passed; an answer is no longer
    /// wanted.
    Cancelled {
        /// The number of the request.
        request: CallNumber,
        /// Why.
        reason: CancelReason,
    },
    /// No more calls come: end.
    Ended,
}

struct Inbound {
    channel: Incoming,
    /// Whether it pays to look for the next request, and for the answer to a call.
    patience_idle: Patience,
    patience_waiting: Patience,
    /// Whether the bell was rung and its byte was not there yet.
    is_byte_due: bool,
    ended: bool,
}

/// A container whose calls run in an event loop of the host's.
pub struct EventLoop {
    shared: Arc<LoopChannel>,
    inbound: Mutex<Inbound>,
    /// Covers the channel alone, see [`EventLoop::message_fd`].
    messages: Epoll,
}

impl EventLoop {
    /// Connects to the engine. `names`: the handlers this program has.
    ///
    /// # Errors
    /// If the process cannot serve, or the engine goes away.
    pub fn connect(names: &[&str]) -> Result<EventLoop, StartError> {
        let session = Arc::new(Session::start(names, Mode::EventLoop)?);
        let new = loop {
            if let Some(new) = session.advance(true).into_iter().next() {
                break new;
            }
            if session.has_ended() {
                return Err(StartError::EngineGone);
            }
        };
        EventLoop::over(session, new).map_err(|_| StartError::EngineGone)
    }

    pub(super) fn over(session: Arc<Session>, new: NewWorker) -> io::Result<EventLoop> {
        let (mut incoming, outgoing) =
            channel::open(new, Mode::EventLoop).map_err(io::Error::other)?;
        // The host may wait at the descriptor first; nothing comes before READY.
        incoming.arm();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // The kernel offers a message to the first of these two that a thread waits at.
        let messages = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let in_turn = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        messages.add(incoming.as_fd(), EpollEvent::new(in_turn, CHANNEL))?;
        epoll.add(incoming.as_fd(), EpollEvent::new(in_turn, CHANNEL))?;
        if let Some(writer) = outgoing.pipe() {
            epoll.add(writer, EpollEvent::new(EpollFlags::empty(), WRITER))?;
        }
        epoll.add(session.control(), EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        let shared = LoopChannel::new(session, epoll, outgoing);
        shared.send(Ready { sent_at: now_ns() }.write()).map_err(io::Error::other)?;
        let inbound = Inbound {
            channel: incoming,
            patience_idle: Patience::default(),
            patience_waiting: Patience::default(),
            is_byte_due: false,
            ended: false,
        };
        Ok(EventLoop { shared: Arc::new(shared), inbound: Mutex::new(inbound), messages })
    }

    /// The function to run.
    pub fn function(&self) -> &str {
        self.shared.session.function()
    }

    /// The descriptor to wait on. Readable: call [`EventLoop::next`] until it brings nothing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.epoll.0.as_fd()
    }

    /// A descriptor for a thread that waits for a message only, and not for long: by `epoll_wait`
    /// at this descriptor itself. Such a thread is woken instead of one that waits at
    /// [`EventLoop::fd`].
    pub fn message_fd(&self) -> BorrowedFd<'_> {
        self.messages.0.as_fd()
    }

    /// Whether [`EventLoop::next`] looks for a message for a while, up to 25 µs, when no request
    /// can go on without one. If so, a host gains by calling it once more before it waits, when
    /// there is nothing else to run: to be woken costs more.
    pub fn looks(&self) -> bool {
        matches!(self.inbound().channel, Incoming::Ring { .. })
    }

    /// The next event; waits up to `timeout` for one, for good if there is none.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Event>, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let shared = &self.shared;
        let mut inbound = self.inbound();
        inbound.channel.disarm();
        let mut waited = false;
        loop {
            if inbound.ended || shared.session.has_ended() {
                inbound.ended = true;
                return Ok(Some(Event::Ended));
            }
            if let Some(event) = self.take(&mut inbound) {
                return Ok(Some(event));
            }
            if self.receive(&mut inbound, !waited)? {
                continue;
            }
            // Whoever finds nothing here waits at the descriptor, so it has to become readable.
            if !inbound.channel.arm() {
                inbound.channel.disarm();
                continue;
            }
            if waited {
                return Ok(None);
            }
            waited = self.wait(&mut inbound, timeout)?;
        }
    }

    /// Takes all messages that are here, and gives up to `max` events, in order. Returns their
    /// number, which is less than `max` if nothing is left. If there is none it may spin for one,
    /// as `next` does; it never waits. It sees neither to the control socket nor to a pipe that
    /// was full: so from time to time the host waits at [`EventLoop::fd`] and uses `next`.
    pub fn next_many(&self, max: usize, mut give: impl FnMut(Event)) -> Result<usize, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let mut inbound = self.inbound();
        let Inbound { channel, is_byte_due, .. } = &mut *inbound;
        *is_byte_due = channel.stop_waiting(*is_byte_due);
        let mut count = 0;
        while count < max {
            if inbound.ended || self.shared.session.has_ended() {
                inbound.ended = true;
                give(Event::Ended);
                return Ok(count + 1);
            }
            if let Some(event) = self.take(&mut inbound) {
                give(event);
                count += 1;
            } else if !self.receive(&mut inbound, count == 0)? {
                if inbound.channel.arm() {
                    break;
                }
                inbound.channel.disarm();
            }
        }
        Ok(count)
    }

    /// Sees whether there are more messages. `may_look`: it may spin for one.
    fn receive(&self, inbound: &mut Inbound, may_look: bool) -> Result<bool, Failure> {
        let shared = &self.shared;
        let Inbound { channel, patience_idle, patience_waiting, ended, .. } = inbound;
        match channel {
            Incoming::Pipe { reader, inbox } => match inbox.fill(reader.as_fd()) {
                Ok(Filled::Bytes { .. }) => Ok(true),
                Ok(Filled::End) => {
                    *ended = true;
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(Failure::new(Status::Internal, format!("read: {error}"))),
            },
            Incoming::Ring { .. } => {
                shared.flush();
                let (can_go_on, is_idle) = {
                    let core = shared.core();
                    (core.can_go_on(), core.is_idle())
                };
                if !may_look || can_go_on {
                    return Ok(false);
                }
                // Else whoever shares this core, and was let run, would keep it for long.
                ask_once_for_short_slice(WORKER_SLICE_NS);
                let patience = if is_idle { patience_idle } else { patience_waiting };
                Ok(channel.look(LOOK_NS, LOOK_NS, patience))
            }
        }
    }

    /// Waits on all descriptors; true if there was nothing, so that the time is over.
    fn wait(&self, inbound: &mut Inbound, timeout: Option<Duration>) -> Result<bool, Failure> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            Some(timeout) => {
                let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
                EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::ZERO)
            }
        };
        let mut events = [EpollEvent::empty(); 3];
        let count = match self.shared.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::Error::EINTR) => 0,
            Err(error) => {
                return Err(Failure::new(Status::Internal, format!("epoll_wait: {error}")));
            }
        };
        for event in &events[..count] {
            match (event.data(), &mut inbound.channel) {
                (CONTROL, _) => drop(self.shared.session.advance(false)),
                (WRITER, _) => self.shared.flush(),
                (_, Incoming::Ring { bell, .. }) => {
                    inbound.ended |= matches!(hear(bell), Ok(Filled::End))
                }
                _ => {}
            }
        }
        Ok(count == 0)
    }

    fn inbound(&self) -> MutexGuard<'_, Inbound> {
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event of the next whole message that has one.
    fn take(&self, inbound: &mut Inbound) -> Option<Event> {
        let next = loop {
            let message = match inbound.channel.take() {
                Ok(message) => message?,
                Err(broken) => break Err(broken),
            };
            let heard = self.shared.core().hear(&message);
            match heard.and_then(|heard| self.event(heard)) {
                Ok(None) => {}
                Ok(Some(event)) => break Ok(event),
                Err(broken) => break Err(broken),
            }
        };
        // A broken rule ends the channel.
        let event = next.unwrap_or(Event::Ended);
        inbound.ended |= matches!(event, Event::Ended);
        Some(event)
    }

    /// What the host is told of what was heard.
    fn event(&self, heard: Heard<'_>) -> Result<Option<Event>, Broken> {
        let session = &self.shared.session;
        Ok(match heard {
            Heard::Request(request) => Some(Event::Request(self.request(request)?)),
            Heard::Answer(PendingCall { request, tag, function }, answer) => {
                let result = answer::receive(answer, &function, session)?;
                Some(Event::Answer { request, tag, result })
            }
            // An event loop awaits no answer: this one is late as well.
            Heard::Late(answer) | Heard::Awaited(_, answer) => {
                // Its memory is given back at once.
                drop(answer::receive(answer, "", session)?);
                None
            }
            Heard::Cancelled(request, reason) => Some(Event::Cancelled { request, reason }),
            // Leases are for threads: the core takes none for an event loop.
            Heard::Lent(_) | Heard::Recalled(_) | Heard::Resumed(_) | Heard::Nothing => None,
            Heard::Retired => Some(Event::Ended),
        })
    }

    fn request(&self, mut request: HeardRequest<'_>) -> Result<LoopRequest, Broken> {
        let cancelled = request.cancelled.take().unwrap_or_default();
        let input = Input::receive(request, &self.shared.session)?;
        Ok(LoopRequest::new(input, cancelled, self.shared.clone()))
    }
}
