//! Slows down clients that retry at once after a refusal.
//!
//! A refusal says when to try again. A client that ignores `Retry-After` and retries immediately
//! can make the engine reject tens of thousands of calls per second, and calls of other functions
//! wait behind them. So the next call of that function on the same connection is delayed a little;
//! calls of other functions are not.

use crate::ids::FunctionId;
use nightcore_runtime::protocol::{Failure, Status};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// Long enough that a hundred such clients cost a twentieth of a core, and far shorter than the
/// time that they were asked to wait.
const PAUSE: Duration = Duration::from_millis(25);

/// The function that was last refused on a connection because it was overloaded, and the time of
/// that.
#[derive(Debug, Default)]
pub(super) struct Refused(Cell<Option<(FunctionId, Instant)>>);

impl Refused {
    /// Records that a call of this function has failed.
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
