//! The tasks that the supervisor gives to its driver.

use crate::config;
use crate::ids::{FunctionId, Generation};
use std::rc::Rc;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisorTask {
    /// Start a container of this function, as this launch.
    Start {
        /// The launch's number.
        launch: u64,
        /// The function.
        function: FunctionId,
        /// Of which generation of its containers it is.
        generation: Generation,
        /// What it is started from.
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
    /// Note that a container of this generation does not come to be.
    Failing {
        /// The function.
        function: FunctionId,
        /// The generation of its containers.
        generation: Generation,
        /// Why.
        reason: String,
        /// Whether none of the others does.
        is_all: bool,
    },
    /// Give a container no more calls: it ends with its last one.
    SetAside {
        /// The launch.
        launch: u64,
    },
    /// Tell the person who runs the engine.
    Report {
        /// What happened.
        text: String,
    },
    /// Keep lines in a function's log.
    AddToLog {
        /// The function's name.
        function: String,
        /// The process that the lines are about.
        pid: i32,
        /// Each with the call that it is about.
        lines: Vec<(Option<u64>, String)>,
    },
}
