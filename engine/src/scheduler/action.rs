//! The scheduler's outputs: actions, and the time at which it must be woken.

use crate::calls::Outcome;
use crate::ids::{
    CallId, CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId, Generation,
};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::{CancelReason, Failure, InvokeNumber};
use std::collections::VecDeque;

/// Something that the scheduler's caller must do. Actions are done in their order. `P` is a
/// payload; `R` is the gateway's handle for an answer.
#[derive(Debug)]
pub enum Action<P, R> {
    /// Send this call to a worker.
    Dispatch {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallNumber,
        /// The id of the external call at the top of this call's tree; it may be this call.
        root: Option<CallId>,
        /// How many calls are above it.
        depth: u32,
        /// The calling function; `None` for a call from a client.
        caller: Option<FunctionId>,
        /// When the call must have ended, ns; `None` if it has no deadline.
        deadline: Option<u64>,
        /// The call's payload.
        payload: P,
    },
    /// Send the outcome of an internal call to the worker that made it.
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
    /// Give the outcome of an external call to the gateway.
    Respond {
        /// The gateway's handle for the answer.
        reply: R,
        /// How it ended.
        outcome: Outcome<P>,
    },
    /// Tell a worker that a call it runs is cancelled.
    Cancel {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallNumber,
        /// The reason.
        reason: CancelReason,
    },
    /// Lend this worker to a container.
    Lend {
        /// The worker's channel.
        channel: ChannelKey,
        /// The lease. The scheduler counts it as a call that the worker runs.
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
    /// Take back one lease of this function, an idle one if there is one.
    RecallOne {
        /// The function.
        callee: FunctionId,
    },
    /// A lease has ended.
    LeaseOver {
        /// The lease.
        lease: CallNumber,
        /// The failure of a direct call that is still without an answer.
        failure: Option<Failure>,
    },
    /// Put a notice about a function's queue on the board.
    Tell {
        /// The function.
        function: FunctionId,
        /// The notice.
        notice: Notice,
    },
    /// Find handlers of this function that wait for direct calls, and lend their slots.
    LendWaiting {
        /// The function.
        function: FunctionId,
    },
    /// Read how much CPU time this function's processes have used, and report it with
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
    /// Retire this idle worker. Nothing more is sent on its channel.
    Retire {
        /// The worker's channel.
        channel: ChannelKey,
    },
    /// Return memory of this container to the system, as its function has not been called for a
    /// while.
    Trim {
        /// The container.
        container: ContainerKey,
    },
    /// Check whether a container is ready: see [`Scheduler::probe`](super::Scheduler::probe).
    Check {
        /// The container.
        container: ContainerKey,
    },
    /// Start another container beside this one, in which a call is long past its deadline.
    Replace {
        /// The container. It gets no new calls.
        container: ContainerKey,
    },
    /// End this container: every call that still runs in it is stuck.
    End {
        /// The container.
        container: ContainerKey,
    },
    /// Let this container exit: no call runs in it, and none will.
    Leave {
        /// The container.
        container: ContainerKey,
    },
    /// Log that a function's input is refused from now on.
    Quarantined {
        /// The function.
        function: FunctionId,
        /// The input.
        input: Fingerprint,
        /// How many of its containers died while the input was under way.
        deaths: u32,
    },
    /// This generation of a function's containers gets the calls now. Containers of older
    /// generations are not restarted.
    Serves {
        /// The function.
        function: FunctionId,
        /// The generation.
        generation: Generation,
    },
}

/// The buffer for the actions that follow from events. The scheduler's caller owns it, and takes
/// the actions out in their order.
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

    /// Sets the time at which [`Event::Tick`](super::Event::Tick) is next needed.
    #[inline]
    pub(super) fn set_wake(&mut self, at: Option<u64>) {
        self.wake_at = at;
    }

    /// Removes the next action and returns it.
    #[inline]
    pub fn pop(&mut self) -> Option<Action<P, R>> {
        self.queue.pop_front()
    }

    /// The time, in ns, at which [`Event::Tick`](super::Event::Tick) is next needed, as of the last
    /// event. `None` if only another event can change anything.
    #[inline]
    pub fn wake_at(&self) -> Option<u64> {
        self.wake_at
    }
}
