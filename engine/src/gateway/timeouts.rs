//! The timeouts of clients: for the head of a request, for the next request, for taking an answer,
//! and for closing.
//!
//! hyper sets and cancels a timer in every call, and the timer hardly ever fires. So each timeout
//! is an entry in a table, and one kernel timer is set for the earliest of them. With a timer of
//! the runtime the engine would wake itself on every call.

use crate::timer::Timer;
use hyper::rt::Sleep;
use slab::Slab;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The time by which a timeout may be late. It lets many timeouts be handled at once.
const SLACK: Duration = Duration::from_secs(1);

struct TimerEntry {
    at: Instant,
    over: bool,
    waker: Waker,
}

#[derive(Default)]
struct TimerTable {
    entries: Slab<TimerEntry>,
    /// The time of the next check by the task that handles the timeouts. `None` while that task
    /// waits for the first entry.
    next_check: Option<Instant>,
    /// Wakes that task when a new entry is due before the next check.
    sooner: Rc<Notify>,
}

thread_local! {
    static TABLE: RefCell<TimerTable> = RefCell::default();
}

/// The timer for clients' timeouts, as hyper's [`Timer`](hyper::rt::Timer).
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadTimer;

impl hyper::rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadTimeout { at, entry: None })
    }
}

/// A future that completes when its time is over.
struct HeadTimeout {
    at: Instant,
    entry: Option<usize>,
}

impl Sleep for HeadTimeout {}

impl Future for HeadTimeout {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        TABLE.with_borrow_mut(|table| match self.entry.and_then(|key| table.entries.get_mut(key)) {
            Some(entry) if entry.over => Poll::Ready(()),
            Some(entry) => {
                entry.waker.clone_from(context.waker());
                Poll::Pending
            }
            None => {
                if table.next_check.is_none_or(|next_check| self.at + SLACK < next_check) {
                    table.sooner.notify_one();
                }
                let entry = TimerEntry { at: self.at, over: false, waker: context.waker().clone() };
                self.entry = Some(table.entries.insert(entry));
                Poll::Pending
            }
        })
    }
}

impl Drop for HeadTimeout {
    fn drop(&mut self) {
        let Some(key) = self.entry else { return };
        // When the thread ends, the table may have been dropped first.
        let _ = TABLE.try_with(|table| table.borrow_mut().entries.try_remove(key));
    }
}

/// Handles all timeouts of this thread, for ever.
pub async fn keep_timeouts() -> std::io::Result<()> {
    let timer = Timer::new()?;
    let sooner = TABLE.with_borrow(|table| table.sooner.clone());
    loop {
        let now = Instant::now();
        let next_check = TABLE.with_borrow_mut(|table| table.check(now));
        let Some(next_check) = next_check else {
            sooner.notified().await;
            continue;
        };
        let wait = u64::try_from((next_check - now).as_nanos()).unwrap_or(u64::MAX);
        let at = nightcore_runtime::clock::now_ns().saturating_add(wait);
        tokio::select! {
            rung = timer.wait_until(at) => rung?,
            () = sooner.notified() => {}
        }
    }
}

impl TimerTable {
    /// Completes the entries that are due. Returns the time of the next check.
    fn check(&mut self, now: Instant) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        for (_, entry) in self.entries.iter_mut().filter(|(_, entry)| !entry.over) {
            if entry.at <= now {
                entry.over = true;
                entry.waker.wake_by_ref();
            } else {
                earliest = Some(earliest.map_or(entry.at, |earliest| earliest.min(entry.at)));
            }
        }
        self.next_check = earliest.map(|earliest| earliest + SLACK);
        self.next_check
    }
}
