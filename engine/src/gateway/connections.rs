//! The open connections of a gateway, and how many there may be.

use super::client::Client;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// How many connections are looked at to find one that is idle. Beyond that number, each search
/// goes on where the last one ended, and finds one that has been idle for long, if not the longest
/// time: to look at a hundred thousand for each new one would take milliseconds.
const LOOKED_AT: usize = 64;
/// Pause before another connection is sent away when none has closed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Calls at once on one HTTP/2 connection.
pub const MAX_STREAMS: u32 = 1024;

/// How many connections a gateway has at once.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The most descriptors of all of them together.
    pub descriptors: usize,
    /// The most requests at once on a connection of HTTP/2.
    pub streams: u32,
    /// Whether a connection may be ended for a new one while a request is under way on it, or an
    /// answer is being written.
    pub ends_busy: bool,
}

/// The open connections, and a notification when one closes.
#[derive(Clone)]
pub(super) struct Connections(Rc<Open>);

struct Open {
    clients: RefCell<Slab<Rc<Client>>>,
    room: Room,
    /// Second descriptors of sockets.
    duplicates: Cell<usize>,
    /// Where the next search for an idle connection begins, and the place behind the last one that
    /// was ever taken.
    hand: Cell<usize>,
    places: Cell<usize>,
    closed: Notify,
}

impl Connections {
    pub(super) fn new(room: Room) -> Connections {
        Connections(Rc::new(Open {
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

    /// Counts a connection for as long as what is returned lives.
    pub(super) fn enter(&self, client: Rc<Client>) -> Connection {
        let key = self.0.clients.borrow_mut().insert(client);
        self.0.places.set(self.0.places.get().max(key + 1));
        Connection { all: self.clone(), key }
    }

    /// Counts a second descriptor of a socket for as long as what is returned lives; `None` if
    /// there is no room for it.
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

    /// Waits until there is room for one more, and ends connections for that.
    pub(super) async fn make_room(&self) {
        while self.descriptors() >= self.0.room.descriptors {
            self.send_one_away(self.0.room.ends_busy);
            // One that was busy may be idle when none has closed.
            let _ = tokio::time::timeout(LOOK_AGAIN, self.0.closed.notified()).await;
        }
    }

    /// Waits until none is open.
    pub(super) async fn all_closed(&self) {
        while !self.0.clients.borrow().is_empty() {
            self.0.closed.notified().await;
        }
    }

    /// Ends the connection that has been idle for the longest time; if none is idle, the oldest if
    /// a busy one may be ended.
    pub(super) fn send_one_away(&self, ends_busy: bool) {
        let clients = self.0.clients.borrow();
        let (hand, places) = (self.0.hand.get(), self.0.places.get().max(1));
        let looked_at = LOOKED_AT.min(places);
        self.0.hand.set((hand + looked_at) % places);
        let looked_at = (hand..hand + looked_at).filter_map(|at| clients.get(at % places));
        let chosen = looked_at
            .filter(|client| !client.is_sent_away() && (ends_busy || !client.is_busy()))
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

/// An open connection.
pub(super) struct Connection {
    all: Connections,
    key: usize,
}

impl Connection {
    /// All connections of its gateway.
    pub(super) fn all(&self) -> &Connections {
        &self.all
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.0.clients.borrow_mut().remove(self.key);
        self.all.note_closed();
    }
}

/// A second descriptor of a socket.
pub(super) struct Duplicate(Connections);

impl Drop for Duplicate {
    fn drop(&mut self) {
        let duplicates = &self.0.0.duplicates;
        duplicates.set(duplicates.get() - 1);
        self.0.note_closed();
    }
}
