//! The other skin: a descriptor to wait on and a `next` that never blocks unless it is told to.
//!
//! One channel carries many calls at once. The descriptor is an epoll descriptor of the library: wait until it
//! is readable, never read it, then call [`EventLoop::next`] until it brings nothing. It covers the
//! channel, messages that could not be written yet, and the control socket. Requests may be answered, and calls
//! made, from any thread; `next` is for one thread at a time.

use super::answer::{self, Answer};
use super::arena::Buffer;
use super::invoke::{self, Body, CallOptions, Invoke};
use super::payload::{Input, Payload};
use super::request::Origin;
use super::session::{Session, StartError, engine_gone, forked, is_forked};
use crate::clock::now_ns;
use crate::ipc::channel::{self, is_fifo, set_nonblocking};
use crate::ipc::inbox::{Filled, Inbox};
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

#[derive(Default)]
struct Calls {
    ids: HashMap<String, u32>,
    last_call: u64,
    pending: HashMap<u64, Pending>,
    /// Requests that are not answered, each with the word that says it is cancelled.
    open: HashMap<u64, Arc<AtomicBool>>,
}

#[derive(Default)]
struct Incoming {
    inbox: Inbox,
    callers: HashMap<u32, Arc<str>>,
    ended: bool,
}

struct Shared {
    session: Arc<Session>,
    epoll: Epoll,
    reader: OwnedFd,
    writer: OwnedFd,
    /// Messages that the full pipe did not take, in order.
    unsent: Mutex<VecDeque<MessageBuffer>>,
    calls: Mutex<Calls>,
    incoming: Mutex<Incoming>,
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
        let (reader, writer) = loop {
            let create = session.advance(true).into_iter().find(|r| r.kind == ControlKind::CreateWorker);
            if let Some(create) = create
                && let Ok([reader, writer]) = <[OwnedFd; 2]>::try_from(create.descriptors)
                && is_fifo(&reader)
                && is_fifo(&writer)
            {
                break (reader, writer);
            }
            if session.has_ended() {
                return Err(StartError::EngineGone);
            }
        };
        EventLoop::over(session, reader, writer).map_err(|_| StartError::EngineGone)
    }

    fn over(session: Arc<Session>, reader: OwnedFd, writer: OwnedFd) -> io::Result<EventLoop> {
        set_nonblocking(&reader)?;
        set_nonblocking(&writer)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, CHANNEL))?;
        epoll.add(&writer, EpollEvent::new(EpollFlags::empty(), WRITER))?;
        epoll.add(session.control(), EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        let shared = Shared {
            session,
            epoll,
            reader,
            writer,
            unsent: Mutex::default(),
            calls: Mutex::default(),
            incoming: Mutex::default(),
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

    /// The next event; waits up to `timeout` for one, for good if there is none.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Event>, Failure> {
        if is_forked() {
            return Err(forked());
        }
        let shared = &self.0;
        let mut incoming = lock(&shared.incoming);
        let mut waited = false;
        loop {
            if incoming.ended || shared.session.has_ended() {
                incoming.ended = true;
                return Ok(Some(Event::Ended));
            }
            if let Some(event) = self.take(&mut incoming) {
                return Ok(Some(event));
            }
            match incoming.inbox.fill(shared.reader.as_fd()) {
                Ok(Filled::Bytes { .. }) => continue,
                Ok(Filled::End) => {
                    incoming.ended = true;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Failure::new(Status::Internal, format!("read: {error}"))),
            }
            if waited {
                return Ok(None);
            }
            waited = self.wait(timeout)?;
        }
    }

    /// Waits on all descriptors; true if there was nothing, so that the time is over.
    fn wait(&self, timeout: Option<Duration>) -> Result<bool, Failure> {
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
            Err(error) => return Err(Failure::new(Status::Internal, format!("epoll_wait: {error}"))),
        };
        for event in &events[..count] {
            match event.data() {
                CONTROL => drop(self.0.session.advance(false)),
                WRITER => self.0.flush(),
                _ => {}
            }
        }
        Ok(count == 0)
    }

    /// The event of the next whole message that has one.
    fn take(&self, incoming: &mut Incoming) -> Option<Event> {
        let shared = &self.0;
        loop {
            let message = match incoming.inbox.take() {
                Ok(message) => message?,
                Err(_) => {
                    incoming.ended = true;
                    return Some(Event::Ended);
                }
            };
            let call = message.header.call;
            match message.kind {
                Kind::Dispatch => {
                    let id = message.header.function;
                    if id != 0 && !message.name.is_empty() {
                        incoming.callers.insert(id, String::from_utf8_lossy(message.name).into());
                    }
                    let caller = incoming.callers.get(&id).cloned();
                    if id != 0 && caller.is_none() {
                        // It would look like a call from outside.
                        incoming.ended = true;
                        return Some(Event::Ended);
                    }
                    let Ok(payload) = Payload::receive(&message, &shared.session) else {
                        incoming.ended = true;
                        return Some(Event::Ended);
                    };
                    let cancelled = Arc::new(AtomicBool::new(false));
                    lock(&shared.calls).open.insert(call, cancelled.clone());
                    let (session, deadline) = (shared.session.clone(), message.header.deadline);
                    let input = Input { session, payload, call, deadline, caller };
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
                    let Some(pending) = calls.pending.remove(&call) else { continue };
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
                    return Some(Event::Answer { request: pending.request, tag: pending.tag, result });
                }
                Kind::Cancel => {
                    if let Some(cancelled) = lock(&shared.calls).open.get(&call) {
                        cancelled.store(true, Ordering::Relaxed);
                        return Some(Event::Cancelled { request: call });
                    }
                }
                _ => {
                    incoming.ended = true;
                    return Some(Event::Ended);
                }
            }
        }
    }
}

impl Shared {
    /// Sends now, or as soon as the pipe has room.
    fn send(&self, message: MessageBuffer) -> Result<(), Failure> {
        let mut unsent = lock(&self.unsent);
        if unsent.is_empty() {
            match channel::send(self.writer.as_fd(), message.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watch_writer(true),
                Err(_) => return Err(engine_gone()),
            }
        }
        unsent.push_back(message);
        Ok(())
    }

    fn flush(&self) {
        let mut unsent = lock(&self.unsent);
        while let Some(message) = unsent.front() {
            match channel::send(self.writer.as_fd(), message.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Sent, or the engine is gone, which the reader tells.
                _ => drop(unsent.pop_front()),
            }
        }
        self.watch_writer(false);
    }

    fn watch_writer(&self, on: bool) {
        let flags = if on { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
        let _ = self.epoll.modify(&self.writer, &mut EpollEvent::new(flags, WRITER));
    }
}

/// A call that runs in the host's event loop. What it was given is reached through [`Input`].
pub struct LoopRequest {
    input: Input,
    began_at: u64,
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
                let text = format!("{MAX_OUTSTANDING} internal calls are under way from this worker");
                return Err(named(Failure::new(Status::Overloaded, text)));
            }
            calls.last_call += 1;
            (calls.last_call, calls.ids.get(name).copied().unwrap_or(0))
        };
        let invoke = Invoke { call, parent: self.input.call, name, function, waits: true, options };
        let message = invoke.message(&self.shared.session, body).map_err(named)?;
        let pending = Pending { request: self.input.call, tag, function: name.to_owned() };
        lock(&self.shared.calls).pending.insert(call, pending);
        self.shared.send(message).map_err(|failure| {
            lock(&self.shared.calls).pending.remove(&call);
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
        if self.answered.swap(true, Ordering::AcqRel) {
            return Err(Failure::new(Status::InvalidState, "the request has been answered"));
        }
        {
            let mut calls = lock(&self.shared.calls);
            calls.open.remove(&self.input.call);
            calls.pending.retain(|_, pending| pending.request != self.input.call);
        }
        let now = now_ns();
        message.set_times(now, now);
        self.shared.send(message)
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
