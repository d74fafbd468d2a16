//! The async runtime of a command.

use super::exit::{EXIT_BAD_INPUT, Exit};

/// Number of task polls after which the I/O thread asks the kernel for events.
///
/// A thread that spins on rings always has a task to poll, and a poll takes a microsecond or two.
const EVENT_INTERVAL: u32 = 16;

/// Builds a runtime on this thread. One thread is enough for everything that Nightcore does.
pub(super) fn runtime() -> Result<tokio::runtime::LocalRuntime, Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build_local(Default::default())
        .map_err(|error| Exit::new(EXIT_BAD_INPUT, format!("cannot start: {error}")))
}
