//! How a container came to its end.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a container came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its process ended with this code.
    Exited(i32),
    /// A signal of this name ended it.
    Killed(String),
    /// A process in it was killed at the limit of memory.
    OutOfMemory,
    /// It could not be started, and why.
    NotStarted(String),
    /// The launcher died, and it with that.
    LauncherDied,
}

impl End {
    /// What [`End::reason`] can be.
    pub const REASONS: [&str; 5] =
        ["exit", "signal", "out_of_memory", "not_started", "launcher_died"];

    /// Its kind in a word.
    pub fn reason(&self) -> &'static str {
        match self {
            End::Exited(_) => "exit",
            End::Killed(_) => "signal",
            End::OutOfMemory => "out_of_memory",
            End::NotStarted(_) => "not_started",
            End::LauncherDied => "launcher_died",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exit code {code}"),
            End::Killed(signal) => write!(f, "signal {signal}"),
            End::OutOfMemory => f.write_str("its limit of memory"),
            End::NotStarted(error) => write!(f, "not being started: {error}"),
            End::LauncherDied => f.write_str("the launcher died"),
        }
    }
}
