//! A worker thread: waits for a message, runs one call at a time.

use super::answer::{self, Answer, Tagged};
use super::channel::{Incoming, Outgoing, hear};
use super::invoke::{self, Body, CallOptions, Invoke};
use super::payload::{Input, Payload};
use super::request::Request;
use super::session::{Session, engine_gone, forked, is_forked};
use super::watch::{Watch, watch};
use super::{Handler, launching};
use crate::clock::now_ns;
use crate::ipc::inbox::Filled;
use crate::ipc::look::{MAX_LOOK_NS, Patience, TURN_NS};
use crate::ipc::slice::{SHORTEST_SLICE_NS, WORKER_SLICE_NS, ask_for_short_slice};
use crate::protocol::limits::MAX_OUTSTANDING;
use crate::protocol::{Failure, Header, Kind, Message, MessageBuffer, Status};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The exit code of a fork that returned from a handler.
const EXIT_FORK_RETURNED: i32 = 1;

/// An internal call under way whose answer comes as an event.
struct Pending {
    tag: u64,
    function: String,
}

struct State {
    incoming: Incoming,
    /// Whether it pays to look for the next call, and for the answer to one of its own.
    patience_idle: Patience,
    patience_waiting: Patience,
    /// Ids of functions, learnt from the answers to calls by name.
    ids: HashMap<String, u32>,
    /// Names of callers, told with their first call on this channel.
    callers: HashMap<u32, Arc<str>>,
    /// The number of the last internal call; never used twice on a channel.
    last_call: u64,
    pending: HashMap<u64, Pending>,
    ready: VecDeque<Tagged>,
    /// Answers had for the call that runs now; tells the engine which answers a `Wait` has seen.
    answers: u64,
}

pub(super) struct ThreadWorker {
    pub(super) session: Arc<Session>,
    outgoing: RefCell<Outgoing>,
    slot: u32,
    state: RefCell<State>,
}

/// What reading one message brought.
enum Step {
    /// The answer that was waited for.
    Own(Result<Answer, Failure>),
    /// Something else that was put where it belongs.
    Other,
    /// Start this call.
    Dispatch(Input),
    /// End.
    Retire,
}

/// The channel is over: the engine is gone, or a rule was broken.
struct Closed;

impl ThreadWorker {
    pub(super) fn new(
        session: Arc<Session>,
        slot: u32,
        incoming: Incoming,
        outgoing: Outgoing,
    ) -> ThreadWorker {
        let state = State {
            incoming,
            patience_idle: Patience::default(),
            patience_waiting: Patience::default(),
            ids: HashMap::new(),
            callers: HashMap::new(),
            last_call: 0,
            pending: HashMap::new(),
            ready: VecDeque::new(),
            answers: 0,
        };
        ThreadWorker { session, outgoing: RefCell::new(outgoing), slot, state: RefCell::new(state) }
    }

    /// Runs calls until the engine retires this worker or goes away.
    pub(super) fn run(&self, handler: &Handler) {
        ask_for_short_slice(match self.outgoing.borrow().pipe() {
            Some(_) => SHORTEST_SLICE_NS,
            None => WORKER_SLICE_NS,
        });
        let ready = Header { sent_at: now_ns(), ..Header::new(Kind::Ready, 0) };
        if self.send(&MessageBuffer::new(ready, b"", &[])).is_err() {
            return;
        }
        loop {
            match self.step(None) {
                Ok(Step::Dispatch(input)) => self.run_call(input, handler),
                Ok(Step::Other | Step::Own(_)) => {}
                Ok(Step::Retire) | Err(Closed) => return,
            }
        }
    }

    fn run_call(&self, input: Input, handler: &Handler) {
        let began_at = now_ns();
        let call = input.call;
        self.state.borrow_mut().answers = 0;
        let request = Request::new(input, self, began_at);
        let outcome = launching::guarded(|| handler(&request));
        if is_forked() {
            end_fork();
        }
        let reply = request.finish();
        let mut message = match (reply, outcome) {
            (Some(reply), outcome) => {
                if let Err(failure) = outcome {
                    eprintln!(
                        "nightcore: {}: failed after it had answered: {}",
                        self.session.function(),
                        failure.message
                    );
                }
                reply
            }
            (None, Ok(())) => {
                let header = Header { parent: began_at, ..Header::new(Kind::Complete, call) };
                MessageBuffer::new(header, b"", &[])
            }
            (None, Err(failure)) => invoke::failed(call, began_at, &failure),
        };
        {
            let mut state = self.state.borrow_mut();
            state.pending.clear();
            state.ready.clear();
        }
        let now = now_ns();
        message.set_times(now, now);
        // If the engine is gone, the next read says so.
        let _ = self.send(&message);
    }

    fn send(&self, message: &MessageBuffer) -> Result<(), Failure> {
        let mut outgoing = self.outgoing.borrow_mut();
        loop {
            match outgoing.send(message.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(engine_gone()),
            }
            // The engine always reads, so there will be room.
            let heard = if outgoing.arm() {
                hear(&self.state.borrow().incoming.as_fd())
            } else {
                Ok(Filled::Bytes { drained: true })
            };
            outgoing.disarm();
            if !matches!(heard, Ok(Filled::Bytes { .. })) {
                return Err(engine_gone());
            }
        }
    }

    pub(super) fn is_cancelled(&self, call: u64) -> bool {
        self.session.arena.base.cancel_word(self.slot).load(Ordering::Relaxed) == call
    }

    pub(super) fn watch(&self, call: u64, run: Box<dyn FnOnce() + Send>) -> Result<Watch, Failure> {
        watch(&self.session, self.slot, call, run)
    }

    /// Reads until there is a message and puts it where it belongs. `own`: the internal call that is waited for.
    fn step(&self, own: Option<(u64, &str)>) -> Result<Step, Closed> {
        let mut state = self.state.borrow_mut();
        let State {
            incoming,
            patience_idle,
            patience_waiting,
            ids,
            callers,
            pending,
            ready,
            answers,
            ..
        } = &mut *state;
        let patience = if own.is_some() { patience_waiting } else { patience_idle };
        loop {
            let Some(message) = incoming.take().map_err(|_| Closed)? else {
                if incoming.look(MAX_LOOK_NS, TURN_NS, patience) {
                    continue;
                }
                match incoming.sleep(patience) {
                    Ok(Filled::Bytes { .. }) => continue,
                    Ok(Filled::End) | Err(_) => return Err(Closed),
                }
            };
            let call = message.header.call;
            return match message.kind {
                Kind::Dispatch => {
                    let caller = caller(callers, &message)?;
                    let payload = Payload::receive(&message, &self.session).map_err(|_| Closed)?;
                    let session = self.session.clone();
                    Ok(Step::Dispatch(Input::new(session, payload, &message.header, caller)))
                }
                Kind::Retire => Ok(Step::Retire),
                Kind::Complete | Kind::Failed => {
                    let own = own.filter(|(id, _)| *id == call).map(|(_, name)| name);
                    let pending = if own.is_none() { pending.remove(&call) } else { None };
                    let function = own.or(pending.as_ref().map(|p| p.function.as_str()));
                    if let Some(name) = function
                        && message.header.function != 0
                        && !ids.contains_key(name)
                    {
                        ids.insert(name.to_owned(), message.header.function);
                    }
                    let result = if message.kind == Kind::Complete {
                        let payload =
                            Payload::receive(&message, &self.session).map_err(|_| Closed)?;
                        Ok(Answer { payload })
                    } else {
                        Err(answer::failure(&message, function.unwrap_or_default()))
                    };
                    if own.is_some() {
                        *answers += 1;
                        return Ok(Step::Own(result));
                    }
                    // The answer to a call of an earlier request is dropped here, with its memory.
                    if let Some(pending) = pending {
                        *answers += 1;
                        ready.push_back(Tagged { tag: pending.tag, result });
                    }
                    Ok(Step::Other)
                }
                _ => Err(Closed),
            };
        }
    }

    /// Makes room for one more internal call; its number and the callee's id, 0 if not known yet.
    fn new_call(&self, name: &str) -> Result<(u64, u32), Failure> {
        if is_forked() {
            return Err(forked());
        }
        let mut state = self.state.borrow_mut();
        if state.pending.len() >= MAX_OUTSTANDING {
            let text = format!("{MAX_OUTSTANDING} internal calls are under way from this worker");
            return Err(Failure {
                function: name.into(),
                ..Failure::new(Status::Overloaded, text)
            });
        }
        state.last_call += 1;
        Ok((state.last_call, state.ids.get(name).copied().unwrap_or(0)))
    }

    /// Calls a function and waits for its answer.
    pub(super) fn call(
        &self,
        parent: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<Answer, Failure> {
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let (call, function) = self.new_call(name)?;
        let invoke = Invoke { call, parent, name, function, waits: true, options };
        self.send(&invoke.message(&self.session, body).map_err(named)?).map_err(named)?;
        let mut tell = false;
        loop {
            if tell {
                self.tell_waiting(parent).map_err(named)?;
            }
            match self.step(Some((call, name))) {
                Ok(Step::Own(result)) => return result,
                // An event for another call ended the wait in the engine's eyes.
                Ok(Step::Other) => tell = true,
                // A thread that runs a call is sent neither another one nor its retirement.
                Ok(Step::Dispatch(_) | Step::Retire) | Err(Closed) => {
                    return Err(named(engine_gone()));
                }
            }
        }
    }

    /// Calls a function; its answer comes as an event with this tag.
    pub(super) fn start_call(
        &self,
        parent: u64,
        tag: u64,
        name: &str,
        body: Body<'_>,
        options: &CallOptions,
    ) -> Result<(), Failure> {
        let (call, function) = self.new_call(name)?;
        let invoke = Invoke { call, parent, name, function, waits: false, options };
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let message = invoke.message(&self.session, body).map_err(named)?;
        self.state.borrow_mut().pending.insert(call, Pending { tag, function: name.to_owned() });
        self.send(&message).map_err(named)
    }

    /// The next answer to a call made by `start_call`; `None` when the time has passed.
    pub(super) fn next_answer(
        &self,
        parent: u64,
        timeout: Option<Duration>,
    ) -> Result<Option<Tagged>, Failure> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            {
                let mut state = self.state.borrow_mut();
                if let Some(event) = state.ready.pop_front() {
                    return Ok(Some(event));
                }
                if state.pending.is_empty() {
                    return Err(Failure::new(
                        Status::InvalidState,
                        "no internal call is under way",
                    ));
                }
            }
            if !self.wait(Duration::ZERO)? {
                match until {
                    // Waits for good and lends its slot; with a timeout it keeps it, as it may run again at any
                    // moment.
                    None => self.tell_waiting(parent)?,
                    Some(until) => {
                        let left = until.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            return Ok(None);
                        }
                        if !self.wait(left)? {
                            continue;
                        }
                    }
                }
            }
            match self.step(None) {
                Ok(Step::Own(_) | Step::Other) => {}
                Ok(Step::Dispatch(_) | Step::Retire) | Err(Closed) => return Err(engine_gone()),
            }
        }
    }

    fn tell_waiting(&self, call: u64) -> Result<(), Failure> {
        if self.wait(Duration::ZERO)? {
            return Ok(());
        }
        let answers = self.state.borrow().answers;
        let wait = Header { parent: answers, sent_at: now_ns(), ..Header::new(Kind::Wait, call) };
        self.send(&MessageBuffer::new(wait, b"", &[]))
    }

    /// Whether there is a message; waits for one at most so long.
    fn wait(&self, timeout: Duration) -> Result<bool, Failure> {
        let waited = self.state.borrow_mut().incoming.wait(timeout);
        waited.map_err(|error| Failure::new(Status::Internal, format!("poll: {error}")))
    }
}

/// Ends a fork whose handler returned. It must neither answer its parent's call nor read its parent's channel.
fn end_fork() -> ! {
    eprintln!(
        "nightcore: a fork returned from a handler; only the parent can answer: end the child by _exit"
    );
    // SAFETY: _exit only ends the process, without running what the parent registered for its own end.
    unsafe { libc::_exit(EXIT_FORK_RETURNED) }
}

/// The name of the caller in a `Dispatch`.
fn caller(
    callers: &mut HashMap<u32, Arc<str>>,
    message: &Message<'_>,
) -> Result<Option<Arc<str>>, Closed> {
    let id = message.header.function;
    if id == 0 {
        return Ok(None);
    }
    if !message.name.is_empty() {
        let name: Arc<str> = str::from_utf8(message.name).map_err(|_| Closed)?.into();
        callers.insert(id, name);
    }
    callers.get(&id).cloned().map(Some).ok_or(Closed)
}
