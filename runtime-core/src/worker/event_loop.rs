//! The driver for event loops: a descriptor to wait on, and a `next` that blocks only if it is told
//! to.
//!
//! One channel carries many calls at once. The descriptor is an epoll descriptor of the library. A
//! host waits until it is readable, never reads it, and then calls [`EventLoop::next`] until that
//! returns nothing. The descriptor covers the channel, messages that could not be written yet, and
//! the control socket. Requests may be answered, and calls made, from any thread; `next` is for one
//! thread at a time.

use super::answer;
use super::bell::hear;
use super::caller;
use super::channel::{self, Incoming};
use super::fork::{forked, is_forked};
use super::loop_bell::BELL;
use super::loop_channel::{LoopChannel, WRITER};
use super::loop_direct::LoopDirect;
use super::loop_event::Event;
use super::loop_inbound::LoopInbound;
use super::loop_request::LoopRequest;
use super::loop_timer::TIMER;
use super::payload::Input;
use super::protocol::{PendingCall, Received, ReceivedRequest};
use super::session::{NewWorker, Session, StartError};
use crate::clock::now_ns;
use crate::ipc::inbox::Filled;
use crate::ipc::slice::{WORKER_SLICE_NS, ask_once_for_short_slice};
use crate::ipc::yielding_spin::SpinPolicy;
use crate::protocol::control::Mode;
use crate::protocol::to_engine::Ready;
use crate::protocol::{Broken, Failure, Status};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CHANNEL: u64 = 0;
const CONTROL: u64 = 2;

/// The longest spin for a message, in ns, when no request can go on without one. It is shorter than
/// a thread's, since the host's other work waits meanwhile. `nightcore.h` names it.
const SPIN_NS: u64 = 25_000;

/// After this many rounds in a row without an event, the host has a turn.
const MAX_ROUNDS: u32 = 256;

struct Inbound {
    channel: Incoming,
    /// Whether spinning pays: for the next request, and for the answer to a call.
    spin_policy_idle: SpinPolicy,
    spin_policy_waiting: SpinPolicy,
    /// Whether the bell was rung although its byte had not arrived yet.
    is_byte_due: bool,
    /// The incoming side of direct channels.
    direct: LoopInbound,
    ended: bool,
}

/// A container whose calls run in an event loop of the host program.
pub struct EventLoop {
    shared: Arc<LoopChannel>,
    inbound: Mutex<Inbound>,
}

impl EventLoop {
    /// Connects to the engine. `names` are the handlers that this program has.
    ///
    /// # Errors
    ///
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
        let event_loop = EventLoop::over(session, new).map_err(|_| StartError::EngineGone)?;
        caller::connected(&event_loop.shared.session);
        Ok(event_loop)
    }

    pub(super) fn over(session: Arc<Session>, new: NewWorker) -> io::Result<EventLoop> {
        let (mut incoming, outgoing) =
            channel::open(new, Mode::EventLoop).map_err(io::Error::other)?;
        // The host may wait at the descriptor first, since nothing comes before READY.
        incoming.arm();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // The kernel reports a message at the first of these two descriptors at which a thread
        // waits.
        let messages = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let in_turn = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        messages.add(incoming.as_fd(), EpollEvent::new(in_turn, CHANNEL))?;
        epoll.add(incoming.as_fd(), EpollEvent::new(in_turn, CHANNEL))?;
        if let Some(writer) = outgoing.pipe() {
            epoll.add(writer, EpollEvent::new(EpollFlags::empty(), WRITER))?;
        }
        epoll.add(session.control(), EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        let direct = incoming.desk().map(LoopDirect::new).transpose()?;
        if let Some(direct) = &direct {
            epoll.add(&*direct.timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
            session.wake_by(direct.timer.clone());
        }
        let shared = LoopChannel::new(session, [epoll, messages], outgoing, direct);
        shared.send(Ready { sent_at: now_ns() }.write()).map_err(io::Error::other)?;
        let inbound = Inbound {
            channel: incoming,
            spin_policy_idle: SpinPolicy::default(),
            spin_policy_waiting: SpinPolicy::default(),
            is_byte_due: false,
            direct: LoopInbound::default(),
            ended: false,
        };
        Ok(EventLoop { shared: Arc::new(shared), inbound: Mutex::new(inbound) })
    }

    #[cfg(test)]
    pub(super) fn channel(&self) -> &LoopChannel {
        &self.shared
    }

    /// The name of the function to run.
    pub fn function(&self) -> &str {
        self.shared.session.function()
    }

    /// The descriptor to wait on. When it is readable, call [`EventLoop::next`] until that returns
    /// nothing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.epoll.0.as_fd()
    }

    /// A descriptor for a thread that waits only for a message, and not for long. It waits with
    /// `epoll_wait` at this descriptor itself. Such a thread is woken instead of one that waits at
    /// [`EventLoop::fd`].
    pub fn message_fd(&self) -> BorrowedFd<'_> {
        self.shared.messages.0.as_fd()
    }

    /// Whether [`EventLoop::next`] spins for a message, for up to 25 µs, when no request can go on
    /// without one. If so, a host with nothing else to run gains by calling `next` once more before
    /// it waits, since being woken costs more.
    pub fn spins(&self) -> bool {
        matches!(self.inbound().channel, Incoming::Ring { .. })
    }

    /// Returns the next event. Waits up to `timeout` for one, or without a limit if `timeout` is
    /// `None`.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Event>, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let shared = &self.shared;
        let mut inbound = self.inbound();
        self.disarm(&mut inbound);
        let mut waited = false;
        let mut rounds = 0;
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
            // A host that gets no event waits at the descriptor, so it must become readable.
            if !self.arm(&mut inbound) && !self.is_kept_busy(rounds) {
                rounds += 1;
                self.disarm(&mut inbound);
                continue;
            }
            rounds += 1;
            if waited || timeout == Some(Duration::ZERO) && self.is_kept_busy(rounds) {
                return Ok(None);
            }
            waited = self.wait(&mut inbound, timeout)?;
            self.disarm(&mut inbound);
        }
    }

    /// Takes all messages that are here, and passes up to `max` events to `give`, in order. Returns
    /// their number, which is less than `max` if nothing is left.
    ///
    /// If there is no message it may spin for one, as `next` does, but it never waits. It handles
    /// neither the control socket nor a pipe that was full. So the host must wait at
    /// [`EventLoop::fd`] and use `next` from time to time.
    pub fn next_many(&self, max: usize, mut give: impl FnMut(Event)) -> Result<usize, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let mut inbound = self.inbound();
        let Inbound { channel, is_byte_due, direct, .. } = &mut *inbound;
        *is_byte_due = channel.stop_waiting(*is_byte_due);
        if let Some(shared) = &self.shared.direct {
            direct.end_wait(shared);
        }
        let (mut count, mut rounds) = (0, 0);
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
                if self.arm(&mut inbound) || self.is_kept_busy(rounds) {
                    break;
                }
                rounds += 1;
                self.disarm(&mut inbound);
            }
        }
        Ok(count)
    }

    /// Whether there were many rounds without an event: the peers of direct channels keep the loop
    /// busy with nothing. The host then has a turn, and the descriptor becomes readable.
    fn is_kept_busy(&self, rounds: u32) -> bool {
        let Some(direct) = self.shared.direct.as_ref().filter(|_| rounds >= MAX_ROUNDS) else {
            return false;
        };
        direct.timer.wake_now();
        true
    }

    /// Makes the descriptor readable when something comes. Returns false if something is here
    /// already.
    fn arm(&self, inbound: &mut Inbound) -> bool {
        let is_quiet = inbound.channel.arm();
        let Some(direct) = &self.shared.direct else { return is_quiet };
        inbound.direct.begin_wait(direct) && is_quiet
    }

    fn disarm(&self, inbound: &mut Inbound) {
        inbound.channel.disarm();
        if let Some(direct) = &self.shared.direct {
            inbound.direct.end_wait(direct);
        }
    }

    /// Checks for more messages. With `may_spin` it may spin for one.
    fn receive(&self, inbound: &mut Inbound, may_spin: bool) -> Result<bool, Failure> {
        let shared = &self.shared;
        let Inbound { channel, spin_policy_idle, spin_policy_waiting, direct, ended, .. } = inbound;
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
                if !may_spin || can_go_on {
                    return Ok(false);
                }
                // Without a short slice, a thread that shares this core and runs after a yield
                // would keep the core for long.
                ask_once_for_short_slice(WORKER_SLICE_NS);
                let policy = if is_idle { spin_policy_idle } else { spin_policy_waiting };
                if direct.take_used() {
                    // Peers wake this loop themselves, which costs them more than a spin costs the
                    // loop.
                    policy.renew();
                }
                let has_come = || shared.direct.as_ref().is_some_and(|d| direct.have_news(d));
                Ok(channel.spin((SPIN_NS, SPIN_NS), policy, has_come))
            }
        }
    }

    /// Waits on all descriptors. Returns true if nothing came within the timeout.
    fn wait(&self, inbound: &mut Inbound, timeout: Option<Duration>) -> Result<bool, Failure> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            Some(timeout) => {
                let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
                EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::ZERO)
            }
        };
        let mut events = [EpollEvent::empty(); 8];
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
                // The rings show what has come.
                (BELL, _) => {}
                (TIMER, _) => {
                    let timer = self.shared.direct.as_ref().map(|direct| &direct.timer);
                    inbound.direct.has_fired |= timer.is_some_and(|timer| timer.take());
                }
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

    /// Takes the next event that has come.
    fn take(&self, inbound: &mut Inbound) -> Option<Event> {
        loop {
            while let Some(event) = inbound.direct.ready.pop_front() {
                // The request may have been answered since the event happened.
                if event.about().is_none_or(|request| self.shared.core().is_open(request)) {
                    return Some(event);
                }
            }
            let direct = self.shared.direct.as_ref();
            let has_come = direct.is_some_and(|of| inbound.direct.collect(&self.shared, of));
            // The engine and direct channels have turns, so that neither keeps the loop from the
            // other.
            match self.take_message(inbound) {
                Some(Some(event)) => {
                    inbound.ended |= matches!(event, Event::Ended);
                    return Some(event);
                }
                None if !has_come => return None,
                Some(None) | None => {}
            }
        }
    }

    /// Takes the next complete message of the engine. Returns `Some(None)` if the message is not an
    /// event.
    fn take_message(&self, inbound: &mut Inbound) -> Option<Option<Event>> {
        let message = match inbound.channel.take() {
            Ok(message) => message?,
            // A broken rule ends the channel.
            Err(_) => return Some(Some(Event::Ended)),
        };
        let heard = self.shared.core().hear(&message);
        let event = heard.and_then(|heard| self.event(&mut inbound.direct, heard));
        Some(event.unwrap_or(Some(Event::Ended)))
    }

    /// Makes an event of a message, if the host is to be told of it. Messages about direct calls
    /// are kept for later.
    fn event(
        &self,
        inbound: &mut LoopInbound,
        heard: Received<'_>,
    ) -> Result<Option<Event>, Broken> {
        let session = &self.shared.session;
        Ok(match heard {
            Received::Request(request) => Some(Event::Request(self.request(request)?)),
            Received::Answer(PendingCall { request, tag, function, call }, answer) => {
                let result = answer::receive(answer, &function, session)?;
                let event = Event::Answer { request, tag, result };
                let Some(direct) = &self.shared.direct else { return Ok(Some(event)) };
                let has_slot = self.shared.may_go_on(direct, request);
                inbound.answered(&self.shared, (request, call), has_slot, event);
                None
            }
            // An event loop never awaits a single answer, so this one is late as well.
            Received::Late(answer) | Received::Awaited(_, answer) => {
                // Its memory is given back at once.
                drop(answer::receive(answer, "", session)?);
                None
            }
            Received::Cancelled(request, reason) => {
                self.shared.cancel_direct_of(request, reason);
                Some(Event::Cancelled { request, reason })
            }
            Received::Lent(lease) => {
                inbound.lent(lease);
                // The channel of the lease has come before this message, unless the control socket
                // was full.
                drop(session.advance(false));
                None
            }
            Received::Recalled(lease) => {
                inbound.recalled(lease);
                None
            }
            Received::Resumed(call) => {
                inbound.resumed(call);
                None
            }
            Received::Nothing => None,
            Received::Retired => Some(Event::Ended),
        })
    }

    fn request(&self, mut request: ReceivedRequest<'_>) -> Result<LoopRequest, Broken> {
        let cancelled = request.cancelled.take().unwrap_or_default();
        let input = Input::receive(request, &self.shared.session)?;
        Ok(LoopRequest::new(input, cancelled, self.shared.clone()))
    }
}
