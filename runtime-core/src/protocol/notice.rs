//! What the engine tells all containers about a function's queue.

/// What the board says about the queue of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Calls wait for their turn.
    pub is_queued: bool,
    /// They wait because all slots are held.
    pub is_full: bool,
}
