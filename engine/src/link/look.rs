//! Looking at rings.
//!
//! When a worker of a ring channel is sent something, its next message is expected, and is looked for as long as that pays:
//! see [`nightcore_runtime::ipc::look`]. Meanwhile the worker need not ring. When nothing is expected any more the
//! engine sleeps, and every channel rings: a thousand of them cost nothing.

use super::channel::{Channel, Ending};
use super::hub::{Hub, HubHandle};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::look::{
    CROWDED_NS, Looked, MAX_LOOK_NS, TURN_NS, let_others_run, look_closely,
};
use nightcore_runtime::ipc::ring::this_core;
use nightcore_runtime::protocol::Broken;
use nightcore_runtime::protocol::control::Mode;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use tokio::sync::Notify;

/// Most channels that are looked at: each costs every look. More of them are likely to keep the engine busy anyway.
const MAX_LOOKED_AT: usize = 16;
/// How often the engine looks before it lets others run, when a worker on another core is to send something: for as long as
/// that takes about.
const LOOKS_ELSEWHERE: u32 = 8;
/// Most messages of one ring that are handled before others have their turn.
const MAX_MESSAGES_A_TURN: usize = 32;

/// The channels that are looked at.
#[derive(Default)]
pub(super) struct LookedAt {
    channels: Vec<Rc<Channel>>,
    /// Wakes the task that looks.
    some: Rc<Notify>,
    /// When they were looked at last, ns.
    last_look: u64,
    /// Counts what has come by other ways, so that nobody else is let run while there is work here.
    pub(super) other_work: u64,
}

impl LookedAt {
    /// A channel is closed. What lies in its ring would be looked at for ever, as nobody takes it.
    pub(super) fn forget(&mut self, channel: &Rc<Channel>) {
        self.channels.retain(|looked_at| !Rc::ptr_eq(looked_at, channel));
    }
}

/// What came of one look at all of them.
enum Turn {
    /// There were messages.
    Found,
    /// There were none.
    Nothing,
    /// There is nothing to look for.
    Over,
}

/// Looks at rings for ever, whenever something is expected.
pub async fn look_at_rings(hub: HubHandle) {
    let some = hub.borrow().looked_at.some.clone();
    loop {
        some.notified().await;
        let mut other_work = 0;
        poll_fn(|context| {
            let mut hub = hub.borrow_mut();
            match hub.look() {
                Turn::Over => return Poll::Ready(()),
                Turn::Found => {}
                Turn::Nothing => {
                    if other_work == hub.looked_at.other_work {
                        hub.let_others_run();
                    }
                    other_work = hub.looked_at.other_work;
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl Hub {
    /// A worker was sent something: its next message is expected.
    pub(super) fn expect(&mut self, channel: &Rc<Channel>) {
        let Some(rings) = &channel.rings else { return };
        if channel.closed.get() {
            return;
        }
        if !rings.looked_at.get() {
            if !rings.patience.borrow_mut().looks(now_ns) {
                rings.asleep_since.set(now_ns());
                return;
            }
            self.begin_looking(channel);
        }
        rings.look_for_ns.set(MAX_LOOK_NS);
    }

    fn begin_looking(&mut self, channel: &Rc<Channel>) {
        let Some(rings) = &channel.rings else { return };
        if rings.looked_at.replace(true) {
            return;
        }
        rings.incoming.borrow().end_wait();
        let looked_at = &mut self.looked_at;
        if looked_at.channels.len() >= MAX_LOOKED_AT
            && let Some(at) = looked_at.channels.iter().position(may_sleep)
        {
            looked_at.channels.swap_remove(at);
        }
        looked_at.channels.push(channel.clone());
        looked_at.some.notify_one();
    }

    /// The bell of a ring was rung.
    pub(super) fn rung(&mut self, channel: &Rc<Channel>) -> Result<(), Broken> {
        self.looked_at.other_work += 1;
        channel.send_unsent();
        let now = now_ns();
        if let Some(rings) = &channel.rings
            && let since @ 1.. = rings.asleep_since.replace(0)
        {
            rings.patience.borrow_mut().slept(now - since);
        }
        let taken = self.take_from_ring(now, channel);
        self.run_actions(now);
        taken?;
        if let Some(rings) = &channel.rings
            && !rings.looked_at.get()
            && !rings.incoming.borrow().begin_wait()
        {
            // There is more; it has its turn.
            self.begin_looking(channel);
        }
        Ok(())
    }

    /// Handles what lies in a channel's ring, up to a bound; how many messages it was.
    pub(super) fn take_from_ring(
        &mut self,
        now: u64,
        channel: &Rc<Channel>,
    ) -> Result<usize, Broken> {
        let Some(rings) = &channel.rings else { return Ok(0) };
        let mut reader = rings.incoming.borrow_mut();
        let mut taken = 0;
        while taken < MAX_MESSAGES_A_TURN && !channel.closed.get() {
            let Some(message) = reader.take()? else { break };
            self.message(now, channel, &message)?;
            if reader.give_back() {
                channel.ring_bell();
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// Looks once at all channels and handles what there is.
    fn look(&mut self) -> Turn {
        let channels = &self.looked_at.channels;
        let has_message = |channel: &Rc<Channel>| {
            channel.rings.as_ref().is_some_and(|rings| rings.incoming.borrow().has_message())
        };
        let here = this_core();
        let is_elsewhere = |channel: &Rc<Channel>| {
            channel.rings.as_ref().is_some_and(|rings| {
                rings.look_for_ns.get() != 0 && rings.incoming.borrow().writer_core() != here
            })
        };
        // Who shares this core runs only when it is let.
        let looks = if channels.iter().any(is_elsewhere) { LOOKS_ELSEWHERE } else { 1 };
        if !look_closely(looks, || channels.iter().any(has_message)) {
            return self.forget_late(now_ns());
        }
        let now = now_ns();
        let mut at = 0;
        while let Some(channel) = self.looked_at.channels.get(at) {
            at += 1;
            if !has_message(channel) {
                continue;
            }
            let channel = channel.clone();
            let taken = self.take_from_ring(now, &channel);
            self.learn(&channel);
            if let Err(broken) = taken {
                self.channel_ended(&channel, Ending::Broken(broken));
            }
        }
        self.run_actions(now);
        Turn::Found
    }

    /// A message that was looked for has come.
    fn learn(&self, channel: &Rc<Channel>) {
        let Some(rings) = &channel.rings else { return };
        if rings.look_for_ns.get() == 0 {
            return;
        }
        rings.patience.borrow_mut().learn(Looked::Found, now_ns);
        // A thread has said what it was expected to say; a loop's other calls may go on.
        let more = channel.mode == Mode::EventLoop
            && channel.key.get().is_some_and(|key| self.dispatch.has_calls(key));
        rings.look_for_ns.set(if more { MAX_LOOK_NS } else { 0 });
    }

    /// Stops to look at channels whose message is late, and at all of them when nothing is expected.
    fn forget_late(&mut self, now: u64) -> Turn {
        let mut expected = false;
        let spent = (now - self.looked_at.last_look).min(TURN_NS);
        self.looked_at.last_look = now;
        for rings in self.looked_at.channels.iter().filter_map(|channel| channel.rings.as_ref()) {
            let left = rings.look_for_ns.get();
            if left == 0 {
                continue;
            }
            rings.look_for_ns.set(left.saturating_sub(spent));
            if left <= spent {
                rings.patience.borrow_mut().learn(Looked::InVain, now_ns);
            } else {
                expected = true;
            }
        }
        if expected { Turn::Nothing } else { self.stop_looking() }
    }

    /// Every channel is to ring again; one that has a message now is handled first.
    fn stop_looking(&mut self) -> Turn {
        self.looked_at.channels.retain(|channel| !may_sleep(channel));
        if self.looked_at.channels.is_empty() { Turn::Over } else { Turn::Nothing }
    }

    /// Lets workers run on this core. If it takes long, somebody computes here, and a worker would find the engine asleep sooner
    /// than looking.
    fn let_others_run(&mut self) {
        let before = now_ns();
        let_others_run();
        if now_ns() - before <= CROWDED_NS {
            return;
        }
        for rings in self.looked_at.channels.iter().filter_map(|channel| channel.rings.as_ref()) {
            if rings.look_for_ns.get() != 0 {
                rings.patience.borrow_mut().learn(Looked::Crowded, now_ns);
                rings.look_for_ns.set(0);
            }
        }
    }
}

/// Stops to look at a channel, unless it has a message.
fn may_sleep(channel: &Rc<Channel>) -> bool {
    let Some(rings) = &channel.rings else { return true };
    let reader = rings.incoming.borrow();
    let sleeps = channel.closed.get() || reader.begin_wait();
    if sleeps {
        rings.looked_at.set(false);
        rings.look_for_ns.set(0);
    } else {
        reader.end_wait();
    }
    sleeps
}
