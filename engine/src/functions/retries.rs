//! How many internal calls may be sent again after their process died.

/// The length of each half of the window in which calls and retries are counted, ns. It is so long
/// that a function which is called now and then has more retries than the calls of one moment would
/// allow.
const WINDOW_NS: u64 = 10_000_000_000;
/// One of this many calls may be sent again. More load does not cure a failure that is more
/// frequent.
const CALLS_FOR_A_RETRY: u64 = 5;
/// How many retries are free: as many as the calls that a process has under way when it dies under
/// a light load.
const FREE_RETRIES: u64 = 10;

/// Limits retries to a share of the calls, so that they do not become the load.
#[derive(Debug, Default)]
pub struct RetryBudget {
    began_at: u64,
    /// Calls and retries in the present half of the window, and in the one before.
    calls: [u64; 2],
    retries: [u64; 2],
}

impl RetryBudget {
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

    /// Counts an accepted call.
    pub fn called(&mut self, now: u64) {
        self.turn(now);
        self.calls[0] += 1;
    }

    /// Uses up a retry. Returns false if none is left.
    pub fn take(&mut self, now: u64) -> bool {
        self.turn(now);
        let sum = |counts: [u64; 2]| counts[0] + counts[1];
        let is_left = sum(self.retries) < FREE_RETRIES + sum(self.calls) / CALLS_FOR_A_RETRY;
        self.retries[0] += u64::from(is_left);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_calls_lately() {
        let mut budget = RetryBudget::default();
        let mut now = 100 * WINDOW_NS;
        let taken = |budget: &mut RetryBudget, now| {
            (0..1000).take_while(|_| budget.take(now)).count() as u64
        };
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
