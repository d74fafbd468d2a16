//! The engine's ends of one channel's rings, and how much attention it gives to the incoming one.
//!
//! When a worker is sent something, its next message is expected. The engine then looks at the ring
//! for as long as that pays: see [`nightcore_runtime::ipc::look`]. Meanwhile the worker need not
//! ring its bell.

use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::desk::Desk;
use nightcore_runtime::ipc::look::{Looked, MAX_LOOK_NS, Patience};
use nightcore_runtime::ipc::ring::{RingFile, RingReader, RingWriter, Sent, Side};
use std::cell::{Cell, RefCell};

/// Both rings of a channel.
pub struct Rings {
    pub(super) outgoing: RefCell<RingWriter>,
    pub(super) incoming: RefCell<RingReader>,
    /// What the worker tells about its direct calls; none before version 4.
    pub(super) desk: Option<Desk>,
    attention: Cell<Attention>,
    patience: RefCell<Patience>,
    /// Since when a message is expected that is not looked for, ns.
    asleep_since: Cell<Option<u64>>,
}

/// Whether the engine looks at the incoming ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attention {
    /// It does not: the worker rings.
    Asleep,
    /// It does, beside rings from which a message is expected; from this one none is.
    Looks,
    /// It does, for so much longer, ns.
    Expects { for_ns: u64 },
}

impl Rings {
    /// Rings at which nobody looks yet, so that the worker rings.
    pub(super) fn new(file: RingFile) -> Rings {
        let (outgoing, incoming) = file.ends(Side::Engine);
        incoming.begin_wait();
        Rings {
            desk: Desk::of(&file),
            outgoing: RefCell::new(outgoing),
            incoming: RefCell::new(incoming),
            attention: Cell::new(Attention::Asleep),
            patience: RefCell::default(),
            asleep_since: Cell::new(None),
        }
    }

    /// Puts a message into the outgoing ring.
    #[inline]
    pub(super) fn put(&self, bytes: &[u8]) -> Sent {
        self.outgoing.borrow_mut().send(bytes)
    }

    #[inline]
    pub(super) fn has_message(&self) -> bool {
        self.incoming.borrow().has_message()
    }

    #[inline]
    pub(super) fn attention(&self) -> Attention {
        self.attention.get()
    }

    /// A message is expected. False: it is waited for asleep, as looking has been in vain of late.
    #[inline]
    pub(super) fn pays_to_look(&self) -> bool {
        let looks = self.patience.borrow_mut().looks(now_ns);
        if !looks {
            self.asleep_since.set(Some(now_ns()));
        }
        looks
    }

    /// The engine looks from now on. False: it did already.
    pub(super) fn begin_looking(&self) -> bool {
        if self.attention.get() != Attention::Asleep {
            return false;
        }
        self.attention.set(Attention::Looks);
        self.incoming.borrow().end_wait();
        true
    }

    /// A message is expected of a ring at which the engine looks.
    #[inline]
    pub(super) fn expect(&self) {
        self.attention.set(Attention::Expects { for_ns: MAX_LOOK_NS });
    }

    /// Looking took so long, and there was nothing. Whether a message is still expected.
    pub(super) fn looked_in_vain(&self, spent_ns: u64) -> bool {
        let Attention::Expects { for_ns } = self.attention.get() else { return false };
        match for_ns.checked_sub(spent_ns).filter(|left| *left > 0) {
            Some(left) => {
                self.attention.set(Attention::Expects { for_ns: left });
                true
            }
            None => {
                self.give_up(Looked::InVain);
                false
            }
        }
    }

    /// Somebody computes on the engine's core, so that looking takes too long.
    pub(super) fn found_crowd(&self) {
        if let Attention::Expects { .. } = self.attention.get() {
            self.give_up(Looked::Crowded);
        }
    }

    fn give_up(&self, looked: Looked) {
        self.patience.borrow_mut().learn(looked, now_ns);
        self.attention.set(Attention::Looks);
    }

    /// A message has come that may have been looked for; `expects_more` says whether the worker is
    /// to send another one, and is asked only if it was.
    pub(super) fn found(&self, expects_more: impl FnOnce() -> bool) {
        if let Attention::Expects { .. } = self.attention.get() {
            self.patience.borrow_mut().learn(Looked::Found, now_ns);
            match expects_more() {
                true => self.expect(),
                false => self.attention.set(Attention::Looks),
            }
        }
    }

    /// The bell was rung: if a message was waited for asleep, that wait is over.
    pub(super) fn rung(&self, now: u64) {
        if let Some(since) = self.asleep_since.take() {
            self.patience.borrow_mut().slept(now - since);
        }
    }

    /// Has the worker ring again, if the engine does not look. False: there is a message already.
    pub(super) fn has_bell_rung(&self) -> bool {
        self.attention.get() != Attention::Asleep || self.incoming.borrow().begin_wait()
    }

    /// Stops looking, unless there is a message. Whether it has stopped.
    pub(super) fn stop_looking(&self) -> bool {
        let reader = self.incoming.borrow();
        let stops = reader.begin_wait();
        if stops {
            self.attention.set(Attention::Asleep);
        } else {
            reader.end_wait();
        }
        stops
    }
}
