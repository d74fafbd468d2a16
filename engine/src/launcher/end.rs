//! The ways in which a container ends.

use crate::config::format_duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The way in which a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its process ended with this code.
    Exited(i32),
    /// A signal ended it.
    Killed {
        /// The signal's name.
        signal: String,
        /// Whether the kernel kept an image of its memory.
        has_core: bool,
    },
    /// A process in it was killed at the limit of memory.
    OutOfMemory,
    /// It could not be started, for this reason.
    NotStarted(String),
    /// It was killed because the launcher died.
    LauncherDied,
    /// It was ended because it was not ready within this time.
    StartTimedOut(Duration),
    /// A handler in it did not end, and another container took its place.
    Stuck,
    /// It had reached a bound of `recycle`, and another container took its place.
    Recycled,
}

impl End {
    /// The possible values of [`End::reason`].
    pub const REASONS: [&str; 8] = [
        "exit",
        "signal",
        "out_of_memory",
        "not_started",
        "launcher_died",
        "start_timeout",
        "stuck",
        "recycled",
    ];

    /// Returns the end by a signal of this name, without a core dump.
    pub fn killed(signal: &str) -> End {
        End::Killed { signal: signal.to_owned(), has_core: false }
    }

    /// Returns the reason of the end in one word.
    pub fn reason(&self) -> &'static str {
        match self {
            End::Exited(_) => "exit",
            End::Killed { .. } => "signal",
            End::OutOfMemory => "out_of_memory",
            End::NotStarted(_) => "not_started",
            End::LauncherDied => "launcher_died",
            End::StartTimedOut(_) => "start_timeout",
            End::Stuck => "stuck",
            End::Recycled => "recycled",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exit code {code}"),
            End::Killed { signal, .. } => write!(f, "signal {signal}"),
            End::OutOfMemory => f.write_str("its limit of memory"),
            End::NotStarted(error) => write!(f, "not being started: {error}"),
            End::LauncherDied => f.write_str("the launcher died"),
            End::StartTimedOut(after) => {
                let after = format_duration(*after);
                write!(f, "not being ready within {after} (start_timeout)")
            }
            End::Stuck => f.write_str("a handler that did not end"),
            End::Recycled => f.write_str("being replaced (recycle)"),
        }
    }
}
