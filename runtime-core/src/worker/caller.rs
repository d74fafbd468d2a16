//! Calls that the process makes outside of any request: from threads of its own, or from work that
//! goes on after an answer. Such a call has no parent, so the end of a request does not cancel it.
//! It has a deadline of its own: the callee's timeout or less.
//!
//! These calls go through a channel of the process, which is made at the first of them. A thread of
//! the library, `nc-caller`, reads its answers, so that a call can be made from any thread.

use super::answer::{self, Answer};
use super::channel::{Incoming, Outgoing};
use super::compose::{self, Body, CallOptions};
use super::fork::{forked, is_forked};
use super::gone::engine_gone;
use super::protocol::ReceivedAnswer;
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::channel::{is_fifo, set_blocking};
use crate::ipc::inbox::{Filled, Inbox};
use crate::protocol::control::FromContainer;
use crate::protocol::limits::MAX_OUTSTANDING;
use crate::protocol::to_engine::{Callee, CancelInvoke, Ready};
use crate::protocol::{Failure, FunctionId, InvokeNumber, MessageBuffer, Status, ToWorker};
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The session of this process, and its caller once a call was made.
static CURRENT: Mutex<Current> = Mutex::new(Current { session: None, caller: None });

struct Current {
    session: Option<Weak<Session>>,
    caller: Option<Arc<ProcessCaller>>,
}

thread_local! {
    /// Whether this is the thread that reads answers.
    static READS: Cell<bool> = const { Cell::new(false) };
}

/// Receives the end of a call. It runs on the thread that reads answers, so it should be short.
pub type Done = Box<dyn FnOnce(Result<Answer, Failure>) + Send>;

/// Identifies a call that was started, for [`cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StartedCall(u64);

impl StartedCall {
    /// The call with this number.
    pub fn of_number(number: u64) -> StartedCall {
        StartedCall(number)
    }

    /// Its number. No other call of the process has it.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A call under way.
struct Pending {
    function: String,
    done: Done,
}

/// The state of the calls.
struct CallerState {
    pending: HashMap<InvokeNumber, Pending>,
    /// The ids of functions, as answers have told them.
    ids: HashMap<String, FunctionId>,
    last_call: u64,
    /// Whether no more answers come.
    is_over: bool,
}

struct ProcessCaller {
    session: Arc<Session>,
    outgoing: Mutex<Outgoing>,
    state: Mutex<CallerState>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that the process has become a container, so that it may make calls from now on.
pub(super) fn connected(session: &Arc<Session>) {
    *lock(&CURRENT) = Current { session: Some(Arc::downgrade(session)), caller: None };
}

/// Calls a function and waits for its answer, on any thread that may wait. `options.timeout` may
/// end the call sooner than the callee's own timeout.
///
/// # Errors
///
/// If the call fails. INVALID_STATE if this process does not serve yet, or no longer does because
/// its event loop is gone. UNAVAILABLE if the engine has gone.
pub fn call(name: &str, parts: &[&[u8]], options: &CallOptions) -> Result<Answer, Failure> {
    if READS.get() {
        let text = "this thread takes the answers to calls: start the call instead of waiting";
        return Err(named(name, Failure::new(Status::InvalidState, text)));
    }
    let (to, answer) = sync_channel(1);
    start(
        name,
        parts,
        options,
        Box::new(move |result| {
            // The thread that made the call waits for the result, so it is received.
            let _ = to.send(result);
        }),
    )?;
    answer.recv().unwrap_or_else(|_| Err(named(name, engine_gone())))
}

/// Calls a function without waiting. `done` is called once with the answer or the error, on the
/// thread of the library that reads answers. That may happen before this function returns.
///
/// # Errors
///
/// The same as those of [`call`]; `done` is not called then. OVERLOADED if too many such calls are
/// under way.
pub fn start(
    name: &str,
    parts: &[&[u8]],
    options: &CallOptions,
    done: Done,
) -> Result<StartedCall, Failure> {
    let caller = current().map_err(|failure| named(name, failure))?;
    caller.start((name, parts, options), done).map_err(|failure| named(name, failure))
}

/// Cancels a call that was started, and all calls below it, as its answer is no longer wanted. The
/// call ends with CANCELLED, unless it has just ended otherwise. A call that has ended is not
/// affected.
pub fn cancel(call: StartedCall) {
    if is_forked() {
        return;
    }
    let caller = lock(&CURRENT).caller.clone();
    let call = InvokeNumber(call.0);
    if let Some(caller) = caller
        && lock(&caller.state).pending.contains_key(&call)
    {
        // If the engine is gone, the thread that reads answers reports it.
        let _ = caller.send(&CancelInvoke { call, sent_at: now_ns() }.write());
    }
}

fn named(name: &str, failure: Failure) -> Failure {
    Failure { function: name.into(), ..failure }
}

/// The caller of this process. It is created now if there is none.
fn current() -> Result<Arc<ProcessCaller>, Failure> {
    if is_forked() {
        return Err(forked());
    }
    let mut current = lock(&CURRENT);
    if let Some(caller) = &current.caller {
        return Ok(caller.clone());
    }
    let invalid = |text| Err(Failure::new(Status::InvalidState, text));
    let Some(session) = &current.session else {
        return invalid("this process does not serve yet: calls can be made once it does");
    };
    let Some(session) = session.upgrade() else {
        return invalid("this process serves no longer");
    };
    if !session.can_have_caller() {
        return Err(Failure::new(
            Status::Unavailable,
            "the engine is older than this library, and takes no calls outside of requests",
        ));
    }
    let caller = ProcessCaller::create(session)?;
    current.caller = Some(caller.clone());
    Ok(caller)
}

impl ProcessCaller {
    /// Asks the engine for a channel, and starts to read from it.
    fn create(session: Arc<Session>) -> Result<Arc<ProcessCaller>, Failure> {
        session.send(&FromContainer::caller_request()).map_err(|_| engine_gone())?;
        let ends = session.wait_until(|shared| shared.take_caller());
        let (reader, writer) = open(ends.unwrap_or_else(|| Err(engine_gone()))?)?;
        let state = CallerState {
            pending: HashMap::new(),
            ids: HashMap::new(),
            last_call: 0,
            is_over: false,
        };
        let caller = Arc::new(ProcessCaller {
            session,
            outgoing: Mutex::new(Outgoing::Pipe(writer)),
            state: Mutex::new(state),
        });
        let incoming = Incoming::Pipe { reader, inbox: Inbox::default() };
        let reading = caller.clone();
        let thread = std::thread::Builder::new().name("nc-caller".into());
        let spawned = thread.spawn(move || {
            READS.set(true);
            reading.read(incoming);
        });
        spawned.map_err(|error| {
            Failure::new(Status::Overloaded, format!("cannot create a thread: {error}"))
        })?;
        caller.send(&Ready { sent_at: now_ns() }.write())?;
        Ok(caller)
    }

    fn start(
        &self,
        (name, parts, options): (&str, &[&[u8]], &CallOptions),
        done: Done,
    ) -> Result<StartedCall, Failure> {
        let (call, known) = {
            let mut state = lock(&self.state);
            if state.is_over {
                return Err(engine_gone());
            }
            if state.pending.len() >= MAX_OUTSTANDING {
                let text = format!("{MAX_OUTSTANDING} calls of this process are under way");
                return Err(Failure::new(Status::Overloaded, text));
            }
            state.last_call += 1;
            let call = InvokeNumber(state.last_call);
            // This comes before the message is sent, since the answer may follow at once.
            state.pending.insert(call, Pending { function: name.to_owned(), done });
            (call, state.ids.get(name).copied())
        };
        let callee = known.map_or(Callee::Name(name), Callee::Id);
        let composed =
            compose::invoke_alone(&self.session, (call, callee), Body::Parts(parts), options);
        let sent = composed.and_then(|message| {
            let sent = self.send(&message);
            sent.inspect_err(|_| self.session.arena.take_back(&message))
        });
        match sent {
            Ok(()) => Ok(StartedCall(call.0)),
            // If the call is no longer in the table, its end was reported already, as the engine
            // has gone.
            Err(failure) => match lock(&self.state).pending.remove(&call) {
                Some(_) => Err(failure),
                None => Ok(StartedCall(call.0)),
            },
        }
    }

    /// Sends a message. Waits for room if there is none: the engine always reads.
    fn send(&self, message: &MessageBuffer) -> Result<(), Failure> {
        lock(&self.outgoing).send(message.as_bytes()).map_err(|_| engine_gone())
    }

    /// Passes on answers until no more come.
    fn read(&self, mut incoming: Incoming) {
        while self.take(&mut incoming) {}
        let pending = {
            let mut state = lock(&self.state);
            state.is_over = true;
            std::mem::take(&mut state.pending)
        };
        for pending in pending.into_values() {
            (pending.done)(Err(named(&pending.function, engine_gone())));
        }
    }

    /// Passes on the messages that have come, and waits for more. Returns false if the engine is
    /// gone, or broke a rule.
    fn take(&self, incoming: &mut Incoming) -> bool {
        loop {
            let Ok(message) = incoming.take() else { return false };
            let Some(message) = message else { break };
            let (call, function, answer) = match ToWorker::read(&message) {
                Ok(ToWorker::AnswerComplete(answer)) => {
                    (answer.call, answer.function, ReceivedAnswer::Complete(answer.payload))
                }
                Ok(ToWorker::AnswerFailed(answer)) => {
                    (answer.call, answer.function, ReceivedAnswer::Failed(answer.failure))
                }
                Ok(_) | Err(_) => return false,
            };
            let pending = {
                let mut state = lock(&self.state);
                let pending = state.pending.remove(&call);
                if let (Some(pending), Some(id)) = (&pending, function) {
                    state.ids.entry(pending.function.clone()).or_insert(id);
                }
                pending
            };
            let name = pending.as_ref().map_or("", |pending| &pending.function);
            let Ok(result) = answer::receive(answer, name, &self.session) else {
                if let Some(pending) = pending {
                    (pending.done)(Err(named(&pending.function, engine_gone())));
                }
                return false;
            };
            if let Some(pending) = pending {
                (pending.done)(result);
            }
        }
        let Incoming::Pipe { reader, inbox } = incoming else { return false };
        matches!(inbox.fill(std::os::fd::AsFd::as_fd(reader)), Ok(Filled::Bytes { .. }))
    }
}

/// The ends of the caller's channel: first the one to read from, then the one to write to.
fn open(descriptors: Vec<OwnedFd>) -> Result<(OwnedFd, OwnedFd), Failure> {
    let internal = |text: String| Failure::new(Status::Internal, text);
    let Ok([reader, writer]) = <[OwnedFd; 2]>::try_from(descriptors) else {
        return Err(internal("no channel came".into()));
    };
    for end in [&reader, &writer] {
        if !is_fifo(end) {
            return Err(internal("a descriptor is not a named pipe".into()));
        }
        set_blocking(end).map_err(|error| internal(error.to_string()))?;
    }
    Ok((reader, writer))
}
