//! What the scheduler is told.

use crate::calls::Outcome;
use crate::functions::cores::Reading;
use crate::functions::{Ran, Spec};
use crate::ids::{
    CallId, CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId, Generation,
};
use nightcore_runtime::protocol::desk_counts::DeskCounts;
use nightcore_runtime::protocol::{Failure, InvokeNumber};
use std::time::Duration;

/// A call from a client.
#[derive(Debug)]
pub struct Arrival<P, R> {
    /// The function.
    pub function: FunctionId,
    /// The id by which people follow it.
    pub root: CallId,
    /// How long the client waits, if it says so; the function's own timeout holds in any case.
    pub timeout: Option<Duration>,
    /// What the call carries.
    pub payload: P,
    /// Bytes of that.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// How the gateway takes the answer.
    pub reply: R,
}

/// An internal call, as a worker asks for it.
#[derive(Debug)]
pub struct Invoke<'a, P> {
    /// The channel of the worker.
    pub channel: ChannelKey,
    /// The call that makes it.
    pub parent: CallNumber,
    /// The worker's own number for it.
    pub tag: InvokeNumber,
    /// The callee, if there is such a function: see
    /// [`Scheduler::resolve`](super::Scheduler::resolve).
    pub callee: Option<FunctionId>,
    /// The callee's name, as the worker gave it.
    pub name: &'a str,
    /// Whether the caller runs nothing until an answer comes.
    pub waits: bool,
    /// When it must have ended, ns, if the worker says so; its parent's deadline holds in any case.
    pub deadline: Option<u64>,
    /// What it carries.
    pub payload: P,
    /// Bytes of that.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// Set if its parent is a lease: what is known of the direct call that makes it.
    pub below: Option<Below>,
}

/// A call that a process makes outside of any request.
#[derive(Debug)]
pub struct CallAlone<'a, P> {
    /// The channel of its caller.
    pub channel: ChannelKey,
    /// The process's own number for it.
    pub tag: InvokeNumber,
    /// The id by which people follow it.
    pub root: CallId,
    /// The callee, if there is such a function.
    pub callee: Option<FunctionId>,
    /// The callee's name, as the process gave it.
    pub name: &'a str,
    /// When it must have ended, ns, if the process says so; the callee's timeout holds in any case.
    pub deadline: Option<u64>,
    /// What it carries.
    pub payload: P,
    /// Bytes of that.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
}

/// What the engine is told of a direct call whose handler makes another call.
#[derive(Clone, Copy, Debug)]
pub struct Below {
    /// The call from outside that led to it.
    pub root: CallId,
    /// How many calls are above the new call.
    pub depth: u32,
}

/// What has become of the process of a container that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has ended.
    Died,
    /// It has ended, as its launcher has.
    DiedWithLauncher,
    /// It may still run. [`Event::ProcessEnded`] says that it has ended, if it was launched.
    Lives,
}

/// Something that has happened. What gives out a new id is a method of the scheduler instead:
/// calls from outside, new containers and workers, new functions and generations.
#[derive(Debug)]
pub enum Event<'a, P> {
    /// The client of this call has left.
    ClientLeft {
        /// The call.
        call: CallNumber,
    },
    /// A worker makes an internal call.
    Invoked(Invoke<'a, P>),
    /// A process makes a call outside of any request.
    CalledAlone(CallAlone<'a, P>),
    /// A worker's handler waits for any of its internal calls.
    Waits {
        /// The channel of the worker.
        channel: ChannelKey,
        /// The call that it runs.
        call: CallNumber,
        /// How many answers it has had. If more were sent, one is on its way, and the wait is over
        /// already.
        seen: u64,
    },
    /// A handler whose slot was lent has the answer to a direct call, and needs a slot to go on.
    WantsSlot {
        /// The channel of the worker.
        channel: ChannelKey,
        /// The call of the handler, or its lease.
        call: CallNumber,
    },
    /// A handler waits for the answer to a direct call, and its slot can be lent.
    LentSlot {
        /// The call of the handler, or its lease.
        call: CallNumber,
    },
    /// A lease that was chosen is being taken back.
    LeaseRecalled {
        /// The lease.
        lease: CallNumber,
    },
    /// The direct call under a lease is cancelled.
    LeaseCancelled {
        /// The lease.
        lease: CallNumber,
    },
    /// The direct call under a lease goes on beyond its deadline and its grace period.
    LeaseStuck {
        /// The lease.
        lease: CallNumber,
    },
    /// Direct calls of a function have ended.
    CalledDirectly {
        /// The function.
        function: FunctionId,
        /// The container that ran them.
        container: ContainerKey,
        /// What their worker has counted.
        counts: &'a DeskCounts,
    },
    /// A container gets no more calls, as another one takes its place.
    SetAside {
        /// The container.
        container: ContainerKey,
    },
    /// What [`Action::Read`](super::Action::Read) asked for.
    Read {
        /// The function.
        function: FunctionId,
        /// What was read; `None` if nothing can be.
        reading: Option<Reading>,
    },
    /// A worker no longer wants an internal call that it made.
    InvokeCancelled {
        /// The channel of the worker.
        channel: ChannelKey,
        /// The worker's own number for the call.
        tag: InvokeNumber,
    },
    /// A worker has ended a call.
    Completed {
        /// The channel of the worker.
        channel: ChannelKey,
        /// The call.
        call: CallNumber,
        /// When its handler ran.
        ran: Ran,
        /// The answer, or how the handler failed.
        outcome: Outcome<P>,
    },
    /// A call could not be sent to the worker that was chosen for it, which stays idle.
    Undeliverable {
        /// The call.
        call: CallNumber,
        /// Why.
        failure: Failure,
    },
    /// A call was dispatched, and surely has not reached its worker, which is gone or about to be.
    NotBegun {
        /// The call.
        call: CallNumber,
    },
    /// A worker that was asked for will not come.
    WorkerFailed {
        /// Its container.
        container: ContainerKey,
    },
    /// A container has shown that it is ready.
    Passed {
        /// The container.
        container: ContainerKey,
    },
    /// A worker is gone.
    WorkerGone {
        /// Its channel.
        channel: ChannelKey,
        /// How its calls end.
        failure: &'a Failure,
    },
    /// A container is gone, with all its workers.
    ContainerGone {
        /// The container.
        container: ContainerKey,
        /// How its calls end.
        failure: &'a Failure,
        /// What has become of its process.
        process: Fate,
    },
    /// The process of a container that was gone before has ended.
    ProcessEnded {
        /// The container.
        container: ContainerKey,
    },
    /// The configuration of a function has changed.
    Configured {
        /// The function.
        function: FunctionId,
        /// What it says now.
        spec: Spec,
    },
    /// A function is no longer in the configuration: nobody can call it any more. What is queued or
    /// under way goes on.
    Removed {
        /// The function.
        function: FunctionId,
    },
    /// A container of a generation does not come to be. The function cannot be called if none of
    /// its containers is ready, and none comes to be.
    GenerationFailing {
        /// The function.
        function: FunctionId,
        /// The generation.
        generation: Generation,
        /// Why.
        reason: &'a str,
        /// Whether this is so of all its containers. Else others may come to be.
        is_all: bool,
    },
    /// Time has passed: see [`Actions::wake_at`](super::Actions::wake_at).
    Tick,
}
