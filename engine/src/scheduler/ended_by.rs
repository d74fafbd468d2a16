//! How a dispatched call came to its end.

use crate::functions::Ran;

/// How a dispatched call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// Its worker has answered, and is idle; when its handler ran.
    Worker(Ran),
    /// The engine: the call never reached its worker, which is idle.
    Engine,
    /// The death of its worker.
    Death,
}
