//! The channel of a worker thread. It reads and writes messages, and acts on what
//! [`super::protocol`] returns.

use super::answer::{self, Answer, Tagged};
use super::bell::hear;
use super::cancel_source::CancelSource;
use super::channel::{Incoming, Outgoing};
use super::compose::OutgoingCall;
use super::fork::{forked, is_forked};
use super::gone::engine_gone;
use super::payload::Input;
use super::protocol::{PendingCall, Received, WorkerCore};
use super::rest::Rest;
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::desk::Desk;
use crate::ipc::inbox::Filled;
use crate::ipc::yielding_spin::{MAX_YIELDING_SPIN_NS, SpinPolicy, TURN_NS};
use crate::protocol::to_engine::{Callee, CancelInvoke, Resume, Wait};
use crate::protocol::{
    Broken, CallNumber, CancelReason, CancelWord, Failure, InvokeNumber, MessageBuffer, Status,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

struct ThreadChannelState {
    incoming: Incoming,
    /// Whether spinning pays: for the next call, and for the answer to one of the handler's own
    /// calls.
    spin_policy_idle: SpinPolicy,
    spin_policy_waiting: SpinPolicy,
    core: WorkerCore,
    /// Answers that the handler has not asked for yet.
    ready: VecDeque<Tagged>,
    /// Tags of calls under way whose answers the handler no longer wants.
    given_up: Vec<u64>,
    /// Whether nothing more is read: the engine is gone, it broke a rule, or the worker must end.
    over: bool,
}

/// A call that a message cancelled, and the reason.
type ToldCancelled = (CallNumber, CancelReason);

pub(super) struct ThreadChannel {
    pub(super) session: Arc<Session>,
    outgoing: RefCell<Outgoing>,
    slot: u32,
    state: RefCell<ThreadChannelState>,
    /// Set by a message that cancels a call. The engine normally uses the thread's cancel word
    /// instead.
    told_cancelled: Cell<Option<ToldCancelled>>,
    /// The desk, which tells the engine about direct calls; `None` over named pipes.
    desk: Option<Desk>,
    /// How long handlers have waited for direct calls, in ns.
    waited_ns: Cell<u64>,
    /// Decides where the thread parks.
    pub(super) rest: RefCell<Rest>,
}

/// The result of reading one message.
pub(super) enum Step {
    /// The answer that the handler waits for.
    Own(Result<Answer, Failure>),
    /// The answer to another call of the request. It was kept for later.
    Other,
    /// The message does not concern the handler.
    Nothing,
    /// The thread must run this call.
    Dispatch(Input),
    /// The thread must run the calls of this lease.
    Lent(CallNumber),
    /// The thread must run no more calls of this lease.
    Recalled(CallNumber),
    /// This call has a slot again.
    Resumed(CallNumber),
    /// The thread must end.
    Retire,
}

/// The channel is over: the engine is gone, or it broke a rule.
pub(super) struct Closed;

impl From<Broken> for Closed {
    fn from(_: Broken) -> Closed {
        Closed
    }
}

impl ThreadChannel {
    pub(super) fn new(
        session: Arc<Session>,
        slot: u32,
        incoming: Incoming,
        outgoing: Outgoing,
    ) -> ThreadChannel {
        let desk = incoming.desk();
        let state = ThreadChannelState {
            incoming,
            spin_policy_idle: SpinPolicy::default(),
            spin_policy_waiting: SpinPolicy::default(),
            core: WorkerCore::of_thread(),
            ready: VecDeque::new(),
            given_up: Vec::new(),
            over: false,
        };
        ThreadChannel {
            session,
            outgoing: RefCell::new(outgoing),
            slot,
            state: RefCell::new(state),
            told_cancelled: Cell::new(None),
            desk,
            waited_ns: Cell::new(0),
            rest: RefCell::default(),
        }
    }

    /// Whether pipes carry the messages.
    pub(super) fn is_pipe(&self) -> bool {
        self.outgoing.borrow().pipe().is_some()
    }

    /// Notes that a request has its answer. Calls that its handler has under way are no longer
    /// wanted.
    pub(super) fn answered(&self, request: CallNumber) {
        let mut state = self.state.borrow_mut();
        state.core.answered(request);
        state.ready.clear();
        state.given_up.clear();
    }

    /// Notes that a direct call under this lease has its answer. The engine does not see that
    /// answer, so it is told which calls of the handler are no longer wanted.
    pub(super) fn answered_directly(&self, lease: CallNumber) {
        let pending = self.state.borrow().core.pending_of(lease);
        for call in pending {
            // If the engine is gone, the next read reports it.
            let _ = self.send(&CancelInvoke { call, sent_at: now_ns() }.write());
        }
        self.answered(lease);
    }

    /// Sends a message. Waits for room if there is none.
    pub(super) fn send(&self, message: &MessageBuffer) -> Result<(), Failure> {
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

    /// The reason for which a call is cancelled; `None` if it is not.
    pub(super) fn cancel_reason(&self, call: CallNumber) -> Option<CancelReason> {
        let by_word = || {
            let word = self.session.arena.base.cancel_word(self.slot);
            CancelWord::reason_for(word.load(Ordering::Relaxed), call)
        };
        self.told(call).or_else(by_word)
    }

    fn told(&self, call: CallNumber) -> Option<CancelReason> {
        self.told_cancelled.get().filter(|(told, _)| *told == call).map(|(_, reason)| reason)
    }

    /// The place that shows another thread whether a call is cancelled.
    pub(super) fn cancel_source(&self, call: CallNumber) -> CancelSource {
        let (base, slot) = (self.session.arena.base.clone(), self.slot);
        CancelSource::Word { base, slot, call, told: self.told(call) }
    }

    /// The desk, which tells the engine about direct calls; `None` over named pipes.
    #[inline]
    pub(super) fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// Whether a message of the engine is here. This costs one load.
    #[inline]
    pub(super) fn has_message(&self) -> bool {
        self.state.borrow().incoming.has_message()
    }

    /// Adds the time, in ns, for which the handler has waited for a direct call.
    #[inline]
    pub(super) fn add_waited(&self, ns: u64) {
        self.waited_ns.set(self.waited_ns.get() + ns);
    }

    /// How long handlers have waited for direct calls since the last call of this method, in ns.
    #[inline]
    pub(super) fn take_waited(&self) -> u64 {
        self.waited_ns.take()
    }

    /// Whether the thread may be bound to a core, or moved to another one.
    pub(super) fn may_move(&self) -> bool {
        self.state.borrow().incoming.may_move()
    }

    /// Begins a direct call under this lease.
    pub(super) fn begin_direct(&self, lease: CallNumber) -> Result<(), Broken> {
        self.state.borrow_mut().core.begin_direct(lease)
    }

    /// Waits until a call whose slot was lent has one again. If the engine is gone, the call goes
    /// on without one.
    pub(super) fn resume(&self, call: CallNumber) {
        if self.send(&Resume { call }.write()).is_err() {
            return;
        }
        loop {
            match self.step(None) {
                Ok(Step::Resumed(resumed)) if resumed == call => return,
                Ok(_) => {}
                Err(Closed) => return,
            }
        }
    }

    /// Reads until there is a message, and handles it. `own` is the function whose answer the
    /// handler waits for.
    pub(super) fn step(&self, own: Option<&str>) -> Result<Step, Closed> {
        let mut state = self.state.borrow_mut();
        if state.over {
            return Err(Closed);
        }
        let step = self.read(&mut state, own);
        state.over = matches!(step, Err(Closed) | Ok(Step::Retire));
        step
    }

    fn read(&self, state: &mut ThreadChannelState, own: Option<&str>) -> Result<Step, Closed> {
        let ThreadChannelState {
            incoming,
            spin_policy_idle,
            spin_policy_waiting,
            core,
            ready,
            given_up,
            ..
        } = state;
        let policy = if own.is_some() { spin_policy_waiting } else { spin_policy_idle };
        loop {
            let Some(message) = incoming.take()? else {
                if incoming.spin((MAX_YIELDING_SPIN_NS, TURN_NS), policy, || false) {
                    continue;
                }
                // Between requests, or between the calls of a lease, the thread rests on the core
                // from which it last called.
                let may_rest = own.is_none() && incoming.may_move();
                if may_rest {
                    self.rest.borrow_mut().begin();
                }
                let heard = incoming.sleep(policy);
                if may_rest {
                    self.rest.borrow_mut().end();
                }
                match heard {
                    Ok(Filled::Bytes { .. }) => continue,
                    Ok(Filled::End) | Err(_) => return Err(Closed),
                }
            };
            return Ok(match core.hear(&message)? {
                Received::Request(request) => {
                    Step::Dispatch(Input::receive(request, &self.session)?)
                }
                Received::Awaited(id, answer) => {
                    let function = own.unwrap_or_default();
                    core.learn(function, id);
                    Step::Own(answer::receive(answer, function, &self.session)?)
                }
                Received::Answer(PendingCall { tag, function, .. }, answer) => {
                    let result = answer::receive(answer, &function, &self.session)?;
                    match given_up.iter().position(|given_up| *given_up == tag) {
                        Some(at) => drop(given_up.swap_remove(at)),
                        None => ready.push_back(Tagged { tag, result }),
                    }
                    Step::Other
                }
                Received::Late(answer) => {
                    // Its memory is given back at once. For the engine, this answer ends a wait of
                    // the handler.
                    drop(answer::receive(answer, "", &self.session)?);
                    Step::Other
                }
                Received::Cancelled(call, reason) => {
                    self.told_cancelled.set(Some((call, reason)));
                    self.session.watches.call_cancelled(call, reason);
                    Step::Nothing
                }
                Received::Lent(lease) => Step::Lent(lease),
                Received::Recalled(lease) => Step::Recalled(lease),
                Received::Resumed(call) => Step::Resumed(call),
                Received::Nothing => Step::Nothing,
                Received::Retired => Step::Retire,
            });
        }
    }

    /// The number of a new internal call, and how the call names its callee.
    fn new_invoke<'n>(&self, name: &'n str) -> Result<(InvokeNumber, Callee<'n>), Failure> {
        if is_forked() {
            return Err(forked());
        }
        self.state.borrow_mut().core.new_invoke(name)
    }

    /// Calls a function and waits for its answer.
    pub(super) fn call(&self, call: OutgoingCall<'_>) -> Result<Answer, Failure> {
        let (name, parent) = (call.name, call.maker.call);
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let invoke = self.new_invoke(name)?;
        let message = call.compose(&self.session, invoke, true).map_err(named)?;
        self.state.borrow_mut().core.wait_for(invoke.0, parent);
        self.send(&message).map_err(named)?;
        let mut tell = false;
        loop {
            if tell {
                self.tell_waiting(parent).map_err(named)?;
            }
            match self.step(Some(name)) {
                Ok(Step::Own(result)) => return result,
                // For the engine, the answer to another call has ended the wait.
                Ok(Step::Other) => tell = true,
                // A lease is ended when its call is.
                Ok(Step::Nothing | Step::Recalled(_) | Step::Resumed(_)) => {}
                // A thread that runs a call is not retired.
                Ok(Step::Dispatch(_) | Step::Lent(_) | Step::Retire) | Err(Closed) => {
                    return Err(named(engine_gone()));
                }
            }
        }
    }

    /// Calls a function without waiting. Its answer comes with this tag.
    pub(super) fn start_call(&self, tag: u64, call: OutgoingCall<'_>) -> Result<(), Failure> {
        let (name, request) = (call.name, call.maker.call);
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let invoke = self.new_invoke(name)?;
        let message = call.compose(&self.session, invoke, false).map_err(named)?;
        let pending = PendingCall { request, tag, function: name.to_owned(), call: request };
        self.state.borrow_mut().core.began(invoke.0, pending);
        self.send(&message).map_err(named)
    }

    /// Cancels a call made by `start_call`, and drops its answer. The call stays under way until
    /// the engine answers it, since the engine counts that answer among those that a WAIT has seen.
    pub(super) fn give_up(&self, request: CallNumber, tag: u64) {
        let mut state = self.state.borrow_mut();
        let ThreadChannelState { core, ready, given_up, .. } = &mut *state;
        ready.retain(|answer| answer.tag != tag);
        let Some(call) = core.pending_with(request, tag) else { return };
        given_up.push(tag);
        drop(state);
        // If the engine is gone, the next read reports it.
        let _ = self.send(&CancelInvoke { call, sent_at: now_ns() }.write());
    }

    /// Returns the next answer to a call made by `start_call`; `None` when the time has passed.
    pub(super) fn next_answer(
        &self,
        parent: CallNumber,
        timeout: Option<Duration>,
    ) -> Result<Option<Tagged>, Failure> {
        // A time that the clock cannot represent counts as no timeout.
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            {
                let mut state = self.state.borrow_mut();
                if let Some(event) = state.ready.pop_front() {
                    return Ok(Some(event));
                }
                if !state.core.has_pending() {
                    let text = "no internal call is under way";
                    return Err(Failure::new(Status::InvalidState, text));
                }
            }
            if !self.wait(Duration::ZERO)? {
                match until {
                    // A wait without a timeout lends the slot. A wait with a timeout keeps it, as
                    // the handler may run again at any moment.
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
                Ok(
                    Step::Own(_)
                    | Step::Other
                    | Step::Nothing
                    | Step::Recalled(_)
                    | Step::Resumed(_),
                ) => {}
                Ok(Step::Dispatch(_) | Step::Lent(_) | Step::Retire) | Err(Closed) => {
                    return Err(engine_gone());
                }
            }
        }
    }

    /// Tells the engine that a handler waits, unless there is a message.
    fn tell_waiting(&self, call: CallNumber) -> Result<(), Failure> {
        if self.wait(Duration::ZERO)? {
            return Ok(());
        }
        let answers = self.state.borrow().core.answers(call);
        self.send(&Wait { call, answers, sent_at: now_ns() }.write())
    }

    /// Waits for a message, for at most this long. Returns whether there is one.
    fn wait(&self, timeout: Duration) -> Result<bool, Failure> {
        let waited = self.state.borrow_mut().incoming.wait(timeout);
        waited.map_err(|error| Failure::new(Status::Internal, format!("poll: {error}")))
    }
}
