//! Runs a load: clients that call, and in an open loop the clock that sets the times of the calls.

use super::client::{BenchCall, BenchClient};
use super::schedule::Arrivals;
use super::tally::{MeasuredTime, Sent, Tally};
use crate::timer::Timer;
use anyhow::Context;
use nightcore_runtime::clock::now_ns;
use std::cell::RefCell;
use std::future::pending;
use std::iter::Chain;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

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
    pub call: BenchCall,
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

/// The state that the clients share.
struct ClientsShared {
    call: BenchCall,
    window: MeasuredTime,
    tally: RefCell<Tally>,
    turns: CallTurns,
}

/// Decides which client calls next, and for which time.
enum CallTurns {
    Open {
        /// One permit for each call that is due and not taken by a client. It is fair to waiting
        /// clients.
        due: Semaphore,
        /// The times of the calls that no client has taken. Due calls are known without a list of
        /// them.
        times: RefCell<CallTimes>,
    },
    Closed,
}

/// The warm-up, then the measured calls.
type CallTimes = Chain<Arrivals, Arrivals>;

/// Runs a load to its end.
pub(super) async fn run(load: BenchLoad, clients: Vec<BenchClient>) -> anyhow::Result<LoadResult> {
    let begin = now_ns();
    let from = begin + load.warm_up.as_nanos() as u64;
    let window = MeasuredTime { from, until: from + load.duration.as_nanos() as u64 };
    let connections = clients.len();
    let (turns, times) = match load.pace {
        Pace::Closed => (CallTurns::Closed, None),
        Pace::Open(per_second) => {
            let warm_up = Arrivals::new(WARM_UP_SEED, begin, per_second, load.warm_up);
            let times = warm_up.chain(Arrivals::new(SEED, from, per_second, load.duration));
            (
                CallTurns::Open { due: Semaphore::new(0), times: RefCell::new(times.clone()) },
                Some(times),
            )
        }
    };
    let tally = RefCell::new(Tally::new(window)?);
    let shared = Rc::new(ClientsShared { call: load.call, window, tally, turns });
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;

    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn_local(run_client(shared.clone(), client));
    }
    if let Some(times) = times {
        tasks.spawn_local(tell_time(shared.clone(), times, connections));
    }
    let end = wait_for_end(&mut tasks, &mut interrupts, window).await;
    let window = match end {
        LoadEnd::Complete | LoadEnd::GaveUp => window,
        LoadEnd::Interrupted | LoadEnd::Lost(_) => window.ended_at(now_ns()),
    };
    let tally = shared.tally.borrow().clone();
    Ok(LoadResult { tally, window, end })
}

async fn wait_for_end(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    interrupts: &mut Signal,
    window: MeasuredTime,
) -> LoadEnd {
    let left = Duration::from_nanos(window.until.saturating_sub(now_ns())) + ANSWERS_WITHIN;
    let end = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended.map_err(anyhow::Error::from).flatten() {
                return LoadEnd::Lost(error);
            }
        }
        LoadEnd::Complete
    };
    let interrupted = async {
        match interrupts.recv().await {
            Some(()) => LoadEnd::Interrupted,
            None => pending().await,
        }
    };
    tokio::select! {
        end = end => end,
        interrupted = interrupted => interrupted,
        () = tokio::time::sleep(left) => LoadEnd::GaveUp,
    }
}

/// Signals each call of an open loop when it is due. If this thread was busy elsewhere, all calls
/// that are due by now are signalled at once.
async fn tell_time(
    shared: Rc<ClientsShared>,
    mut times: CallTimes,
    clients: usize,
) -> anyhow::Result<()> {
    let CallTurns::Open { due, .. } = &shared.turns else { return Ok(()) };
    let timer = Timer::new().context("cannot make a timer")?;
    let mut next = times.next();
    while let Some(at) = next {
        timer.wait_until(at).await.context("cannot wait for a timer")?;
        let now = now_ns();
        let mut count = 0;
        while let Some(at) = next.filter(|at| *at <= now) {
            shared.tally.borrow_mut().due(at);
            count += 1;
            next = times.next();
        }
        due.add_permits(count);
    }
    // One turn for each client, which then finds no call left.
    due.add_permits(clients);
    Ok(())
}

async fn run_client(shared: Rc<ClientsShared>, mut client: BenchClient) -> anyhow::Result<()> {
    while let Some(due) = shared.turn().await {
        let sent = Sent { due, at: now_ns() };
        shared.tally.borrow_mut().sent(sent);
        let ending = client.call(&shared.call).await.context("no connection to the engine")?;
        shared.tally.borrow_mut().ended(sent, now_ns(), ending);
    }
    Ok(())
}

impl ClientsShared {
    /// Waits until a call is due. Returns the time at which it was due, or `None` if no call is
    /// left.
    async fn turn(&self) -> Option<u64> {
        match &self.turns {
            CallTurns::Open { due, times } => {
                due.acquire().await.ok()?.forget();
                times.borrow_mut().next()
            }
            CallTurns::Closed => {
                let now = now_ns();
                if now >= self.window.until {
                    return None;
                }
                self.tally.borrow_mut().due(now);
                Some(now)
            }
        }
    }
}
