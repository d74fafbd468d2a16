//! What the scheduler asks for: actions, and when to be woken.

use crate::calls::Outcome;
use crate::ids::{
    CallId, CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId, Generation,
};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::{CancelReason, Failure, InvokeNumber};
use std::collections::VecDeque;

/// Something to be done, in the order of the actions. `P` is a payload, `R` is how the gateway
/// takes an answer.
#[derive(Debug)]
pub enum Action<P, R> {
    /// Send this call to a worker.
    Dispatch {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallNumber,
        /// The id of the call from outside that it is or is below.
        root: Option<CallId>,
        /// How many calls are above it.
        depth: u32,
        /// The calling function; none from outside.
        caller: Option<FunctionId>,
        /// When the call must have ended, ns; none if it may take its time.
        deadline: Option<u64>,
        /// What it carries.
        payload: P,
    },
    /// Send the end of an internal call to the worker that made it.
    Deliver {
        /// The channel of the calling worker.
        channel: ChannelKey,
        /// The worker's own number for the call.
        tag: InvokeNumber,
        /// The function that was called, if there is one.
        function: Option<FunctionId>,
        /// How it ended.
        outcome: Outcome<P>,
    },
    /// Give the end of an external call to the gateway.
    Respond {
        /// How the gateway takes it.
        reply: R,
        /// How it ended.
        outcome: Outcome<P>,
    },
    /// Tell a worker that a call which it runs is cancelled.
    Cancel {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallNumber,
        /// Why.
        reason: CancelReason,
    },
    /// Lend this worker to a container.
    Lend {
        /// The worker's channel.
        channel: ChannelKey,
        /// The lease, as a call that the worker runs.
        lease: CallNumber,
        /// The container that may call the worker directly.
        caller: ContainerKey,
        /// The worker's function.
        callee: FunctionId,
    },
    /// Take a lease back.
    Recall {
        /// The lease.
        lease: CallNumber,
    },
    /// Take back one lease of this function, if possible an idle one.
    RecallOne {
        /// The function.
        callee: FunctionId,
    },
    /// A lease has ended.
    LeaseOver {
        /// The lease.
        lease: CallNumber,
        /// Why a call that has no answer gets none.
        failure: Option<Failure>,
    },
    /// Put a notice about a function's queue on the board.
    Tell {
        /// The function.
        function: FunctionId,
        /// What it says.
        notice: Notice,
    },
    /// Find handlers of this function that wait for direct calls, and lend their slots.
    LendWaiting {
        /// The function.
        function: FunctionId,
    },
    /// Read what this function's processes have used of the processors, and tell it by
    /// [`Event::Read`](super::Event::Read).
    Read {
        /// The function.
        function: FunctionId,
    },
    /// Tell a worker that its call has a slot again.
    Resumed {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallNumber,
    },
    /// Create one more worker in this container.
    CreateWorker {
        /// The container.
        container: ContainerKey,
    },
    /// Retire this idle worker; its channel gets nothing more.
    Retire {
        /// The worker's channel.
        channel: ChannelKey,
    },
    /// The function of this container has not been called for a while: give memory back.
    Trim {
        /// The container.
        container: ContainerKey,
    },
    /// A container is to show that it is ready: see [`Scheduler::probe`](super::Scheduler::probe).
    Check {
        /// The container.
        container: ContainerKey,
    },
    /// A call of this container is long past its deadline: start another container beside it.
    Replace {
        /// The container, which gets no new calls.
        container: ContainerKey,
    },
    /// Every call that still runs in this container is stuck: end it.
    End {
        /// The container.
        container: ContainerKey,
    },
    /// No call runs in this container, and none will: let it end.
    Leave {
        /// The container.
        container: ContainerKey,
    },
    /// Log that an input of a function is refused from now on.
    Quarantined {
        /// The function.
        function: FunctionId,
        /// The input.
        input: Fingerprint,
        /// At how many deaths of its containers it was under way.
        deaths: u32,
    },
    /// This generation of a function's containers serves: older ones are not started again.
    Serves {
        /// The function.
        function: FunctionId,
        /// The generation.
        generation: Generation,
    },
}

/// The buffer for what follows from events. It belongs to the scheduler's caller, who takes the
/// actions out in their order.
#[derive(Debug)]
pub struct Actions<P, R> {
    queue: VecDeque<Action<P, R>>,
    wake_at: Option<u64>,
}

impl<P, R> Default for Actions<P, R> {
    fn default() -> Self {
        Actions { queue: VecDeque::new(), wake_at: None }
    }
}

impl<P, R> Actions<P, R> {
    /// Appends an action.
    #[inline]
    pub(super) fn push(&mut self, action: Action<P, R>) {
        self.queue.push_back(action);
    }

    /// Sets when [`Event::Tick`](super::Event::Tick) is next needed.
    #[inline]
    pub(super) fn set_wake(&mut self, at: Option<u64>) {
        self.wake_at = at;
    }

    /// Takes out the next action.
    #[inline]
    pub fn pop(&mut self) -> Option<Action<P, R>> {
        self.queue.pop_front()
    }

    /// When [`Event::Tick`](super::Event::Tick) is next needed, ns; `None` if only another event
    /// can change anything. As of the last event.
    #[inline]
    pub fn wake_at(&self) -> Option<u64> {
        self.wake_at
    }
}
