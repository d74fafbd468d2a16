//! The side that ended a dispatched call.

use crate::functions::Ran;

/// The side that ended a dispatched call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// Its worker: it answered and is idle. The value says when the handler ran.
    Worker(Ran),
    /// The engine: the call never reached its worker, which is idle.
    Engine,
    /// The death of its worker.
    Death,
}
