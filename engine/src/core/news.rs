//! Events of containers that the launcher must know.

use crate::ids::{FunctionId, Generation};
use crate::pool::FailedCalls;

/// An event of a container, or of a generation of containers.
#[derive(Debug)]
pub enum ContainerEvent {
    /// The container has connected.
    Connected {
        /// The number of its launch.
        launch: u64,
    },
    /// Its first worker is ready, and it has passed its readiness check if there is one.
    Ready {
        /// The number of its launch.
        launch: u64,
    },
    /// It has not passed its readiness check yet.
    NotReady {
        /// The number of its launch.
        launch: u64,
        /// The reason.
        why: String,
    },
    /// It was refused, and would be refused again.
    Hopeless {
        /// The number of its launch.
        launch: u64,
        /// The reason.
        reason: String,
    },
    /// Its process has died, or it broke a rule. What is left of it must be ended.
    Gone {
        /// The number of its launch.
        launch: u64,
        /// The calls that failed because of this.
        failed: FailedCalls,
    },
    /// One of its calls is stuck: another container must be started beside it.
    Replace {
        /// The number of its launch.
        launch: u64,
    },
    /// All of its running calls are stuck: it must be ended.
    End {
        /// The number of its launch.
        launch: u64,
    },
    /// It was asked to exit.
    Leaves {
        /// The number of its launch.
        launch: u64,
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
