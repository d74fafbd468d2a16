//! The state of a function's queue that the engine shows to all containers.

/// The state of a function's queue, as the board shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Calls wait for their turn.
    pub is_queued: bool,
    /// They wait because all slots are held.
    pub is_full: bool,
}
