//! Calls under way.

use super::container::ChannelKey;
use super::function::FunctionId;
use super::input::Fingerprint;
use slab::Slab;
use std::collections::VecDeque;

use super::action::Outcome;

/// A call's number in messages: its place in the table and the generation of that place, so that a number is never
/// used twice.
pub type CallId = u64;

/// Who waits for the end of a call.
#[derive(Debug)]
pub(super) enum Caller<R> {
    /// A client, by the gateway.
    Gateway(R),
    /// Another call, whose worker knows this one by `tag`.
    Call { parent: CallId, tag: u64 },
    /// Nobody any more: it was told that the call is over.
    Nobody,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Dispatched(ChannelKey),
}

#[derive(Debug)]
pub(super) struct Call<P, R> {
    pub(super) function: FunctionId,
    pub(super) caller: Caller<R>,
    /// What it carries, until it is dispatched.
    pub(super) payload: Option<P>,
    /// Tells that from others, if its function has a quarantine.
    pub(super) input: Option<Fingerprint>,
    /// Until when it waits for a container that it has to itself, ns; 0: it need not, or its turn has not come.
    pub(super) alone_by: u64,
    /// The same, while it runs and may be sent again.
    pub(super) kept: Option<P>,
    /// How often it was sent again.
    pub(super) retried: u32,
    /// It was dispatched and never reached its worker.
    pub(super) surely_not_begun: bool,
    pub(super) bytes: u64,
    pub(super) depth: u32,
    /// The call from outside that it is below; 0 if it is one.
    pub(super) root: CallId,
    pub(super) deadline: u64,
    pub(super) stage: Stage,
    pub(super) queued_at: u64,
    pub(super) dispatched_at: u64,
    /// Whether its handler waits for an internal call, and since when.
    pub(super) waiting_since: Option<u64>,
    pub(super) waited_ns: u64,
    /// What internal calls, and theirs, spent in queues.
    pub(super) queued_below_ns: u64,
    /// Internal calls under way.
    pub(super) children: Vec<CallId>,
    /// Its place among its parent's children.
    pub(super) sibling_index: usize,
    /// Answers given to its worker for its internal calls.
    pub(super) answers: u64,
    /// Answers that wait for a slot.
    pub(super) held: VecDeque<(u64, Option<FunctionId>, Outcome<P>)>,
    /// Whether its worker was told that it is cancelled.
    pub(super) cancelled: bool,
    /// Whether its deadline has passed.
    pub(super) expired: bool,
    /// Whether it was still running a grace period after its deadline.
    pub(super) stuck: bool,
}

/// All calls under way, by number.
#[derive(Debug)]
pub(super) struct Calls<P, R> {
    slots: Slab<(u32, Call<P, R>)>,
    generation: u32,
}

impl<P, R> Default for Calls<P, R> {
    fn default() -> Self {
        Calls { slots: Slab::new(), generation: 0 }
    }
}

impl<P, R> Calls<P, R> {
    pub(super) fn insert(&mut self, call: Call<P, R>) -> CallId {
        // Never 0, so that no call's number is 0, which means "none" in a cancel word.
        self.generation = self.generation.wrapping_add(1).max(1);
        let index = self.slots.insert((self.generation, call));
        u64::from(self.generation) << 32 | index as u64
    }

    pub(super) fn get(&self, id: CallId) -> Option<&Call<P, R>> {
        self.slots
            .get(id as u32 as usize)
            .filter(|(generation, _)| u64::from(*generation) == id >> 32)
            .map(|(_, c)| c)
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call<P, R>> {
        let slot = self.slots.get_mut(id as u32 as usize);
        slot.filter(|(generation, _)| u64::from(*generation) == id >> 32).map(|(_, c)| c)
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Call<P, R>> {
        self.get(id)?;
        Some(self.slots.remove(id as u32 as usize).1)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
