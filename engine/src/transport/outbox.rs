//! Messages that could not be sent yet.
//!
//! A descriptor or a ring may have no room because its reader is slow or stopped. The engine never
//! waits for that reader: it keeps the message and sends it, in order, when there is room.

use crate::watched::Watched;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

/// Messages that wait for room, in the order in which they are to be sent.
#[derive(Debug)]
pub struct Outbox<M> {
    unsent: VecDeque<M>,
    /// The bound: if more messages wait, the reader counts as one that does not read. `None` if
    /// there is no bound.
    most: Option<usize>,
}

/// The outcome of sending the messages that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushResult {
    /// All of them were sent.
    Whole,
    /// There was no room for the next one.
    NoRoom,
    /// The reader is gone. The messages that were not sent stay in the outbox.
    Gone,
}

impl<M> Outbox<M> {
    /// Creates an empty outbox with this bound.
    pub fn new(most: usize) -> Outbox<M> {
        Outbox { unsent: VecDeque::new(), most: Some(most) }
    }

    /// Creates an empty outbox without a bound, for a reader that belongs to the engine.
    pub fn unbounded() -> Outbox<M> {
        Outbox { unsent: VecDeque::new(), most: None }
    }

    /// Whether no message waits. Only then may a message be sent directly: it would overtake
    /// others.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The number of messages that wait, if it exceeds the bound.
    #[inline]
    pub fn overfull(&self) -> Option<usize> {
        let unsent = self.unsent.len();
        self.most.is_some_and(|most| unsent > most).then_some(unsent)
    }

    /// Adds a message behind those that wait. The caller checks the bound.
    pub fn keep(&mut self, message: M) {
        self.unsent.push_back(message);
    }

    /// Adds a message behind those that wait, or drops it if the bound is reached.
    pub fn keep_within_bound(&mut self, message: M) {
        if self.most.is_none_or(|most| self.unsent.len() < most) {
            self.unsent.push_back(message);
        }
    }

    /// Sends the messages that wait, in order, until `send` has no room or its reader is gone.
    /// `send` reports that there is no room as [`io::ErrorKind::WouldBlock`].
    pub fn flush(&mut self, mut send: impl FnMut(&M) -> io::Result<()>) -> FlushResult {
        while let Some(message) = self.unsent.front() {
            match send(message) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return FlushResult::NoRoom;
                }
                Err(_) => return FlushResult::Gone,
            }
        }
        FlushResult::Whole
    }

    /// The messages that were not sent, in order.
    pub fn unsent(&self) -> impl Iterator<Item = &M> {
        self.unsent.iter()
    }

    /// Drops the messages that were not sent.
    pub fn clear(&mut self) {
        self.unsent.clear();
    }
}

/// Sends the messages that wait for room in a descriptor, until none waits or the reader is gone.
pub async fn empty_when_writable<M>(
    outbox: &RefCell<Outbox<M>>,
    fd: &Watched,
    mut send: impl FnMut(&M) -> io::Result<()>,
) {
    loop {
        let Ok(mut ready) = fd.writable().await else { return };
        if outbox.borrow_mut().flush(&mut send) != FlushResult::NoRoom {
            return;
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a `send` that takes `left` messages and then has no room.
    fn room(mut left: usize, sent: &mut Vec<u32>) -> impl FnMut(&u32) -> io::Result<()> {
        move |message| {
            left = left.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
            sent.push(*message);
            Ok(())
        }
    }

    #[test]
    fn waiting_messages_are_sent_in_order_while_there_is_room() {
        let (mut outbox, mut sent) = (Outbox::new(3), Vec::new());
        (1..=5).for_each(|message| outbox.keep(message));
        assert_eq!(outbox.overfull(), Some(5));
        assert_eq!(outbox.flush(room(2, &mut sent)), FlushResult::NoRoom);
        assert_eq!(outbox.overfull(), None);
        assert_eq!(outbox.unsent().copied().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(outbox.flush(room(9, &mut sent)), FlushResult::Whole);
        assert!(outbox.is_empty());
        assert_eq!(sent, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn messages_that_a_gone_reader_did_not_get_are_listed() {
        let mut outbox = Outbox::new(2);
        (1..=4).for_each(|message| outbox.keep_within_bound(message));
        assert_eq!(outbox.flush(|_| Err(io::ErrorKind::BrokenPipe.into())), FlushResult::Gone);
        assert_eq!(outbox.unsent().copied().collect::<Vec<_>>(), [1, 2]);
    }
}
