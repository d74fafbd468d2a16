//! Internal calls that are sent again, as the process died under them.
//!
//! Only if their function says so, and only those that surely did not begin, or whose function may be run twice. A call that is
//! sent again is queued before all others, with the deadline that it had.

use super::call::{CallId, Caller, Stage};
use super::input::Input;
use super::{Dispatch, Outcome};
use nightcore_runtime::protocol::Status;

/// How long calls and retries are remembered for the budget, in two halves of this: long enough that a function called now and
/// then is not held to the share of a moment.
const WINDOW_NS: u64 = 10_000_000_000;
/// Of so many calls one may be sent again. What fails more often is not cured by more load.
const CALLS_FOR_A_RETRY: u64 = 5;
/// So many retries there may be in any case: what a process had under way that dies under a light load.
const FREE_RETRIES: u64 = 10;

/// Keeps retries to a share of the calls, so that they do not become the load.
#[derive(Debug, Default)]
pub(super) struct Budget {
    began_at: u64,
    /// Calls and retries in the window now, and in the one before.
    calls: [u64; 2],
    retries: [u64; 2],
}

impl Budget {
    fn turn(&mut self, now: u64) {
        let windows = now.saturating_sub(self.began_at) / WINDOW_NS;
        if windows == 0 {
            return;
        }
        for counts in [&mut self.calls, &mut self.retries] {
            *counts = [0, if windows == 1 { counts[0] } else { 0 }];
        }
        self.began_at = now;
    }

    /// A call was accepted.
    pub(super) fn called(&mut self, now: u64) {
        self.turn(now);
        self.calls[0] += 1;
    }

    /// Takes a retry, if there is one.
    fn take(&mut self, now: u64) -> bool {
        self.turn(now);
        let sum = |counts: [u64; 2]| counts[0] + counts[1];
        let is_left = sum(self.retries) < FREE_RETRIES + sum(self.calls) / CALLS_FOR_A_RETRY;
        self.retries[0] += u64::from(is_left);
        is_left
    }
}

impl<P: Input, R> Dispatch<P, R> {
    /// These calls were dispatched, and surely have not reached their worker: that is gone, or about to be.
    pub fn not_begun(&mut self, calls: impl IntoIterator<Item = CallId>) {
        for id in calls {
            if let Some(call) = self.calls.get_mut(id) {
                call.surely_not_begun = true;
            }
        }
    }

    /// Queues a call again whose worker is gone, if that may be. True: it has not ended.
    pub(super) fn retry(&mut self, now: u64, id: CallId, outcome: &Outcome<P>) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return false };
        let f = &mut self.functions[call.function as usize - 1];
        let died = matches!(outcome, Err(failure) if failure.status == Status::ContainerDied);
        let is_wanted =
            matches!(call.caller, Caller::Call { .. }) && !call.cancelled && now < call.deadline;
        let may_run_again = call.surely_not_begun || f.spec.idempotent;
        let is_served = !f.removed && f.unavailable.is_none();
        if !(died && is_wanted && may_run_again && is_served)
            || call.retried >= f.spec.retries
            || call.kept.is_none()
            || !f.retry_budget.take(now)
        {
            return false;
        }
        call.retried += 1;
        call.payload = call.kept.take();
        call.stage = Stage::Queued;
        call.surely_not_begun = false;
        call.waiting_since = None;
        call.waited_ns = 0;
        call.answers = 0;
        call.held.clear();
        call.alone_by = 0;
        f.counts.retries += 1;
        f.queued += 1;
        f.queued_bytes += call.bytes;
        // Before all others: it has waited already.
        f.nested.push_front((0, id));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_calls_lately() {
        let mut budget = Budget::default();
        let mut now = 100 * WINDOW_NS;
        let taken =
            |budget: &mut Budget, now| (0..1000).take_while(|_| budget.take(now)).count() as u64;
        assert_eq!(taken(&mut budget, now), FREE_RETRIES);
        for _ in 0..100 {
            budget.called(now);
        }
        assert_eq!(taken(&mut budget, now), 100 / CALLS_FOR_A_RETRY);
        now += WINDOW_NS;
        assert_eq!(taken(&mut budget, now), 0, "those of a moment ago still count");
        now += WINDOW_NS;
        assert_eq!(taken(&mut budget, now), FREE_RETRIES, "the calls of long ago do not");
        now += 5 * WINDOW_NS;
        assert_eq!(taken(&mut budget, now), FREE_RETRIES);
    }
}
