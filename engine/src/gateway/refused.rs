//! Clients that ask again at once for what was just refused.
//!
//! A refusal says when to try again. Who does not listen, and calls again as soon as the refusal is
//! there, has the engine refuse tens of thousands of calls a second, and other functions' calls
//! wait behind them. So the next call of that function on the same connection is looked at a little
//! later; calls of other functions are not.

use crate::ids::FunctionId;
use nightcore_runtime::protocol::{Failure, Status};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// Long enough that a hundred such clients cost a twentieth of a core, and far shorter than what
/// they were asked to wait.
const PAUSE: Duration = Duration::from_millis(25);

/// What was last refused on a connection for want of room, and when.
#[derive(Debug, Default)]
pub(super) struct Refused(Cell<Option<(FunctionId, Instant)>>);

impl Refused {
    /// A call of this function has failed.
    pub(super) fn note(&self, function: FunctionId, failure: &Failure) {
        if failure.status == Status::Overloaded {
            self.0.set(Some((function, Instant::now())));
        }
    }

    /// Waits for the rest of the pause, if there is one for this function.
    pub(super) async fn pause(&self, function: FunctionId) {
        let Some((_, at)) = self.0.get().filter(|(refused, _)| *refused == function) else {
            return;
        };
        let until = at + PAUSE;
        if Instant::now() < until {
            tokio::time::sleep_until(until).await;
        }
    }
}
