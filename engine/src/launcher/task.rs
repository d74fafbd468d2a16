//! The tasks that the supervisor returns to its driver.

use crate::config;
use crate::ids::{FunctionId, Generation};
use std::rc::Rc;

/// A task for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisorTask {
    /// Start a container of this function. The launch's number identifies this start.
    Start {
        /// The launch's number.
        launch: u64,
        /// The function.
        function: FunctionId,
        /// The generation of the container.
        generation: Generation,
        /// The configuration from which it is started.
        config: Rc<config::FunctionConfig>,
    },
    /// Send SIGTERM to a container's process group.
    Terminate {
        /// The launch.
        launch: u64,
    },
    /// Send SIGKILL to a container's process group.
    Kill {
        /// The launch.
        launch: u64,
    },
    /// Record that a container of this generation fails to start.
    Failing {
        /// The function.
        function: FunctionId,
        /// The generation of its containers.
        generation: Generation,
        /// The reason.
        reason: String,
        /// Whether all containers of the generation fail.
        is_all: bool,
    },
    /// Give a container no more calls. The container ends after its last call.
    SetAside {
        /// The launch.
        launch: u64,
    },
    /// Log a message for the person who runs the engine.
    Report {
        /// The text of the report.
        text: String,
    },
    /// Add lines to a function's log.
    AddToLog {
        /// The function's name.
        function: String,
        /// The process that the lines are about.
        pid: i32,
        /// The lines, each with the call to which it belongs.
        lines: Vec<(Option<u64>, String)>,
    },
}
