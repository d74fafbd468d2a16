//! Polls the rings on which the engine spins.
//!
//! While a message is expected in one of them, the engine polls all of them. When no message is
//! expected any more, the engine parks, and every worker rings its bell: then a thousand idle
//! workers cost nothing.

use super::channel::Channel;
use super::rings::{Attention, Rings};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::ring::this_core;
use nightcore_runtime::ipc::yielding_spin::{CROWDED_NS, TURN_NS, check_closely, yield_core};
use std::rc::Rc;
use tokio::sync::Notify;

/// Most channels that the engine polls. Every poll pays for each of them, and with more channels
/// the engine is likely to be busy anyway.
const MAX_POLLED: usize = 16;
/// How often the engine polls before it yields its core, if a message is expected from a worker on
/// another core. This takes about as long as such a message does.
const CHECKS_ELSEWHERE: u32 = 8;
/// The limit of a yield, in ns, that replaces [`CROWDED_NS`] while handlers are known to compute.
/// The engine then waits behind the handlers after each yield, and events from clients do not
/// shorten that wait: the kernel soon runs a thread that wakes from sleep, but not one that has
/// yielded.
const COMPUTING_NS: u64 = 20_000;
/// For how long, in ns, the engine remembers that handlers compute. While calls wait for them, this
/// is measured more often.
const REMEMBERED_NS: u64 = 100_000_000;

/// The channels whose rings the engine polls.
#[derive(Default)]
pub struct Poller {
    channels: Vec<Rc<Channel>>,
    /// Wakes the task that spins.
    some: Rc<Notify>,
    /// When the channels were last polled, ns.
    last_poll: u64,
    /// Counts the events that did not come by a ring.
    other_work: u64,
    /// The time until which handlers are assumed to compute, ns.
    computing_until: u64,
}

/// The result of polling all channels once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollResult {
    /// Some channels have messages: see [`Poller::with_message`].
    Found,
    /// No channel has a message.
    Nothing,
    /// No message is expected any more.
    Over,
}

impl Poller {
    /// Wakes the task that spins, whenever a message is expected.
    pub(crate) fn waker(&self) -> Rc<Notify> {
        self.some.clone()
    }

    /// Counts an event that did not come by a ring.
    #[inline]
    pub(crate) fn note_other_work(&mut self) {
        self.other_work += 1;
    }

    /// Notes that handlers compute, so that a yield takes long.
    pub(crate) fn note_computing(&mut self, now: u64) {
        self.computing_until = now + REMEMBERED_NS;
    }

    /// The number of events that did not come by a ring. While it grows, the engine has work and
    /// does not yield its core.
    pub(crate) fn other_work(&self) -> u64 {
        self.other_work
    }

    /// Notes that a worker was sent something, so that its next message is expected.
    #[inline]
    pub(crate) fn expect(&mut self, channel: &Rc<Channel>) {
        let Some(rings) = channel.rings() else { return };
        if channel.is_closed() {
            return;
        }
        if rings.attention() == Attention::Asleep {
            if !rings.pays_to_poll() {
                return;
            }
            self.begin(channel, rings);
        }
        rings.expect();
    }

    fn begin(&mut self, channel: &Rc<Channel>, rings: &Rings) {
        if !rings.begin_polling() {
            return;
        }
        if self.channels.len() >= MAX_POLLED
            && let Some(at) = self.channels.iter().position(may_sleep)
        {
            self.channels.swap_remove(at);
        }
        self.channels.push(channel.clone());
        self.some.notify_one();
    }

    /// Makes the worker ring its bell for its next message, unless the engine polls the ring. To be
    /// called when the messages that the bell was rung for have been taken. If there is one more
    /// message by now, the engine polls the ring and finds it.
    pub(crate) fn await_bell(&mut self, channel: &Rc<Channel>) {
        if let Some(rings) = channel.rings()
            && !rings.has_bell_rung()
        {
            self.begin(channel, rings);
        }
    }

    /// Forgets a closed channel. Nobody takes the messages in its ring, so they would be found for
    /// ever.
    pub(crate) fn forget(&mut self, channel: &Rc<Channel>) {
        self.channels.retain(|polled| !Rc::ptr_eq(polled, channel));
    }

    /// Polls all channels once.
    pub(crate) fn poll(&mut self) -> PollResult {
        let channels = &self.channels;
        let here = this_core();
        let is_elsewhere = |channel: &Rc<Channel>| {
            channel.rings().is_some_and(|rings| {
                matches!(rings.attention(), Attention::Expects { .. })
                    && rings.incoming.borrow().writer_core() != here
            })
        };
        // A worker on this core runs only when the engine yields.
        let checks = if channels.iter().any(is_elsewhere) { CHECKS_ELSEWHERE } else { 1 };
        if check_closely(checks, || channels.iter().any(has_message)) {
            return PollResult::Found;
        }
        self.forget_late(now_ns())
    }

    /// Finds the next channel with a message, from index `at` on. Moves `at` behind it.
    pub(crate) fn with_message(&self, at: &mut usize) -> Option<Rc<Channel>> {
        let rest = self.channels.get(*at..)?;
        let found = rest.iter().position(has_message)?;
        *at += found + 1;
        Some(rest[found].clone())
    }

    /// Gives up on messages that are late. Stops polling all channels when no message is expected.
    fn forget_late(&mut self, now: u64) -> PollResult {
        let mut expected = false;
        let spent = (now - self.last_poll).min(TURN_NS);
        self.last_poll = now;
        for rings in self.channels.iter().filter_map(|channel| channel.rings()) {
            expected |= rings.polled_in_vain(spent);
        }
        if expected { PollResult::Nothing } else { self.stop() }
    }

    /// Makes every worker ring its bell again. A worker that has sent a message meanwhile is polled
    /// on, until its message is taken.
    fn stop(&mut self) -> PollResult {
        self.channels.retain(|channel| !may_sleep(channel));
        if self.channels.is_empty() { PollResult::Over } else { PollResult::Nothing }
    }

    /// Yields, so that workers can run on this core. If the yield takes long, another thread
    /// computes on this core. The engine then parks: a worker's bell wakes it sooner than its own
    /// polling would.
    pub(crate) fn yield_core(&self) {
        let before = now_ns();
        yield_core();
        let most = if before < self.computing_until { COMPUTING_NS } else { CROWDED_NS };
        if now_ns() - before <= most {
            return;
        }
        self.channels.iter().filter_map(|channel| channel.rings()).for_each(Rings::found_crowd);
    }
}

#[inline]
fn has_message(channel: &Rc<Channel>) -> bool {
    channel.rings().is_some_and(Rings::has_message)
}

/// Stops polling a channel, unless it has a message. Returns whether it has stopped.
fn may_sleep(channel: &Rc<Channel>) -> bool {
    channel.rings().is_none_or(|rings| channel.is_closed() || rings.stop_polling())
}
