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
    /// The first worker of the container is ready, and the container has passed its readiness check
    /// if there is one.
    Ready {
        /// The number of its launch.
        launch: u64,
    },
    /// The container has not passed its readiness check yet.
    NotReady {
        /// The number of its launch.
        launch: u64,
        /// The reason.
        why: String,
    },
    /// The engine refused the container, and would refuse it again.
    Hopeless {
        /// The number of its launch.
        launch: u64,
        /// The reason.
        reason: String,
    },
    /// The process of the container has died, or the container broke a rule. All its processes that
    /// are left must be ended.
    Gone {
        /// The number of its launch.
        launch: u64,
        /// The calls that failed because of this.
        failed: FailedCalls,
    },
    /// A call of the container is stuck: another container must be started beside this one.
    Replace {
        /// The number of its launch.
        launch: u64,
    },
    /// All running calls of the container are stuck: the container must be ended.
    End {
        /// The number of its launch.
        launch: u64,
    },
    /// The container was asked to exit.
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
