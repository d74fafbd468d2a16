//! A call: the data that it has in every state, and its state.

use super::load::{FunctionLoad, Loads};
use super::state::{
    Caller, Counted, Held, Patience, Running, Share, Start, State, Task, Wait, Waiting,
};
use crate::ids::{CallId, CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId};
use nightcore_runtime::protocol::CancelReason;

/// A call under way. `P` is a payload; `R` is the gateway's handle for an answer.
#[derive(Debug)]
pub struct Call<P, R> {
    pub(super) id: CallNumber,
    /// The function that was called.
    pub(super) function: FunctionId,
    /// The id of the external call at the top of its tree, which may be this call; `None` for a
    /// lease.
    pub(super) root: Option<CallId>,
    /// How many calls are above it in its tree.
    pub(super) depth: u32,
    /// The fingerprint of its input, if its function has a quarantine.
    pub(super) input: Option<Fingerprint>,
    /// The length of its payload, in bytes.
    pub(super) bytes: u64,
    /// Its deadline, ns; `None` in a container that was attached by hand, where a user may debug
    /// the handler.
    pub(super) deadline: Option<u64>,
    /// When it arrived, ns.
    pub(super) queued_at: u64,
    pub(super) state: State<P, R>,
}

/// Where a dispatched call runs.
#[derive(Clone, Copy, Debug)]
pub struct Dispatched {
    /// The worker that runs it.
    pub channel: ChannelKey,
    /// The container of that worker.
    pub container: ContainerKey,
    /// Whether the call lends its slot.
    pub waits: bool,
}

/// A call that has ended: its caller, who must be told, and the calls below it.
#[derive(Debug)]
pub struct Ended<R> {
    /// The caller, unless it was told before.
    pub caller: Option<Caller<R>>,
    /// The calls that it still had under way.
    pub children: Vec<CallNumber>,
}

/// How a dispatched call has spent its time so far.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it was sent to its worker, ns.
    pub dispatched_at: u64,
    /// How long it has waited for its internal calls, ns.
    pub waited_ns: u64,
    /// How long the calls below it were queued, ns.
    pub queued_below_ns: u64,
}

impl<P, R> Call<P, R> {
    fn counted(&self) -> Counted {
        Counted { id: self.id, is_outside: self.depth == 0, bytes: self.bytes }
    }

    /// The call's number.
    pub fn id(&self) -> CallNumber {
        self.id
    }

    /// The function that was called.
    #[inline]
    pub fn function(&self) -> FunctionId {
        self.function
    }

    /// The id of the external call at the top of its tree, which may be this call; `None` for a
    /// lease.
    #[inline]
    pub fn root(&self) -> Option<CallId> {
        self.root
    }

    /// How many calls are above it in its tree.
    #[inline]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The fingerprint of its input, if its function has a quarantine.
    #[inline]
    pub fn input(&self) -> Option<Fingerprint> {
        self.input
    }

    /// The length of its payload, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its deadline, ns; `None` in a container that was attached by hand, where a user may debug
    /// the handler.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// When it arrived, ns.
    #[inline]
    pub fn queued_at(&self) -> u64 {
        self.queued_at
    }

    /// How often it was sent again; 0 once its caller was told of its end.
    pub fn retried(&self) -> u32 {
        match &self.state {
            State::Running(Running { wanted, .. }) | State::Waiting(Waiting { wanted, .. }) => {
                wanted.retried
            }
            State::Queued(queued) => queued.retried,
            State::Abandoned(_) | State::Moving => 0,
        }
    }

    /// Whether it is in its function's queue.
    #[inline]
    pub fn is_queued(&self) -> bool {
        matches!(self.state, State::Queued(_))
    }

    #[inline]
    fn task(&self) -> Option<&Task> {
        match &self.state {
            State::Running(Running { task, .. }) | State::Waiting(Waiting { task, .. }) => {
                Some(task)
            }
            State::Abandoned(abandoned) => Some(&abandoned.task),
            State::Queued(_) | State::Moving => None,
        }
    }

    #[inline]
    fn task_mut(&mut self) -> Option<&mut Task> {
        match &mut self.state {
            State::Running(Running { task, .. }) | State::Waiting(Waiting { task, .. }) => {
                Some(task)
            }
            State::Abandoned(abandoned) => Some(&mut abandoned.task),
            State::Queued(_) | State::Moving => None,
        }
    }

    #[inline]
    fn wait(&self) -> Option<&Wait<P>> {
        match &self.state {
            State::Waiting(waiting) => Some(&waiting.wait),
            State::Abandoned(abandoned) => abandoned.wait.as_ref(),
            State::Queued(_) | State::Running(_) | State::Moving => None,
        }
    }

    fn wait_mut(&mut self) -> Option<&mut Wait<P>> {
        match &mut self.state {
            State::Waiting(waiting) => Some(&mut waiting.wait),
            State::Abandoned(abandoned) => abandoned.wait.as_mut(),
            State::Queued(_) | State::Running(_) | State::Moving => None,
        }
    }

    pub(super) fn caller_mut(&mut self) -> Option<&mut Caller<R>> {
        match &mut self.state {
            State::Queued(queued) => Some(&mut queued.caller),
            State::Running(Running { wanted, .. }) | State::Waiting(Waiting { wanted, .. }) => {
                Some(&mut wanted.caller)
            }
            State::Abandoned(_) | State::Moving => None,
        }
    }

    /// The caller that waits for it; `None` once the caller was told of its end.
    #[inline]
    pub fn caller(&self) -> Option<&Caller<R>> {
        match &self.state {
            State::Queued(queued) => Some(&queued.caller),
            State::Running(Running { wanted, .. }) | State::Waiting(Waiting { wanted, .. }) => {
                Some(&wanted.caller)
            }
            State::Abandoned(_) | State::Moving => None,
        }
    }

    /// Whether it is a lease: a lease has no call above it, and is not from outside.
    #[inline]
    pub fn is_lease(&self) -> bool {
        self.root.is_none()
    }

    /// Where it runs, if it was dispatched.
    #[inline]
    pub fn dispatched(&self) -> Option<Dispatched> {
        let Task { channel, container, .. } = *self.task()?;
        Some(Dispatched { channel, container, waits: self.wait().is_some() })
    }

    /// The worker that runs it, if it was dispatched.
    #[inline]
    pub fn channel(&self) -> Option<ChannelKey> {
        self.task().map(|task| task.channel)
    }

    /// How it has spent its time up to now, if it was dispatched.
    pub fn times(&self, now: u64) -> Option<Times> {
        let Task { dispatched_at, waited_ns, queued_below_ns, .. } = *self.task()?;
        let waits_ns = self.wait().map_or(0, |wait| now.saturating_sub(wait.since));
        Some(Times { dispatched_at, waited_ns: waited_ns + waits_ns, queued_below_ns })
    }

    /// How long it and the calls below it were queued, ns. For a queued call this excludes its
    /// present wait.
    pub fn queued_ns(&self) -> u64 {
        self.task().map_or(0, |task| {
            task.queued_below_ns + task.dispatched_at.saturating_sub(self.queued_at)
        })
    }

    /// The reason why its caller no longer waits, and how long its handler may run on. `None`
    /// unless it is abandoned.
    pub fn abandoned(&self) -> Option<(CancelReason, Patience)> {
        match &self.state {
            State::Abandoned(abandoned) => Some((abandoned.reason, abandoned.patience)),
            _ => None,
        }
    }

    /// Whether an answer to one of its internal calls is held until it has a slot.
    pub fn holds_answers(&self) -> bool {
        self.wait().is_some_and(|wait| !wait.held.is_empty())
    }

    /// Its internal calls under way.
    #[inline]
    pub fn children(&self) -> &[CallNumber] {
        self.task().map_or(&[], |task| &task.children)
    }

    /// How many answers to its internal calls its worker was given.
    #[inline]
    pub fn answers(&self) -> u64 {
        self.task().map_or(0, |task| task.answers)
    }

    /// Adds to the number of answers that its worker was given.
    #[inline]
    pub fn count_answers(&mut self, answers: usize) {
        if let Some(task) = self.task_mut() {
            task.answers += answers as u64;
        }
    }

    /// Notes that it certainly never reached its worker.
    pub fn set_not_begun(&mut self) {
        if let Some(task) = self.task_mut() {
            task.not_begun = true;
        }
    }

    /// Whether it certainly never reached its worker.
    pub fn is_not_begun(&self) -> bool {
        self.task().is_some_and(|task| task.not_begun)
    }

    /// The time, in ns, until which it waits in the queue to run alone in a container. `None` if it
    /// has not begun to.
    pub fn alone_by(&self) -> Option<u64> {
        match &self.state {
            State::Queued(queued) => queued.alone_by,
            _ => None,
        }
    }

    /// Makes it wait in the queue until this time, ns, to run alone in a container. If it already
    /// waits, the time is not changed. Returns the time until which it waits.
    pub fn wait_to_be_alone(&mut self, until: u64) -> Option<u64> {
        match &mut self.state {
            State::Queued(queued) => Some(*queued.alone_by.get_or_insert(until)),
            _ => None,
        }
    }

    pub(super) fn children_mut(&mut self) -> Option<&mut Vec<CallNumber>> {
        self.task_mut().map(|task| &mut task.children)
    }

    pub(super) fn child_ended(&mut self, queued_ns: u64) {
        if let Some(task) = self.task_mut() {
            task.queued_below_ns += queued_ns;
        }
    }

    // Transitions.

    #[inline]
    fn take_state(&mut self) -> State<P, R> {
        std::mem::replace(&mut self.state, State::Moving)
    }

    /// Sets the state that follows from the one that was taken.
    #[inline]
    fn set_state(&mut self, state: State<P, R>) {
        // `Moving` holds no data, so dropping it would only cost time.
        debug_assert!(matches!(self.state, State::Moving), "a state was not taken");
        std::mem::forget(std::mem::replace(&mut self.state, state));
    }

    /// Queued to running: the call is sent to a worker. Returns its payload.
    #[inline]
    pub fn start(&mut self, start: Start, loads: Loads<'_>) -> Option<P>
    where
        P: Share,
    {
        let call = self.counted();
        let queued = match self.take_state() {
            State::Queued(queued) => queued,
            other => {
                self.set_state(other);
                return None;
            }
        };
        let (running, payload) = queued.start(call, start, loads);
        self.set_state(State::Running(running));
        if start.without_deadline {
            self.deadline = None;
        }
        Some(payload)
    }

    /// Queued to gone. Returns its caller, who must still be told.
    pub fn leave(mut self, load: &mut FunctionLoad) -> Option<Caller<R>> {
        match self.take_state() {
            State::Queued(queued) => Some(queued.leave(self.bytes, load)),
            _ => None,
        }
    }

    /// Running to waiting: the handler waits for one of its internal calls. Returns false if it did
    /// already.
    #[inline]
    pub fn lend(&mut self, now: u64, loads: Loads<'_>) -> bool {
        match self.take_state() {
            State::Running(running) => {
                self.set_state(State::Waiting(running.lend(now, loads)));
                true
            }
            other => {
                self.set_state(other);
                false
            }
        }
    }

    /// Waiting to running: the call has a slot again. Returns the answers that were held for it.
    #[inline]
    pub fn resume(&mut self, now: u64, loads: Loads<'_>) -> Vec<Held<P>> {
        match self.take_state() {
            State::Waiting(waiting) => {
                let (running, held) = waiting.resume(now, loads);
                self.set_state(State::Running(running));
                held
            }
            State::Abandoned(abandoned) => {
                let (abandoned, held) = abandoned.resume(now, loads);
                self.set_state(State::Abandoned(abandoned));
                held
            }
            other => {
                self.set_state(other);
                Vec::new()
            }
        }
    }

    /// Holds an answer for a call until it has a slot. Returns true if it is the first one.
    ///
    /// A handler waits for one slot, however often its worker asks for it.
    pub fn hold(&mut self, held: Held<P>) -> bool {
        let Some(wait) = self.wait_mut() else { return false };
        let is_slot = |held: &Held<P>| matches!(held, Held::Slot);
        if is_slot(&held) && wait.held.iter().any(is_slot) {
            return false;
        }
        wait.held.push(held);
        wait.held.len() == 1
    }

    /// Takes the answers that are held. The call goes on waiting.
    pub fn take_held(&mut self) -> Vec<Held<P>> {
        self.wait_mut().map(|wait| std::mem::take(&mut wait.held)).unwrap_or_default()
    }

    /// Running or waiting to abandoned. Returns its caller, who must be told; `None` if the call
    /// was abandoned before.
    pub fn abandon(&mut self, reason: CancelReason) -> Option<Caller<R>> {
        let (abandoned, caller) = match self.take_state() {
            State::Running(running) => running.abandon(reason),
            State::Waiting(waiting) => waiting.abandon(reason),
            other => {
                self.set_state(other);
                return None;
            }
        };
        self.set_state(State::Abandoned(abandoned));
        Some(caller)
    }

    /// Sets how long an abandoned call's handler may run on.
    pub fn set_patience(&mut self, patience: Patience) {
        if let State::Abandoned(abandoned) = &mut self.state {
            abandoned.patience = patience;
        }
    }

    /// Whether it may return to the queue when its worker dies.
    pub fn can_be_sent_again(&self) -> bool {
        match &self.state {
            State::Running(Running { wanted, .. }) | State::Waiting(Waiting { wanted, .. }) => {
                wanted.again.is_some()
            }
            _ => false,
        }
    }

    /// Running or waiting to queued, as its worker died. Returns the calls that it had under way.
    /// To be called only if the call [can be sent again](Call::can_be_sent_again).
    pub fn requeue(&mut self, loads: Loads<'_>) -> Vec<CallNumber> {
        debug_assert!(self.can_be_sent_again(), "its payload was not kept");
        let call = self.counted();
        let (state, children) = match self.take_state() {
            State::Running(running) => running.requeue(call, loads),
            State::Waiting(waiting) => waiting.requeue(call, loads),
            other => (other, Vec::new()),
        };
        self.set_state(state);
        children
    }

    /// Any dispatched state to gone: its worker has ended the call, or is gone.
    #[inline]
    pub fn end(mut self, mut loads: Loads<'_>) -> Ended<R> {
        let call = self.counted();
        let (task, was_waiting, caller) = match self.take_state() {
            State::Running(Running { wanted, task }) => (task, false, Some(wanted.caller)),
            State::Waiting(Waiting { wanted, task, .. }) => (task, true, Some(wanted.caller)),
            State::Abandoned(abandoned) => (abandoned.task, abandoned.wait.is_some(), None),
            State::Queued(queued) => {
                let caller = queued.leave(self.bytes, loads.function);
                return Ended { caller: Some(caller), children: Vec::new() };
            }
            State::Moving => return Ended { caller: None, children: Vec::new() },
        };
        Ended { caller, children: task.end(was_waiting, call, &mut loads) }
    }
}
