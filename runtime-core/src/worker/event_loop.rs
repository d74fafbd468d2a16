//! The other skin: a descriptor to wait on and a `next` that never blocks unless it is told to.
//!
//! One channel carries many calls at once. The descriptor is an epoll descriptor of the library: wait until it
//! is readable, never read it, then call [`EventLoop::next`] until it brings nothing. It covers the
//! channel, messages that could not be written yet, and the control socket. Requests may be answered, and calls
//! made, from any thread; `next` is for one thread at a time.

use super::answer::{self, Answer};
use super::arena::Buffer;
use super::channel::{self, Incoming, Outgoing, hear};
use super::invoke::{self, Body, CallOptions, Invoke};
use super::payload::{Input, Payload};
use super::request::Origin;
use super::session::{Session, StartError, engine_gone, forked, is_forked};
use crate::clock::now_ns;
use crate::ipc::inbox::Filled;
use crate::ipc::look::Patience;
use crate::ipc::slice::{WORKER_SLICE_NS, ask_once_for_short_slice};
use crate::ipc::socket::Received;
use crate::protocol::control::{ControlKind, Mode};
use crate::protocol::limits::MAX_OUTSTANDING;
use crate::protocol::{Failure, Header, Kind, MessageBuffer, Metadata, Status};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CHANNEL: u64 = 0;
const WRITER: u64 = 1;
const CONTROL: u64 = 2;

/// The longest that `next` looks for a message when no request can go on without one. Shorter than a thread does: the host's
/// other work waits meanwhile. `nightcore.h` names it.
const LOOK_NS: u64 = 25_000;

/// What happened.
pub enum Event {
    /// A call to run.
    Request(LoopRequest),
    /// The answer to a call that `request` made with this tag.
    Answer {
        /// The number of the request that made the call, see [`LoopRequest::id`].
        request: u64,
        /// The tag that was given to the call.
        tag: u64,
        /// The answer.
        result: Result<Answer, Failure>,
    },
    /// The caller of this request has left or its deadline has passed; an answer is no longer wanted.
    Cancelled {
        /// The number of the request.
        request: u64,
    },
    /// No more calls come: end.
    Ended,
}

struct Pending {
    request: u64,
    tag: u64,
    function: String,
}

/// A request that is not answered.
struct Open {
    cancelled: Arc<AtomicBool>,
    /// Its calls under way.
    calls: u32,
}

#[derive(Default)]
struct Calls {
    ids: HashMap<String, u32>,
    last_call: u64,
    pending: HashMap<u64, Pending>,
    open: HashMap<u64, Open>,
    /// How many of those have calls under way.
    waiting: usize,
}

impl Calls {
    /// Whether a request is open whose handler does not wait for an answer, as far as this can be known.
    fn can_go_on(&self) -> bool {
        self.open.len() > self.waiting
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn began(&mut self, call: u64, pending: Pending) {
        if let Some(open) = self.open.get_mut(&pending.request) {
            open.calls += 1;
            self.waiting += usize::from(open.calls == 1);
        }
        self.pending.insert(call, pending);
    }

    fn ended(&mut self, call: u64) -> Option<Pending> {
        let pending = self.pending.remove(&call)?;
        if let Some(open) = self.open.get_mut(&pending.request) {
            open.calls -= 1;
            self.waiting -= usize::from(open.calls == 0);
        }
        Some(pending)
    }

    fn answered(&mut self, request: u64) {
        if let Some(open) = self.open.remove(&request)
            && open.calls > 0
        {
            self.waiting -= 1;
            self.pending.retain(|_, pending| pending.request != request);
        }
    }
}

struct Inbound {
    channel: Incoming,
    /// Whether it pays to look for the next request, and for the answer to a call.
    patience_idle: Patience,
    patience_waiting: Patience,
    callers: HashMap<u32, Arc<str>>,
    ended: bool,
}

struct Outbound {
    channel: Outgoing,
    /// Messages that there was no room for, in order.
    unsent: VecDeque<MessageBuffer>,
}

struct Shared {
    session: Arc<Session>,
    epoll: Epoll,
    outbound: Mutex<Outbound>,
    calls: Mutex<Calls>,
    inbound: Mutex<Inbound>,
}

/// A container whose calls run in an event loop of the host's.
pub struct EventLoop(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventLoop {
    /// Connects to the engine. `names`: the handlers this program has.
    pub fn connect(names: &[&str]) -> Result<EventLoop, StartError> {
        let session = Arc::new(Session::start(names, Mode::EventLoop)?);
        let create = loop {
            let create =
                session.advance(true).into_iter().find(|r| r.kind == ControlKind::CreateWorker);
            if let Some(create) = create {
                break create;
            }
            if session.has_ended() {
                return Err(StartError::EngineGone);
            }
        };
        EventLoop::over(session, create).map_err(|_| StartError::EngineGone)
    }

    fn over(session: Arc<Session>, create: Received) -> io::Result<EventLoop> {
        let (mut incoming, outgoing) =
            channel::open(create, Mode::EventLoop).map_err(io::Error::other)?;
        // The host may wait at the descriptor first; nothing comes before READY.
        incoming.arm();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(incoming.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, CHANNEL))?;
        if let Some(writer) = outgoing.pipe() {
            epoll.add(writer, EpollEvent::new(EpollFlags::empty(), WRITER))?;
        }
        epoll.add(session.control(), EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        let shared = Shared {
            session,
            epoll,
            outbound: Mutex::new(Outbound { channel: outgoing, unsent: VecDeque::new() }),
            calls: Mutex::default(),
            inbound: Mutex::new(Inbound {
                channel: incoming,
                patience_idle: Patience::default(),
                patience_waiting: Patience::default(),
                callers: HashMap::new(),
                ended: false,
            }),
        };
        let ready = Header { sent_at: now_ns(), ..Header::new(Kind::Ready, 0) };
        shared.send(MessageBuffer::new(ready, b"", &[])).map_err(io::Error::other)?;
        Ok(EventLoop(Arc::new(shared)))
    }

    /// The function to run.
    pub fn function(&self) -> &str {
        self.0.session.function()
    }

    /// The descriptor to wait on. Readable: call [`EventLoop::next`] until it brings nothing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.epoll.0.as_fd()
    }

    /// Whether [`EventLoop::next`] looks for a message for a while, up to 25 µs, when no request can go on without one. If so,
    /// a host gains by calling it once more before it waits, when there is nothing else to run: to be woken costs more.
    pub fn looks(&self) -> bool {
        matches!(lock(&self.0.inbound).channel, Incoming::Ring { .. })
    }

    /// The next event; waits up to `timeout` for one, for good if there is none.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Event>, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let shared = &self.0;
        let mut inbound = lock(&shared.inbound);
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
            let Inbound { channel, patience_idle, patience_waiting, ended, .. } = &mut *inbound;
            match channel {
                Incoming::Pipe { reader, inbox } => match inbox.fill(reader.as_fd()) {
                    Ok(Filled::Bytes { .. }) => continue,
                    Ok(Filled::End) => {
                        *ended = true;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => {
                        return Err(Failure::new(Status::Internal, format!("read: {error}")));
                    }
                },
                Incoming::Ring { .. } => {
                    shared.flush();
                    let (can_go_on, is_idle) = {
                        let calls = lock(&shared.calls);
                        (calls.can_go_on(), calls.is_idle())
                    };
                    if !waited && !can_go_on {
                        // Else whoever shares this core, and was let run, would keep it for long.
                        ask_once_for_short_slice(WORKER_SLICE_NS);
                        let patience = if is_idle { patience_idle } else { patience_waiting };
                        if channel.look(LOOK_NS, LOOK_NS, patience) {
                            continue;
                        }
                    }
                }
            }
            // Whoever finds nothing here waits at the descriptor, so it has to become readable.
            if !channel.arm() {
                channel.disarm();
                continue;
            }
            if waited {
                return Ok(None);
            }
            waited = self.wait(&mut inbound, timeout)?;
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
        let count = match self.0.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::Error::EINTR) => 0,
            Err(error) => {
                return Err(Failure::new(Status::Internal, format!("epoll_wait: {error}")));
            }
        };
        for event in &events[..count] {
            match (event.data(), &mut inbound.channel) {
                (CONTROL, _) => drop(self.0.session.advance(false)),
                (WRITER, _) => self.0.flush(),
                (_, Incoming::Ring { bell, .. }) => {
                    inbound.ended |= matches!(hear(bell), Ok(Filled::End))
                }
                _ => {}
            }
        }
        Ok(count == 0)
    }

    /// The event of the next whole message that has one.
    fn take(&self, inbound: &mut Inbound) -> Option<Event> {
        let shared = &self.0;
        loop {
            let Inbound { channel, callers, ended, .. } = &mut *inbound;
            let message = match channel.take() {
                Ok(message) => message?,
                Err(_) => {
                    *ended = true;
                    return Some(Event::Ended);
                }
            };
            let call = message.header.call;
            match message.kind {
                Kind::Dispatch => {
                    let id = message.header.function;
                    if id != 0 && !message.name.is_empty() {
                        callers.insert(id, String::from_utf8_lossy(message.name).into());
                    }
                    let caller = callers.get(&id).cloned();
                    if id != 0 && caller.is_none() {
                        // It would look like a call from outside.
                        *ended = true;
                        return Some(Event::Ended);
                    }
                    let Ok(payload) = Payload::receive(&message, &shared.session) else {
                        *ended = true;
                        return Some(Event::Ended);
                    };
                    let cancelled = Arc::new(AtomicBool::new(false));
                    let open = Open { cancelled: cancelled.clone(), calls: 0 };
                    lock(&shared.calls).open.insert(call, open);
                    let input =
                        Input::new(shared.session.clone(), payload, &message.header, caller);
                    return Some(Event::Request(LoopRequest {
                        input,
                        began_at: now_ns(),
                        answered: AtomicBool::new(false),
                        cancelled,
                        shared: shared.clone(),
                    }));
                }
                Kind::Complete | Kind::Failed => {
                    let mut calls = lock(&shared.calls);
                    // A late answer to a request that has been answered: its memory is given back.
                    let late = !calls.pending.contains_key(&call);
                    let payload = Payload::receive(&message, &shared.session);
                    if late {
                        continue;
                    }
                    let Some(pending) = calls.ended(call) else { continue };
                    if message.header.function != 0 && !calls.ids.contains_key(&pending.function) {
                        calls.ids.insert(pending.function.clone(), message.header.function);
                    }
                    let result = match (message.kind, payload) {
                        (Kind::Complete, Ok(payload)) => Ok(Answer { payload }),
                        (Kind::Complete, Err(broken)) => {
                            Err(Failure::new(Status::Internal, broken.to_string()))
                        }
                        _ => Err(answer::failure(&message, &pending.function)),
                    };
                    return Some(Event::Answer {
                        request: pending.request,
                        tag: pending.tag,
                        result,
                    });
                }
                Kind::Cancel => {
                    if let Some(open) = lock(&shared.calls).open.get(&call) {
                        open.cancelled.store(true, Ordering::Relaxed);
                        return Some(Event::Cancelled { request: call });
                    }
                }
                _ => {
                    *ended = true;
                    return Some(Event::Ended);
                }
            }
        }
    }
}

impl Shared {
    /// Sends now, or as soon as there is room.
    fn send(&self, message: MessageBuffer) -> Result<(), Failure> {
        self.put(&mut lock(&self.outbound), message)
    }

    fn put(&self, outbound: &mut Outbound, message: MessageBuffer) -> Result<(), Failure> {
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

    /// Sends what there is room for.
    fn flush(&self) {
        let mut outbound = lock(&self.outbound);
        if !outbound.unsent.is_empty() {
            outbound.channel.disarm();
            self.wait_for_room(&mut outbound);
        }
    }

    /// Sends what there is room for, and sees to it that the loop is woken when there is room for more.
    fn wait_for_room(&self, outbound: &mut Outbound) {
        let Outbound { channel, unsent } = outbound;
        loop {
            while let Some(message) = unsent.front() {
                match channel.send(message.as_bytes()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Sent, or the engine is gone, which the reader tells.
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

/// A call that runs in the host's event loop. What it was given is reached through [`Input`].
pub struct LoopRequest {
    input: Input,
    began_at: u64,
    /// Set with `outbound` locked, and looked at so before a call is sent: nothing of a request follows its answer, which the
    /// engine would take for a broken rule.
    answered: AtomicBool,
    cancelled: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Deref for LoopRequest {
    type Target = Input;

    fn deref(&self) -> &Input {
        &self.input
    }
}

impl LoopRequest {
    /// The number of the request, as events name it.
    pub fn id(&self) -> u64 {
        self.input.call
    }

    /// Where the call came from.
    pub fn origin(&self) -> Origin<'_> {
        self.caller().map_or(Origin::External, Origin::Internal)
    }

    /// Whether the caller has left or the deadline has passed, as far as [`EventLoop::next`] has seen; a load.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), Failure> {
        if is_forked() {
            return Err(forked());
        }
        if self.answered.load(Ordering::Acquire) {
            return Err(Failure::new(Status::InvalidState, "the request has been answered"));
        }
        Ok(())
    }

    /// Calls a function; an [`Event::Answer`] with this tag follows.
    pub fn start_call(
        &self,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check()?;
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let (call, function) = {
            let mut calls = lock(&self.shared.calls);
            if calls.pending.len() >= MAX_OUTSTANDING {
                let text =
                    format!("{MAX_OUTSTANDING} internal calls are under way from this worker");
                return Err(named(Failure::new(Status::Overloaded, text)));
            }
            calls.last_call += 1;
            (calls.last_call, calls.ids.get(name).copied().unwrap_or(0))
        };
        let invoke = Invoke { call, parent: self.input.call, name, function, waits: true, options };
        let message = invoke.message(&self.shared.session, body).map_err(named)?;
        let mut outbound = lock(&self.shared.outbound);
        // Another thread may have answered meanwhile.
        if let Err(failure) = self.check() {
            self.shared.session.arena.take_back(&message);
            return Err(failure);
        }
        let pending = Pending { request: self.input.call, tag, function: name.to_owned() };
        lock(&self.shared.calls).began(call, pending);
        self.shared.put(&mut outbound, message).map_err(|failure| {
            lock(&self.shared.calls).ended(call);
            named(failure)
        })
    }

    /// Says that nobody wants the answer to a call any more. It and all calls below it are cancelled; its
    /// [`Event::Answer`] still follows, with CANCELLED unless it has just ended otherwise.
    pub fn cancel_call(&self, tag: u64) -> Result<(), Failure> {
        self.check()?;
        let is_it = |pending: &Pending| pending.tag == tag && pending.request == self.input.call;
        let found = lock(&self.shared.calls)
            .pending
            .iter()
            .find(|(_, pending)| is_it(pending))
            .map(|(call, _)| *call);
        let Some(call) = found else { return Ok(()) };
        let header = Header { sent_at: now_ns(), ..Header::new(Kind::Cancel, call) };
        self.shared.send(MessageBuffer::new(header, b"", &[]))
    }

    /// Writable memory of the arena for a body of up to this many bytes.
    pub fn buffer(&self, capacity: usize) -> Result<Buffer, Failure> {
        self.check()?;
        Buffer::new(capacity, &self.shared.session)
    }

    /// Answers; calls still under way are cancelled and their late events swallowed.
    pub fn reply(&self, body: Body<'_>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check()?;
        let message = invoke::complete(
            &self.shared.session,
            self.input.call,
            self.began_at,
            metadata.as_bytes(),
            body,
        )?;
        self.answer(message)
    }

    /// Answers with a failure.
    pub fn fail(&self, failure: &Failure) -> Result<(), Failure> {
        self.check()?;
        self.answer(invoke::failed(self.input.call, self.began_at, failure))
    }

    fn answer(&self, mut message: MessageBuffer) -> Result<(), Failure> {
        let mut outbound = lock(&self.shared.outbound);
        if self.answered.swap(true, Ordering::AcqRel) {
            self.shared.session.arena.take_back(&message);
            return Err(Failure::new(Status::InvalidState, "the request has been answered"));
        }
        lock(&self.shared.calls).answered(self.input.call);
        let now = now_ns();
        message.set_times(now, now);
        self.shared.put(&mut outbound, message)
    }
}

impl Drop for LoopRequest {
    /// A request that is dropped unanswered fails, so that its caller does not wait for nothing.
    fn drop(&mut self) {
        if !self.answered.load(Ordering::Acquire) && !is_forked() {
            let _ = self.fail(&Failure::new(Status::FunctionFailed, "the handler did not answer"));
        }
    }
}
