//! The rings at which the engine looks.
//!
//! While a message is expected from one of them, the engine looks at all of them. When nothing is
//! expected any more the engine sleeps, and every worker rings its bell: a thousand of them cost
//! nothing.

use super::channel::Channel;
use super::rings::{Attention, Rings};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::look::{CROWDED_NS, TURN_NS, let_others_run, look_closely};
use nightcore_runtime::ipc::ring::this_core;
use std::rc::Rc;
use tokio::sync::Notify;

/// Most channels that are looked at: each costs every look. More of them are likely to keep the
/// engine busy anyway.
const MAX_LOOKED_AT: usize = 16;
/// How often the engine looks before it lets others run, when a worker on another core is to send
/// something: for about as long as that takes.
const LOOKS_ELSEWHERE: u32 = 8;
/// The same as [`CROWDED_NS`], in ns, while handlers are known to compute. The engine then waits
/// behind them after each yield, and nothing that comes from clients wakes it: the kernel soon runs
/// a thread that has slept, and not one that has yielded.
const COMPUTING_NS: u64 = 20_000;
/// For how long it is remembered that handlers compute, ns. It is measured more often while calls
/// wait for them.
const REMEMBERED_NS: u64 = 100_000_000;

/// The channels at whose rings the engine looks.
#[derive(Default)]
pub struct Looking {
    channels: Vec<Rc<Channel>>,
    /// Wakes the task that looks.
    some: Rc<Notify>,
    /// When they were looked at last, ns.
    last_look: u64,
    /// Counts the events that came in other ways.
    other_work: u64,
    /// Until when handlers are taken to compute, ns.
    computing_until: u64,
}

/// What came of one look at all channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Some have messages: see [`Looking::with_message`].
    Found,
    /// None has.
    Nothing,
    /// There is nothing to look for.
    Over,
}

impl Looking {
    /// Wakes the task that looks, whenever there is something to look for.
    pub(crate) fn waker(&self) -> Rc<Notify> {
        self.some.clone()
    }

    /// Something came by another way than by looking.
    #[inline]
    pub(crate) fn note_other_work(&mut self) {
        self.other_work += 1;
    }

    /// Handlers compute, so that yielding takes long.
    pub(crate) fn note_computing(&mut self, now: u64) {
        self.computing_until = now + REMEMBERED_NS;
    }

    /// How often something came by another way: while that goes on there is work here, and nobody
    /// else is let run.
    pub(crate) fn other_work(&self) -> u64 {
        self.other_work
    }

    /// A worker was sent something: its next message is expected.
    #[inline]
    pub(crate) fn expect(&mut self, channel: &Rc<Channel>) {
        let Some(rings) = channel.rings() else { return };
        if channel.is_closed() {
            return;
        }
        if rings.attention() == Attention::Asleep {
            if !rings.pays_to_look() {
                return;
            }
            self.begin(channel, rings);
        }
        rings.expect();
    }

    fn begin(&mut self, channel: &Rc<Channel>, rings: &Rings) {
        if !rings.begin_looking() {
            return;
        }
        if self.channels.len() >= MAX_LOOKED_AT
            && let Some(at) = self.channels.iter().position(may_sleep)
        {
            self.channels.swap_remove(at);
        }
        self.channels.push(channel.clone());
        self.some.notify_one();
    }

    /// The messages that a bell was rung for have been taken: the worker is to ring again, unless
    /// the engine looks at the ring. If there is one more message it has its turn.
    pub(crate) fn await_bell(&mut self, channel: &Rc<Channel>) {
        if let Some(rings) = channel.rings()
            && !rings.has_bell_rung()
        {
            self.begin(channel, rings);
        }
    }

    /// A channel is closed. What lies in its ring would be looked at for ever, as nobody takes it.
    pub(crate) fn forget(&mut self, channel: &Rc<Channel>) {
        self.channels.retain(|looked_at| !Rc::ptr_eq(looked_at, channel));
    }

    /// Looks once at all channels.
    pub(crate) fn look(&mut self) -> Turn {
        let channels = &self.channels;
        let here = this_core();
        let is_elsewhere = |channel: &Rc<Channel>| {
            channel.rings().is_some_and(|rings| {
                matches!(rings.attention(), Attention::Expects { .. })
                    && rings.incoming.borrow().writer_core() != here
            })
        };
        // A worker on this core runs only when it is let.
        let looks = if channels.iter().any(is_elsewhere) { LOOKS_ELSEWHERE } else { 1 };
        if look_closely(looks, || channels.iter().any(has_message)) {
            return Turn::Found;
        }
        self.forget_late(now_ns())
    }

    /// The next channel with a message, from place `at` on, which is moved behind it.
    pub(crate) fn with_message(&self, at: &mut usize) -> Option<Rc<Channel>> {
        let rest = self.channels.get(*at..)?;
        let found = rest.iter().position(has_message)?;
        *at += found + 1;
        Some(rest[found].clone())
    }

    /// Stops looking for messages that are late, and at all channels when nothing is expected.
    fn forget_late(&mut self, now: u64) -> Turn {
        let mut expected = false;
        let spent = (now - self.last_look).min(TURN_NS);
        self.last_look = now;
        for rings in self.channels.iter().filter_map(|channel| channel.rings()) {
            expected |= rings.looked_in_vain(spent);
        }
        if expected { Turn::Nothing } else { self.stop() }
    }

    /// Has every worker ring again; one that has sent a message by now is heard first.
    fn stop(&mut self) -> Turn {
        self.channels.retain(|channel| !may_sleep(channel));
        if self.channels.is_empty() { Turn::Over } else { Turn::Nothing }
    }

    /// Lets workers run on this core. If it takes long, somebody computes here, and a worker would
    /// find the engine asleep sooner than looking.
    pub(crate) fn let_others_run(&self) {
        let before = now_ns();
        let_others_run();
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

/// Stops looking at a channel, unless it has a message.
fn may_sleep(channel: &Rc<Channel>) -> bool {
    channel.rings().is_none_or(|rings| channel.is_closed() || rings.stop_looking())
}
