//! What the launcher must know of containers.

use crate::ids::{FunctionId, Generation};
use crate::pool::FailedCalls;

/// What has become of a container, or of a generation of them.
#[derive(Debug)]
pub enum ContainerEvent {
    /// It has connected.
    Connected {
        /// The launch.
        launch: u64,
    },
    /// Its first worker is ready, and it has passed its readiness check if it has one.
    Ready {
        /// The launch.
        launch: u64,
    },
    /// It does not pass its readiness check yet.
    NotReady {
        /// The launch.
        launch: u64,
        /// Why.
        why: String,
    },
    /// It was refused, and would be again.
    Hopeless {
        /// The launch.
        launch: u64,
        /// Why.
        reason: String,
    },
    /// Its process has died, or it broke a rule: what is left of it is to be ended.
    Gone {
        /// The launch.
        launch: u64,
        /// The calls that failed with it.
        failed: FailedCalls,
    },
    /// It holds a stuck call: start another one beside it.
    Replace {
        /// The launch.
        launch: u64,
    },
    /// All that runs in it is stuck: end it.
    End {
        /// The launch.
        launch: u64,
    },
    /// It was asked to leave.
    Leaves {
        /// The launch.
        launch: u64,
    },
    /// This generation of a function's containers serves: older ones are not started again.
    Serves {
        /// The function.
        function: FunctionId,
        /// The generation.
        generation: Generation,
    },
}
