//! The scheduler's inputs.

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
    /// The id by which users follow the call.
    pub root: CallId,
    /// How long the client waits, if it says so. The function's own timeout applies in any case.
    pub timeout: Option<Duration>,
    /// The call's payload.
    pub payload: P,
    /// The length of the payload, in bytes.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// The gateway's handle for the answer.
    pub reply: R,
}

/// An internal call that a worker asks for.
#[derive(Debug)]
pub struct InternalCall<'a, P> {
    /// The worker's channel.
    pub channel: ChannelKey,
    /// The call whose handler makes it.
    pub parent: CallNumber,
    /// The worker's own number for the call.
    pub tag: InvokeNumber,
    /// The callee, if there is such a function: see
    /// [`Scheduler::resolve`](super::Scheduler::resolve).
    pub callee: Option<FunctionId>,
    /// The callee's name, as the worker gave it.
    pub name: &'a str,
    /// Whether the caller runs nothing until an answer comes.
    pub waits: bool,
    /// The call's deadline, ns, if the worker gives one. Its parent's deadline applies in any case.
    pub deadline: Option<u64>,
    /// The call's payload.
    pub payload: P,
    /// The length of the payload, in bytes.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
    /// The facts of the direct call that makes this call. Set if `parent` is a lease.
    pub below: Option<Below>,
}

/// A process call: a call that a process makes outside of any request.
#[derive(Debug)]
pub struct CallAlone<'a, P> {
    /// The channel of the process's caller.
    pub channel: ChannelKey,
    /// The process's own number for the call.
    pub tag: InvokeNumber,
    /// The id by which users follow the call.
    pub root: CallId,
    /// The callee, if there is such a function.
    pub callee: Option<FunctionId>,
    /// The callee's name, as the process gave it.
    pub name: &'a str,
    /// The call's deadline, ns, if the process gives one. The callee's timeout applies in any case.
    pub deadline: Option<u64>,
    /// The call's payload.
    pub payload: P,
    /// The length of the payload, in bytes.
    pub bytes: u64,
    /// The fingerprint of its input, if its function has a quarantine.
    pub input: Option<Fingerprint>,
}

/// A direct call whose handler makes another call, as its container describes it to the engine.
#[derive(Clone, Copy, Debug)]
pub struct Below {
    /// The id of the external call at the top of its tree.
    pub root: CallId,
    /// How many calls are above the new call.
    pub depth: u32,
}

/// The fate of the process of a container that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFate {
    /// It has ended.
    Died,
    /// It has ended, and so has its launcher.
    DiedWithLauncher,
    /// It may still run. If it was launched, [`Event::ProcessEnded`] reports its end.
    Lives,
}

/// Something that has happened. Events that assign a new id are methods of the scheduler instead:
/// calls from clients, new containers and workers, new functions and generations.
#[derive(Debug)]
pub enum Event<'a, P> {
    /// The client of this call has disconnected.
    ClientLeft {
        /// The call.
        call: CallNumber,
    },
    /// A worker makes an internal call.
    Invoked(InternalCall<'a, P>),
    /// A process makes a call outside of any request.
    CalledAlone(CallAlone<'a, P>),
    /// A worker's handler waits for any one of its internal calls.
    Waits {
        /// The channel of the worker.
        channel: ChannelKey,
        /// The call that it runs.
        call: CallNumber,
        /// How many answers it has received. If more were sent, one is on its way, and the wait is
        /// over already.
        seen: u64,
    },
    /// A handler whose slot was lent has received the answer to a direct call. It needs a slot to
    /// go on.
    WantsSlot {
        /// The channel of the worker.
        channel: ChannelKey,
        /// The handler's call, or its lease.
        call: CallNumber,
    },
    /// A handler waits for the answer to a direct call, and its slot can be lent.
    LentSlot {
        /// The handler's call, or its lease.
        call: CallNumber,
    },
    /// A lease that the core chose is being taken back.
    LeaseRecalled {
        /// The lease.
        lease: CallNumber,
    },
    /// The direct call under a lease is cancelled.
    LeaseCancelled {
        /// The lease.
        lease: CallNumber,
    },
    /// The direct call under a lease runs on after its deadline and its grace period.
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
        /// The counts of the worker that ran them.
        counts: &'a DeskCounts,
    },
    /// A container gets no more calls, as another one takes its place.
    SetAside {
        /// The container.
        container: ContainerKey,
    },
    /// The reading that [`Action::Read`](super::Action::Read) asked for.
    Read {
        /// The function.
        function: FunctionId,
        /// The reading; `None` if nothing can be read.
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
        /// When the handler ran.
        ran: Ran,
        /// The answer, or the handler's failure.
        outcome: Outcome<P>,
    },
    /// A call could not be sent to the worker that was chosen for it. That worker is still idle.
    Undeliverable {
        /// The call.
        call: CallNumber,
        /// The reason.
        failure: Failure,
    },
    /// A call was dispatched, but certainly did not reach its worker, which is gone or about to be.
    NotBegun {
        /// The call.
        call: CallNumber,
    },
    /// A worker that was asked for cannot be created.
    WorkerFailed {
        /// Its container.
        container: ContainerKey,
    },
    /// A container has passed its readiness check.
    Passed {
        /// The container.
        container: ContainerKey,
    },
    /// A worker is gone.
    WorkerGone {
        /// Its channel.
        channel: ChannelKey,
        /// The failure with which its calls end.
        failure: &'a Failure,
    },
    /// A container is gone, with all its workers.
    ContainerGone {
        /// The container.
        container: ContainerKey,
        /// The failure with which its calls end.
        failure: &'a Failure,
        /// The fate of its process.
        process: ProcessFate,
    },
    /// The process of a container that left earlier has ended.
    ProcessEnded {
        /// The container.
        container: ContainerKey,
    },
    /// A function's configuration has changed.
    Configured {
        /// The function.
        function: FunctionId,
        /// The new configuration.
        spec: Spec,
    },
    /// A function was removed from the configuration, so nobody can call it any more. Calls that
    /// are queued or under way go on.
    Removed {
        /// The function.
        function: FunctionId,
    },
    /// A container of a generation fails to start. The function becomes unavailable if none of its
    /// containers is ready and all of them fail.
    GenerationFailing {
        /// The function.
        function: FunctionId,
        /// The generation.
        generation: Generation,
        /// The reason.
        reason: &'a str,
        /// Whether all containers of the generation fail. If not, others may still start.
        is_all: bool,
    },
    /// Time has passed: see [`Actions::wake_at`](super::Actions::wake_at).
    Tick,
}
