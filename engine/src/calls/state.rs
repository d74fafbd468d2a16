//! What a call is doing, as one enum, and the transitions between its states.
//!
//! ```text
//!                 start                lend
//!      Queued ------------> Running ----------> Waiting
//!       ^  |                 |   ^               |  |
//!       |  | leave           |   +---------------+  |
//!       |  v                 |        resume        |
//!       | gone               | abandon              | abandon
//!       |                    +-----> Abandoned <----+
//!       |   requeue (its worker died)
//!       +------------------- Running, Waiting
//! ```
//!
//! Each dispatched state ends by `end`; then the call is gone. Data that means something in one
//! state only lives in that state. A transition consumes a state and returns what follows from it,
//! and transitions are the only code that changes the counters.

use super::load::{FunctionLoad, Loads};
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::protocol::{CancelReason, Failure, InvokeNumber};

/// How a call ended: an answer's payload, or an error.
pub type Outcome<P> = Result<P, Failure>;

/// A payload that can be kept while it is under way.
pub trait Share {
    /// The same payload once more, without a copy of its bytes.
    fn share(&mut self) -> Self;
}

/// For tests that look at no payload.
#[cfg(test)]
impl Share for () {
    fn share(&mut self) {}
}

/// Who waits for the end of a call. `R` is how the gateway takes an answer.
#[derive(Debug)]
pub enum Caller<R> {
    /// A client, by the gateway.
    Client(R),
    /// Another call.
    Call(Parent),
    /// A process, outside of any request.
    Process {
        /// The channel of its caller.
        channel: ChannelKey,
        /// Its own number for the call.
        tag: InvokeNumber,
    },
    /// A container that may call the worker directly: the call is a lease.
    Lease(ContainerKey),
}

/// The call that made a call, and how it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The call that made it.
    pub call: CallNumber,
    /// The worker that runs that call.
    pub channel: ChannelKey,
    /// The number by which its worker knows the call.
    pub tag: InvokeNumber,
    /// The call's place among the children of its parent.
    pub place: usize,
}

/// What a call is doing. `P` is a payload, `R` is how the gateway takes an answer.
#[derive(Debug)]
pub enum State<P, R> {
    /// It waits for its turn.
    Queued(Queued<P, R>),
    /// A worker runs it, and it holds a slot.
    Running(Running<P, R>),
    /// Its handler waits for a call of its own, and lends its slot.
    Waiting(Waiting<P, R>),
    /// Its caller was told of its end, but its handler has not ended yet.
    Abandoned(Abandoned<P>),
    /// A transition is under way. A call that ends is taken out of the table.
    Moving,
}

/// A call in the queue.
#[derive(Debug)]
pub struct Queued<P, R> {
    pub(super) caller: Caller<R>,
    pub(super) payload: P,
    /// How often it was sent again.
    pub(super) retried: u32,
    /// Until when it waits for a container of its own, ns, once it has begun to.
    pub(super) alone_by: Option<u64>,
}

/// What a caller still wants of a dispatched call.
#[derive(Debug)]
pub(super) struct Wanted<P, R> {
    pub(super) caller: Caller<R>,
    /// The payload, if the call may be sent again.
    pub(super) again: Option<Box<P>>,
    pub(super) retried: u32,
}

/// A dispatched call, whether its caller still waits or not.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) channel: ChannelKey,
    pub(super) container: ContainerKey,
    pub(super) dispatched_at: u64,
    /// How long it has waited for calls of its own, ns.
    pub(super) waited_ns: u64,
    /// How long the calls below it were queued, ns.
    pub(super) queued_below_ns: u64,
    /// Its calls under way.
    pub(super) children: Vec<CallNumber>,
    /// Answers given to its worker for its calls.
    pub(super) answers: u64,
    /// It surely never reached its worker.
    pub(super) not_begun: bool,
}

/// A message that waits until the call it is for has a slot again.
#[derive(Debug)]
pub enum Held<P> {
    /// The answer to a call that it made.
    Answer {
        /// The worker's own number for the call.
        tag: InvokeNumber,
        /// The function that was called.
        function: FunctionId,
        /// How the call ended.
        outcome: Outcome<P>,
    },
    /// Nothing: its worker has the answer to a direct call, and waits for the slot.
    Slot,
}

/// A wait for calls of one's own.
#[derive(Debug)]
pub(super) struct Wait<P> {
    pub(super) since: u64,
    /// Answers that wait for a slot.
    pub(super) held: Vec<Held<P>>,
}

/// A call that a worker runs.
#[derive(Debug)]
pub struct Running<P, R> {
    pub(super) wanted: Wanted<P, R>,
    pub(super) task: Task,
}

/// A call whose handler waits for a call of its own.
#[derive(Debug)]
pub struct Waiting<P, R> {
    pub(super) wanted: Wanted<P, R>,
    pub(super) task: Task,
    pub(super) wait: Wait<P>,
}

/// A call whose caller was told of its end, while its handler goes on.
#[derive(Debug)]
pub struct Abandoned<P> {
    pub(super) task: Task,
    pub(super) reason: CancelReason,
    pub(super) patience: Patience,
    /// Its handler waits for a slot.
    pub(super) wait: Option<Wait<P>>,
}

/// How long an abandoned call may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Its deadline has not passed; the grace period begins then.
    UntilDeadline,
    /// Until the grace period is over.
    Grace,
    /// No longer: its container is replaced.
    Stuck,
}

/// How a queued call is sent to a worker.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The worker.
    pub channel: ChannelKey,
    /// Its container.
    pub container: ContainerKey,
    /// When, ns.
    pub now: u64,
    /// How often the call may be sent again if the container dies.
    pub retries: u32,
    /// Whether a person debugs the container: then deadlines are off.
    pub without_deadline: bool,
}

/// What follows when a worker dies, and the calls that the call had under way. The call is queued
/// if its payload was kept.
pub(super) type Requeued<P, R> = (State<P, R>, Vec<CallNumber>);

/// The call that a transition is about, as far as the counters need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) id: CallNumber,
    pub(super) is_outside: bool,
    pub(super) bytes: u64,
}

impl<P: Share, R> Queued<P, R> {
    /// It is sent to a worker, with the payload that is returned.
    #[inline]
    pub(super) fn start(
        self,
        call: Counted,
        start: Start,
        mut loads: Loads<'_>,
    ) -> (Running<P, R>, P) {
        let Queued { caller, mut payload, retried, .. } = self;
        loads.function.leave_queue(call.bytes);
        loads.open(call.id, call.is_outside);
        let is_internal = matches!(caller, Caller::Call(_) | Caller::Process { .. });
        let may_be_retried = retried < start.retries && is_internal;
        let again = may_be_retried.then(|| Box::new(payload.share()));
        let task = Task::begin(start);
        (Running { wanted: Wanted { caller, again, retried }, task }, payload)
    }
}

impl<P, R> Running<P, R> {
    /// A worker is lent to a container: it runs a call from now on that was never queued.
    pub(super) fn lease(
        call: Counted,
        caller: ContainerKey,
        start: Start,
        mut loads: Loads<'_>,
    ) -> Running<P, R> {
        loads.open(call.id, call.is_outside);
        let wanted = Wanted { caller: Caller::Lease(caller), again: None, retried: 0 };
        Running { wanted, task: Task::begin(start) }
    }
}

impl<P, R> Queued<P, R> {
    /// It enters the queue.
    #[inline]
    pub(super) fn enter(
        caller: Caller<R>,
        payload: P,
        bytes: u64,
        load: &mut FunctionLoad,
    ) -> Queued<P, R> {
        load.enter_queue(bytes);
        Queued { caller, payload, retried: 0, alone_by: None }
    }

    /// It ends in the queue; its caller is still to be told.
    pub(super) fn leave(self, bytes: u64, load: &mut FunctionLoad) -> Caller<R> {
        load.leave_queue(bytes);
        self.caller
    }
}

impl<P, R> Running<P, R> {
    /// Its handler waits for a call of its own from now on.
    #[inline]
    pub(super) fn lend(self, now: u64, mut loads: Loads<'_>) -> Waiting<P, R> {
        let Running { wanted, task } = self;
        Waiting { wanted, task, wait: Wait::begin(now, &mut loads) }
    }

    /// Its caller waits no longer.
    pub(super) fn abandon(self, reason: CancelReason) -> (Abandoned<P>, Caller<R>) {
        let Running { wanted, task } = self;
        (Abandoned { task, reason, patience: Patience::UntilDeadline, wait: None }, wanted.caller)
    }

    /// Its worker died, and it goes back into the queue if it can be sent again.
    pub(super) fn requeue(self, call: Counted, loads: Loads<'_>) -> Requeued<P, R> {
        let Running { wanted, task } = self;
        wanted.requeue(task, None, call, loads)
    }
}

impl<P, R> Waiting<P, R> {
    /// It has a slot again; the answers that it waited for are returned.
    #[inline]
    pub(super) fn resume(self, now: u64, mut loads: Loads<'_>) -> (Running<P, R>, Vec<Held<P>>) {
        let Waiting { wanted, mut task, wait } = self;
        let held = wait.end(now, &mut task, &mut loads);
        (Running { wanted, task }, held)
    }

    /// Its caller waits no longer.
    pub(super) fn abandon(self, reason: CancelReason) -> (Abandoned<P>, Caller<R>) {
        let Waiting { wanted, task, wait } = self;
        let patience = Patience::UntilDeadline;
        (Abandoned { task, reason, patience, wait: Some(wait) }, wanted.caller)
    }

    /// Its worker died, and it goes back into the queue if it can be sent again.
    pub(super) fn requeue(self, call: Counted, loads: Loads<'_>) -> Requeued<P, R> {
        let Waiting { wanted, task, wait } = self;
        wanted.requeue(task, Some(wait), call, loads)
    }
}

impl<P> Abandoned<P> {
    /// Its handler goes on; the answers that it waited for are returned.
    pub(super) fn resume(mut self, now: u64, mut loads: Loads<'_>) -> (Abandoned<P>, Vec<Held<P>>) {
        let wait = self.wait.take();
        let held = wait.map(|wait| wait.end(now, &mut self.task, &mut loads));
        (self, held.unwrap_or_default())
    }
}

impl<P> Wait<P> {
    #[inline]
    fn begin(now: u64, loads: &mut Loads<'_>) -> Wait<P> {
        loads.stop();
        loads.begin_wait();
        Wait { since: now, held: Vec::new() }
    }

    #[inline]
    fn end(self, now: u64, task: &mut Task, loads: &mut Loads<'_>) -> Vec<Held<P>> {
        task.waited_ns += now.saturating_sub(self.since);
        loads.end_wait();
        loads.run();
        self.held
    }
}

impl<P, R> Wanted<P, R> {
    fn requeue(
        self,
        task: Task,
        wait: Option<Wait<P>>,
        call: Counted,
        mut loads: Loads<'_>,
    ) -> Requeued<P, R> {
        let Wanted { caller, again, retried } = self;
        let children = task.end(wait.is_some(), call, &mut loads);
        let Some(payload) = again else { return (State::Moving, children) };
        loads.function.enter_queue(call.bytes);
        let payload = *payload;
        let queued = Queued { caller, payload, retried: retried + 1, alone_by: None };
        (State::Queued(queued), children)
    }
}

impl Task {
    /// A task that a worker begins.
    #[inline]
    fn begin(start: Start) -> Task {
        Task {
            channel: start.channel,
            container: start.container,
            dispatched_at: start.now,
            waited_ns: 0,
            queued_below_ns: 0,
            children: Vec::new(),
            answers: 0,
            not_begun: false,
        }
    }

    /// The worker is done with it, or gone.
    #[inline]
    pub(super) fn end(
        self,
        was_waiting: bool,
        call: Counted,
        loads: &mut Loads<'_>,
    ) -> Vec<CallNumber> {
        if was_waiting {
            loads.end_wait();
        } else {
            loads.stop();
        }
        loads.close(call.id, call.is_outside);
        self.children
    }
}
