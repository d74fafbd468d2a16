//! The state of a call, as one enum, and the transitions between its states.
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
//! The transition `end` leads from each dispatched state to the end of the call. Data that has a
//! meaning in one state only lives in that state's type. A transition consumes a state and returns
//! the next one. Only transitions change the counters.

use super::load::{FunctionLoad, Loads};
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::protocol::{CancelReason, Failure, InvokeNumber};

/// How a call ended: with an answer's payload, or with a failure.
pub type Outcome<P> = Result<P, Failure>;

/// A payload that can be kept while its call is under way.
pub trait Share {
    /// Returns the same payload again, without a copy of its bytes.
    fn share(&mut self) -> Self;
}

/// For tests that use no payload.
#[cfg(test)]
impl Share for () {
    fn share(&mut self) {}
}

/// The caller that waits for the end of a call. `R` is the gateway's handle for an answer.
#[derive(Debug)]
pub enum Caller<R> {
    /// A client, through the gateway.
    Client(R),
    /// Another call, whose handler made this one.
    Call(Parent),
    /// A process that made the call outside of any request.
    Process {
        /// The channel of its caller.
        channel: ChannelKey,
        /// The process's own number for the call.
        tag: InvokeNumber,
    },
    /// A container that may call the worker directly: the call is a lease.
    Lease(ContainerKey),
}

/// The call that made another one, and the numbers by which it knows that one.
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

/// The state of a call. `P` is a payload; `R` is the gateway's handle for an answer.
#[derive(Debug)]
pub enum State<P, R> {
    /// The call waits for its turn.
    Queued(Queued<P, R>),
    /// A worker runs it, and it holds a slot.
    Running(Running<P, R>),
    /// Its handler waits for an internal call, and lends its slot.
    Waiting(Waiting<P, R>),
    /// Its caller has been told its end, but its handler has not ended yet.
    Abandoned(Abandoned<P>),
    /// A transition is under way. The table removes a call that ends.
    Moving,
}

/// A call in the queue.
#[derive(Debug)]
pub struct Queued<P, R> {
    pub(super) caller: Caller<R>,
    pub(super) payload: P,
    /// How often the call was sent again.
    pub(super) retried: u32,
    /// The time, in ns, until which it waits to run alone in a container. `None` if it has not
    /// begun to.
    pub(super) alone_by: Option<u64>,
}

/// The data that a dispatched call needs as long as its caller waits for it.
#[derive(Debug)]
pub(super) struct Wanted<P, R> {
    pub(super) caller: Caller<R>,
    /// The payload, kept if the call may be sent again.
    pub(super) again: Option<Box<P>>,
    pub(super) retried: u32,
}

/// The data of a dispatched call, whether its caller still waits for it or not.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) channel: ChannelKey,
    pub(super) container: ContainerKey,
    pub(super) dispatched_at: u64,
    /// How long it has waited for its internal calls, ns.
    pub(super) waited_ns: u64,
    /// How long the calls below it were queued, ns.
    pub(super) queued_below_ns: u64,
    /// Its internal calls under way.
    pub(super) children: Vec<CallNumber>,
    /// How many answers to its internal calls its worker was given.
    pub(super) answers: u64,
    /// Whether it certainly never reached its worker.
    pub(super) not_begun: bool,
}

/// A message that is held until the call it is for has a slot again.
#[derive(Debug)]
pub enum Held<P> {
    /// The answer to an internal call that it made.
    Answer {
        /// The worker's own number for the call.
        tag: InvokeNumber,
        /// The function that was called.
        function: FunctionId,
        /// How the call ended.
        outcome: Outcome<P>,
    },
    /// No message: its worker has the answer to a direct call, and waits only for the slot.
    Slot,
}

/// A call's wait for its internal calls.
#[derive(Debug)]
pub(super) struct Wait<P> {
    pub(super) since: u64,
    /// The answers that are held until the call has a slot.
    pub(super) held: Vec<Held<P>>,
}

/// A call that a worker runs and that holds a slot.
#[derive(Debug)]
pub struct Running<P, R> {
    pub(super) wanted: Wanted<P, R>,
    pub(super) task: Task,
}

/// A call whose handler waits for an internal call.
#[derive(Debug)]
pub struct Waiting<P, R> {
    pub(super) wanted: Wanted<P, R>,
    pub(super) task: Task,
    pub(super) wait: Wait<P>,
}

/// A call whose caller has been told its end, while its handler runs on.
#[derive(Debug)]
pub struct Abandoned<P> {
    pub(super) task: Task,
    pub(super) reason: CancelReason,
    pub(super) patience: Patience,
    /// Set if its handler waits for an internal call or for a slot.
    pub(super) wait: Option<Wait<P>>,
}

/// How long the handler of an abandoned call may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The handler may run until the deadline, at which the grace period begins.
    UntilDeadline,
    /// The handler may run until the grace period ends.
    Grace,
    /// The handler may run no longer: its container is replaced.
    Stuck,
}

/// How a call is sent to a worker.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The worker.
    pub channel: ChannelKey,
    /// Its container.
    pub container: ContainerKey,
    /// The time of the dispatch, ns.
    pub now: u64,
    /// How often the call may be sent again if the container dies.
    pub retries: u32,
    /// Whether deadlines are off, as the container was attached by hand and a user may debug it.
    pub without_deadline: bool,
}

/// The state after the death of a worker, and the calls that the call had under way. The call is
/// queued if its payload was kept.
pub(super) type Requeued<P, R> = (State<P, R>, Vec<CallNumber>);

/// The facts of a call that the counters need in a transition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) id: CallNumber,
    pub(super) is_outside: bool,
    pub(super) bytes: u64,
}

impl<P: Share, R> Queued<P, R> {
    /// Sends the call to a worker. Returns its payload, too.
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
    /// Lends a worker to a container: it runs a call that was never queued.
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
    /// Adds the call to the queue.
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

    /// Ends the call in the queue. Returns its caller, who must still be told.
    pub(super) fn leave(self, bytes: u64, load: &mut FunctionLoad) -> Caller<R> {
        load.leave_queue(bytes);
        self.caller
    }
}

impl<P, R> Running<P, R> {
    /// Begins a wait of the handler for an internal call.
    #[inline]
    pub(super) fn lend(self, now: u64, mut loads: Loads<'_>) -> Waiting<P, R> {
        let Running { wanted, task } = self;
        Waiting { wanted, task, wait: Wait::begin(now, &mut loads) }
    }

    /// Abandons the call, as its caller no longer waits. Returns the caller, too.
    pub(super) fn abandon(self, reason: CancelReason) -> (Abandoned<P>, Caller<R>) {
        let Running { wanted, task } = self;
        (Abandoned { task, reason, patience: Patience::UntilDeadline, wait: None }, wanted.caller)
    }

    /// Ends the call on its worker, which died. The call returns to the queue if it can be sent
    /// again.
    pub(super) fn requeue(self, call: Counted, loads: Loads<'_>) -> Requeued<P, R> {
        let Running { wanted, task } = self;
        wanted.requeue(task, None, call, loads)
    }
}

impl<P, R> Waiting<P, R> {
    /// Gives the call a slot again. Returns the answers that were held for it, too.
    #[inline]
    pub(super) fn resume(self, now: u64, mut loads: Loads<'_>) -> (Running<P, R>, Vec<Held<P>>) {
        let Waiting { wanted, mut task, wait } = self;
        let held = wait.end(now, &mut task, &mut loads);
        (Running { wanted, task }, held)
    }

    /// Abandons the call, as its caller no longer waits. Returns the caller, too.
    pub(super) fn abandon(self, reason: CancelReason) -> (Abandoned<P>, Caller<R>) {
        let Waiting { wanted, task, wait } = self;
        let patience = Patience::UntilDeadline;
        (Abandoned { task, reason, patience, wait: Some(wait) }, wanted.caller)
    }

    /// Ends the call on its worker, which died. The call returns to the queue if it can be sent
    /// again.
    pub(super) fn requeue(self, call: Counted, loads: Loads<'_>) -> Requeued<P, R> {
        let Waiting { wanted, task, wait } = self;
        wanted.requeue(task, Some(wait), call, loads)
    }
}

impl<P> Abandoned<P> {
    /// Lets the handler go on. Returns the answers that were held for it, too.
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
    /// The task of a call that a worker begins to run.
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

    /// Ends the task: its worker has ended the call, or is gone. Returns the calls that it had
    /// under way.
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
