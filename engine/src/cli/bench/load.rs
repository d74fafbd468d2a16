//! Runs a load: when its calls are due, and when it ends.

use super::ending::ending;
use super::interrupt;
use super::schedule::Arrivals;
use super::tally::{MeasuredTime, Tally};
use nightcore_load::{Answer, Call, Client, Next, Sent, Workload, now_ns};
use std::iter::{Chain, Peekable};
use std::time::Duration;

/// The time after the last due call for which answers are awaited and delayed calls are sent.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Arbitrary seeds, which must stay the same.
const WARM_UP_SEED: u64 = 1;
const SEED: u64 = 2;

/// The pace of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At this rate per second, whatever happens to the calls.
    Open(u32),
    /// Whenever a client has its answer.
    Closed,
}

/// A load to run.
pub(super) struct BenchLoad {
    pub call: Call,
    pub pace: Pace,
    pub warm_up: Duration,
    pub duration: Duration,
}

/// Why a load ended.
#[derive(Debug)]
pub(super) enum LoadEnd {
    /// Every call has ended.
    Complete,
    /// Some calls had not ended within [`ANSWERS_WITHIN`].
    GaveUp,
    /// Ctrl-C ended the load.
    Interrupted,
    /// No connection could be made any more.
    Lost(anyhow::Error),
}

/// The result of a load.
pub(super) struct LoadResult {
    pub tally: Tally,
    /// The time in which calls were measured. It is shorter than requested if the load ended early.
    pub window: MeasuredTime,
    pub end: LoadEnd,
}

/// The times of the warm-up, then of the measured calls.
type CallTimes = Peekable<Chain<Arrivals, Arrivals>>;

/// The state of a load that runs.
struct RunningLoad {
    window: MeasuredTime,
    /// The times of the calls of an open loop that are not sent.
    times: Option<CallTimes>,
    tally: Tally,
}

impl RunningLoad {
    /// Takes the time of the next call of an open loop, if it is due.
    fn take_due(times: &mut CallTimes, tally: &mut Tally, now: u64) -> Option<u64> {
        let due = times.next_if(|at| *at <= now)?;
        tally.due(due);
        Some(due)
    }

    fn has_given_up(&self, now: u64) -> bool {
        now >= self.window.until + ANSWERS_WITHIN.as_nanos() as u64
    }
}

impl Workload for RunningLoad {
    fn next(&mut self, now: u64) -> Next {
        let Some(times) = &mut self.times else {
            if now >= self.window.until {
                return Next::Never;
            }
            self.tally.due(now);
            self.tally.sent(now);
            return Next::Due(now);
        };
        if let Some(due) = RunningLoad::take_due(times, &mut self.tally, now) {
            self.tally.sent(due);
            return Next::Due(due);
        }
        times.peek().map_or(Next::Never, |at| Next::At(*at))
    }

    fn ended(
        &mut self,
        call: Sent,
        now: u64,
        answer: anyhow::Result<Answer>,
    ) -> anyhow::Result<()> {
        self.tally.ended(call, now, ending(answer));
        Ok(())
    }

    fn is_over(&mut self, now: u64) -> anyhow::Result<bool> {
        Ok(interrupt::came() || self.has_given_up(now))
    }
}

/// Runs a load to its end.
pub(super) fn run(load: BenchLoad, clients: Vec<Client>) -> anyhow::Result<LoadResult> {
    interrupt::watch()?;
    let begin = now_ns();
    let from = begin + load.warm_up.as_nanos() as u64;
    let window = MeasuredTime { from, until: from + load.duration.as_nanos() as u64 };
    let times = match load.pace {
        Pace::Closed => None,
        Pace::Open(per_second) => {
            let warm_up = Arrivals::new(WARM_UP_SEED, begin, per_second, load.warm_up);
            let measured = Arrivals::new(SEED, from, per_second, load.duration);
            Some(warm_up.chain(measured).peekable())
        }
    };
    let mut state = RunningLoad { window, times, tally: Tally::new(window)? };
    let end = match nightcore_load::run(&load.call, clients, &mut state) {
        Ok(nightcore_load::LoadEnd::Complete) => LoadEnd::Complete,
        Ok(nightcore_load::LoadEnd::Over) if interrupt::came() => LoadEnd::Interrupted,
        Ok(nightcore_load::LoadEnd::Over) => LoadEnd::GaveUp,
        Err(error) => LoadEnd::Lost(error.context("no connection to the engine")),
    };
    let now = now_ns();
    let window = match end {
        LoadEnd::Complete | LoadEnd::GaveUp => window,
        LoadEnd::Interrupted | LoadEnd::Lost(_) => window.ended_at(now),
    };
    let RunningLoad { times, mut tally, .. } = state;
    if let Some(mut times) = times {
        while RunningLoad::take_due(&mut times, &mut tally, now).is_some() {}
    }
    Ok(LoadResult { tally, window, end })
}
