//! The state that the gateway keeps for each client connection.

use super::refused::Refused;
use crate::memory::Memory;
use crate::process_tree::ProcessIdentity;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Instant;

/// A client's connection: what is under way on it, and since when it has been idle.
#[derive(Debug)]
pub struct Client {
    lineage: io::Result<Vec<ProcessIdentity>>,
    pub(super) refused: Refused,
    memory: Memory,
    speaks: Cell<Option<HttpVersion>>,
    exchanges: Cell<usize>,
    writes: Cell<bool>,
    calls: Cell<usize>,
    idle_since: Cell<Instant>,
    still_sends: Cell<bool>,
    stopping: Cell<bool>,
    sent_away: Cell<bool>,
    /// Whether the connection was busy when it was sent away.
    was_busy: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    /// 1.0 or 1.1.
    One,
    /// 2.
    Two,
}

impl Client {
    pub(super) fn new(memory: Memory, lineage: io::Result<Vec<ProcessIdentity>>) -> Client {
        Client {
            lineage,
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

    /// Returns the process of the client and its ancestors, as [`Socket::lineage`] does, if the
    /// gateway asks for them.
    ///
    /// [`Socket::lineage`]: super::socket::Socket::lineage
    pub fn lineage(&self) -> Result<&[ProcessIdentity], &io::Error> {
        self.lineage.as_deref()
    }

    /// Returns the counter of the memory that the client's requests hold.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Registers the task that is woken when the client is sent away.
    pub(super) fn watch(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
    }

    /// Returns the HTTP version of the client's requests; `None` before the first request.
    pub(super) fn speaks(&self) -> Option<HttpVersion> {
        self.speaks.get()
    }

    /// Records that a request has begun. The exchange ends when its answer has been taken over.
    pub(super) fn begin_exchange(self: &Rc<Client>, version: HttpVersion) -> Exchange {
        self.speaks.set(Some(version));
        self.exchanges.set(self.exchanges.get() + 1);
        Exchange(self.clone())
    }

    /// Returns the number of requests whose answers have not been taken over.
    pub(super) fn exchanges(&self) -> usize {
        self.exchanges.get()
    }

    /// Returns whether something that was written has not yet been handed to the system.
    pub(super) fn writes(&self) -> bool {
        self.writes.get()
    }

    /// Records whether data is about to be written (true), or all of it was handed to the system
    /// (false).
    pub(super) fn note_writes(&self, writes: bool) {
        self.writes.set(writes);
    }

    /// Returns whether a request is under way, or an answer is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.exchanges() > 0 || self.writes()
    }

    /// Returns the time at which the last exchange ended.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// Records that a request has been received completely. It counts as a call until the returned
    /// value is dropped.
    pub fn begin_call(&self) -> OpenRequest<'_> {
        self.calls.set(self.calls.get() + 1);
        OpenRequest(self)
    }

    /// Returns the number of requests that are being worked on.
    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Records that a request is answered before all of it has been received.
    pub(super) fn note_early_refusal(&self) {
        self.still_sends.set(true);
    }

    /// Records that the engine is stopping. A client of HTTP/2 that waits for an answer keeps
    /// sending frames meanwhile.
    pub(super) fn note_stop(&self) {
        self.stopping.set(true);
        if self.exchanges() > 0 && self.speaks() == Some(HttpVersion::Two) {
            self.still_sends.set(true);
        }
    }

    /// Returns whether the connection is still read for a while after its last answer. When the
    /// engine stops, this applies only to clients that would otherwise lose their answer.
    pub(super) fn lingers(&self) -> bool {
        !self.stopping.get() || self.still_sends.get()
    }

    /// Ends the connection to make room for another one, unless a request arrives first.
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

    /// Returns whether the connection is to be ended now. A connection is kept if it was idle when
    /// it was sent away and a request has arrived since.
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
pub struct OpenRequest<'a>(&'a Client);

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
    }
}
