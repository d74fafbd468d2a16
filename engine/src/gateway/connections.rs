//! The open connections of a gateway, and their limit.

use super::client::Client;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// The number of connections that one search for an idle connection examines. With more
/// connections, each search continues where the last one ended. It finds a connection that has been
/// idle for long, though not always for the longest time. Examining a hundred thousand connections
/// for each new one would take milliseconds.
const CANDIDATES: usize = 64;
/// The pause before another connection is ended if none has closed.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The maximum number of concurrent calls on one HTTP/2 connection.
pub const MAX_STREAMS: u32 = 1024;

/// The limits of a gateway's connections.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The maximum number of descriptors of all connections together.
    pub descriptors: usize,
    /// The maximum number of concurrent requests on an HTTP/2 connection.
    pub streams: u32,
    /// Whether a connection may be ended for a new one while a request is under way on it, or while
    /// an answer is being written.
    pub ends_busy: bool,
}

/// The open connections, and a notification when one closes.
#[derive(Clone)]
pub(super) struct ClientConnections(Rc<Open>);

struct Open {
    clients: RefCell<Slab<Rc<Client>>>,
    room: Room,
    /// The number of duplicated descriptors of sockets.
    duplicates: Cell<usize>,
    /// The key at which the next search for an idle connection begins, and the number of keys used
    /// so far.
    hand: Cell<usize>,
    places: Cell<usize>,
    closed: Notify,
}

impl ClientConnections {
    pub(super) fn new(room: Room) -> ClientConnections {
        ClientConnections(Rc::new(Open {
            clients: RefCell::default(),
            room,
            duplicates: Cell::new(0),
            hand: Cell::new(0),
            places: Cell::new(0),
            closed: Notify::new(),
        }))
    }

    pub(super) fn room(&self) -> Room {
        self.0.room
    }

    /// Counts a connection as open until the returned value is dropped.
    pub(super) fn enter(&self, client: Rc<Client>) -> Connection {
        let key = self.0.clients.borrow_mut().insert(client);
        self.0.places.set(self.0.places.get().max(key + 1));
        Connection { all: self.clone(), key }
    }

    /// Counts a duplicated descriptor of a socket until the returned value is dropped. Returns
    /// `None` if there is no room for it.
    pub(super) fn duplicate(&self) -> Option<Duplicate> {
        if self.descriptors() >= self.0.room.descriptors {
            return None;
        }
        self.0.duplicates.set(self.0.duplicates.get() + 1);
        Some(Duplicate(self.clone()))
    }

    fn descriptors(&self) -> usize {
        self.0.clients.borrow().len() + self.0.duplicates.get()
    }

    /// Waits until there is room for one more connection, and ends connections to make room.
    pub(super) async fn make_room(&self) {
        while self.descriptors() >= self.0.room.descriptors {
            self.send_one_away(self.0.room.ends_busy, Duration::ZERO);
            // If none has closed, a busy connection may have become idle.
            let _ = tokio::time::timeout(RETRY_AFTER, self.0.closed.notified()).await;
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        while !self.0.clients.borrow().is_empty() {
            self.0.closed.notified().await;
        }
    }

    /// Ends the connection that has been idle for the longest time, and for at least `idle_for`. If
    /// none is idle and `ends_busy` is set, ends a busy one: the one whose last exchange ended
    /// longest ago.
    pub(super) fn send_one_away(&self, ends_busy: bool, idle_for: Duration) {
        let clients = self.0.clients.borrow();
        let (hand, places) = (self.0.hand.get(), self.0.places.get().max(1));
        let candidates = CANDIDATES.min(places);
        self.0.hand.set((hand + candidates) % places);
        let candidates = (hand..hand + candidates).filter_map(|at| clients.get(at % places));
        let chosen = candidates
            .filter(|client| !client.is_sent_away() && (ends_busy || !client.is_busy()))
            .filter(|client| client.is_busy() || client.idle_since().elapsed() >= idle_for)
            .min_by_key(|client| (client.is_busy(), client.idle_since()));
        if let Some(client) = chosen {
            client.send_away();
        }
    }

    fn note_closed(&self) {
        self.0.closed.notify_waiters();
        self.0.closed.notify_one();
    }
}

/// Counts a connection as open while it lives.
pub(super) struct Connection {
    all: ClientConnections,
    key: usize,
}

impl Connection {
    /// Returns all connections of the gateway.
    pub(super) fn all(&self) -> &ClientConnections {
        &self.all
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.0.clients.borrow_mut().remove(self.key);
        self.all.note_closed();
    }
}

/// Counts a duplicated descriptor of a socket while it lives.
pub(super) struct Duplicate(ClientConnections);

impl Drop for Duplicate {
    fn drop(&mut self) {
        let duplicates = &self.0.0.duplicates;
        duplicates.set(duplicates.get() - 1);
        self.0.note_closed();
    }
}
