//! What the dispatcher asks the link to do.

use super::call::CallId;
use super::container::{ChannelKey, ContainerKey};
use super::function::{FunctionId, Generation};
use super::input::Fingerprint;
use nightcore_runtime::protocol::Failure;

/// How a call ended: an answer's payload, or an error.
pub type Outcome<P> = Result<P, Failure>;

/// Something to be done, in order. `P` is a payload, `R` is how the gateway takes an answer.
#[derive(Debug)]
pub enum Action<P, R> {
    /// Send this call to a worker.
    Dispatch {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallId,
        /// The call from outside that it is below; 0 if it is one.
        root: CallId,
        /// The calling function, `None` from outside.
        caller: Option<FunctionId>,
        /// When the call must have ended, ns; 0: it may take its time.
        deadline: u64,
        /// What it carries.
        payload: P,
    },
    /// Send the end of an internal call to the worker that made it.
    Deliver {
        /// The channel of the calling worker.
        channel: ChannelKey,
        /// The worker's own number for the call.
        tag: u64,
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
    /// Tell a worker that a call it runs is cancelled.
    Cancel {
        /// The worker's channel.
        channel: ChannelKey,
        /// The call.
        call: CallId,
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
    /// A call of this container is long past its deadline: start another one beside it.
    Replace {
        /// The container, which gets no new calls.
        container: ContainerKey,
    },
    /// All that still runs in this container is stuck: end it.
    End {
        /// The container.
        container: ContainerKey,
    },
    /// Nothing runs in this container, and nothing will: let it end.
    Leave {
        /// The container.
        container: ContainerKey,
    },
    /// An input of a function is refused from now on: say so.
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
