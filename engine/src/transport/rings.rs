//! The engine's ends of one channel's rings, and whether the engine spins on the incoming one.
//!
//! After a worker is sent something, its next message is expected. The engine then spins on the
//! ring for as long as that pays: see [`nightcore_runtime::ipc::yielding_spin`]. Meanwhile the
//! worker need not ring its bell.

use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::desk::Desk;
use nightcore_runtime::ipc::ring::{RingFile, RingReader, RingWriter, Sent, Side};
use nightcore_runtime::ipc::yielding_spin::{MAX_YIELDING_SPIN_NS, SpinPolicy, SpinResult};
use std::cell::{Cell, RefCell};

/// Both rings of a channel.
pub struct Rings {
    pub(super) outgoing: RefCell<RingWriter>,
    pub(super) incoming: RefCell<RingReader>,
    /// The worker's counters of direct calls; `None` before version 4 of the protocol.
    pub(super) desk: Option<Desk>,
    attention: Cell<Attention>,
    policy: RefCell<SpinPolicy>,
    /// Since when, in ns, the engine has expected a message without spinning for it.
    asleep_since: Cell<Option<u64>>,
}

/// Whether the engine polls the incoming ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attention {
    /// It does not: the worker rings the bell.
    Asleep,
    /// It polls this ring only because it expects a message in another one.
    Polls,
    /// It expects a message in this ring, and spins for this many more ns.
    Expects { for_ns: u64 },
}

impl Rings {
    /// Creates the engine's ends. The engine does not poll the ring yet, so the worker rings the
    /// bell.
    pub(super) fn new(file: RingFile) -> Rings {
        let (outgoing, incoming) = file.ends(Side::Engine);
        incoming.begin_wait();
        Rings {
            desk: Desk::of(&file),
            outgoing: RefCell::new(outgoing),
            incoming: RefCell::new(incoming),
            attention: Cell::new(Attention::Asleep),
            policy: RefCell::default(),
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

    /// Notes that a message is expected, and returns whether it pays to spin for it. If spinning
    /// has been in vain of late, it does not, and the engine waits for the bell.
    #[inline]
    pub(super) fn pays_to_poll(&self) -> bool {
        let spins = self.policy.borrow_mut().spins(now_ns);
        if !spins {
            self.asleep_since.set(Some(now_ns()));
        }
        spins
    }

    /// Starts to poll the ring. Returns false if the engine polled it already.
    pub(super) fn begin_polling(&self) -> bool {
        if self.attention.get() != Attention::Asleep {
            return false;
        }
        self.attention.set(Attention::Polls);
        self.incoming.borrow().end_wait();
        true
    }

    /// Notes that a message is expected in this ring, which the engine polls.
    #[inline]
    pub(super) fn expect(&self) {
        self.attention.set(Attention::Expects { for_ns: MAX_YIELDING_SPIN_NS });
    }

    /// Notes that the engine has polled for `spent_ns` and found nothing. Returns whether it still
    /// expects a message.
    pub(super) fn polled_in_vain(&self, spent_ns: u64) -> bool {
        let Attention::Expects { for_ns } = self.attention.get() else { return false };
        match for_ns.checked_sub(spent_ns).filter(|left| *left > 0) {
            Some(left) => {
                self.attention.set(Attention::Expects { for_ns: left });
                true
            }
            None => {
                self.give_up(SpinResult::NotFound);
                false
            }
        }
    }

    /// Notes that another thread computes on the engine's core, so that polling takes too long.
    pub(super) fn found_crowd(&self) {
        if let Attention::Expects { .. } = self.attention.get() {
            self.give_up(SpinResult::Crowded);
        }
    }

    fn give_up(&self, result: SpinResult) {
        self.policy.borrow_mut().learn(result, now_ns);
        self.attention.set(Attention::Polls);
    }

    /// Notes that a message has come. If the engine was spinning for it, `expects_more` is asked
    /// whether the worker is to send another one.
    pub(super) fn found(&self, expects_more: impl FnOnce() -> bool) {
        if let Attention::Expects { .. } = self.attention.get() {
            self.policy.borrow_mut().learn(SpinResult::Found, now_ns);
            match expects_more() {
                true => self.expect(),
                false => self.attention.set(Attention::Polls),
            }
        }
    }

    /// Notes that the bell was rung. If the engine waited for a message without spinning, that wait
    /// is over.
    pub(super) fn rung(&self, now: u64) {
        if let Some(since) = self.asleep_since.take() {
            self.policy.borrow_mut().slept(now - since);
        }
    }

    /// Makes the worker ring its bell again, unless the engine polls the ring. Returns false if
    /// there is a message already.
    pub(super) fn has_bell_rung(&self) -> bool {
        self.attention.get() != Attention::Asleep || self.incoming.borrow().begin_wait()
    }

    /// Stops polling, unless there is a message. Returns whether it has stopped.
    pub(super) fn stop_polling(&self) -> bool {
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
