//! One client's connection, as the gateway keeps account of it.

use super::refused::Refused;
use crate::memory::Memory;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Instant;

/// A client's connection: what is under way on it, and since when nothing is.
#[derive(Debug)]
pub struct Client {
    pub(super) refused: Refused,
    memory: Memory,
    speaks: Cell<Option<Version>>,
    exchanges: Cell<usize>,
    writes: Cell<bool>,
    calls: Cell<usize>,
    idle_since: Cell<Instant>,
    still_sends: Cell<bool>,
    stopping: Cell<bool>,
    sent_away: Cell<bool>,
    /// Whether it was busy when it was sent away.
    was_busy: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// 1.0 or 1.1.
    One,
    /// 2.
    Two,
}

impl Client {
    pub(super) fn new(memory: Memory) -> Client {
        Client {
            refused: Refused::default(),
            memory,
            speaks: Cell::new(None),
            exchanges: Cell::new(0),
            writes: Cell::new(false),
            calls: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            still_sends: Cell::new(false),
            stopping: Cell::new(false),
            sent_away: Cell::new(false),
            was_busy: Cell::new(false),
            task: RefCell::new(None),
        }
    }

    /// Where what its requests hold is counted.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Has this task woken when the client is sent away.
    pub(super) fn watch(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
    }

    /// The version that its requests have; `None` before the first one.
    pub(super) fn speaks(&self) -> Option<Version> {
        self.speaks.get()
    }

    /// A request has come. Its exchange ends when its answer has been taken over.
    pub(super) fn begin_exchange(self: &Rc<Client>, version: Version) -> Exchange {
        self.speaks.set(Some(version));
        self.exchanges.set(self.exchanges.get() + 1);
        Exchange(self.clone())
    }

    /// Requests whose answers have not been taken over.
    pub(super) fn exchanges(&self) -> usize {
        self.exchanges.get()
    }

    /// Whether something that was written has not been handed to the system yet.
    pub(super) fn writes(&self) -> bool {
        self.writes.get()
    }

    /// Something is about to be written, or all of it was handed to the system.
    pub(super) fn note_writes(&self, writes: bool) {
        self.writes.set(writes);
    }

    /// Whether a request is under way, or an answer is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.exchanges() > 0 || self.writes()
    }

    /// Since when there is no request under way.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// A request has come as a whole, and is being worked on until what is returned is dropped.
    pub fn begin_call(&self) -> Call<'_> {
        self.calls.set(self.calls.get() + 1);
        Call(self)
    }

    /// Requests that are being worked on.
    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// A request is answered before all of it has come.
    pub(super) fn note_early_refusal(&self) {
        self.still_sends.set(true);
    }

    /// The engine is stopping. A client of HTTP/2 that waits for an answer sends frames meanwhile.
    pub(super) fn note_stop(&self) {
        self.stopping.set(true);
        if self.exchanges() > 0 && self.speaks() == Some(Version::Two) {
            self.still_sends.set(true);
        }
    }

    /// Whether the client is heard for a while after its last answer. When the engine stops, only
    /// clients are that would lose their answer otherwise.
    pub(super) fn lingers(&self) -> bool {
        !self.stopping.get() || self.still_sends.get()
    }

    /// Has the connection ended so that another one has room, unless a request comes before.
    pub(super) fn send_away(&self) {
        self.sent_away.set(true);
        self.was_busy.set(self.is_busy());
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    pub(super) fn is_sent_away(&self) -> bool {
        self.sent_away.get()
    }

    /// Whether the connection is to be ended now. One that was idle and on which a request has come
    /// since is kept.
    pub(super) fn goes_away(&self) -> bool {
        let goes = self.sent_away.get() && (self.was_busy.get() || !self.is_busy());
        self.sent_away.set(goes);
        goes
    }
}

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Exchange(Rc<Client>);

impl Drop for Exchange {
    fn drop(&mut self) {
        let client = &self.0;
        client.exchanges.set(client.exchanges.get() - 1);
        client.idle_since.set(Instant::now());
    }
}

/// A request that is being worked on.
#[derive(Debug)]
pub struct Call<'a>(&'a Client);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
    }
}
