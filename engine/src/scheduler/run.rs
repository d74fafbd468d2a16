//! Runs calls: takes them out of the queue, lends their slots while they wait, and resumes them.

use super::Scheduler;
use super::action::Action;
use super::turn::Turn;
use crate::calls::{Caller, Held, Outcome, Parent, Share, Start};
use crate::functions::Lane;
use crate::functions::cores::Reading;
use crate::ids::{CallNumber, ChannelKey, ContainerKey, Fingerprint, FunctionId};
use nightcore_runtime::protocol::Broken;

/// A queued call that is next in its lane.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub function: FunctionId,
    pub call: CallNumber,
    pub queued_at: u64,
    pub lane: Lane,
    pub input: Option<Fingerprint>,
}

impl<P: Share, R> Scheduler<P, R> {
    fn head(&mut self, function: FunctionId) -> Option<Head> {
        let calls = &self.calls;
        let is_queued = |call| calls.get(call).is_some_and(|call| call.is_queued());
        let f = &mut self.functions[function];
        let (id, lane) = f.queue.head(f.slots.may_open_outside(), is_queued)?;
        let call = calls.get(id)?;
        let (queued_at, input) = (call.queued_at(), call.input());
        Some(Head { function, call: id, queued_at, lane, input })
    }

    /// Starts the calls of a function that may run. Waiting calls that have an answer come first,
    /// then queued ones.
    #[inline]
    pub(super) fn pump(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        let f = &self.functions[function];
        if f.slots.load().queued() > 0 || f.slots.has_resumes() {
            let is_full = self.start_waiting(turn, function);
            // Handlers are told before their slots are looked for, so that none begins to wait
            // unseen.
            self.tell_queued(turn, function, is_full);
            if is_full {
                self.find_slots(turn, function);
            }
        } else if f.told().is_queued {
            self.tell_queued(turn, function, false);
        }
    }

    /// Does the work of [`Scheduler::pump`]. Returns whether slots are missing.
    fn start_waiting(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) -> bool {
        let now = turn.now;
        if self.functions[function].slots.are_kept() {
            self.free_slots_of_survivors(now, function);
        }
        loop {
            let f = &mut self.functions[function];
            if let Some(call) = f.slots.next_resume() {
                self.resume(turn, call);
                continue;
            }
            if f.slots.has_resumes() {
                return true;
            }
            let Some(head) = self.head(function) else { return false };
            if self.end_quarantined(turn, head) {
                continue;
            }
            let f = &mut self.functions[function];
            if !f.slots.is_free() {
                return true;
            }
            if f.running_here() >= f.limit(now, Some(head.queued_at)) {
                // The end of a call checks again, too. This covers limits that rise while no call
                // ends.
                if let Some(at) = f.concurrency.next_change_ns(Some(head.queued_at)) {
                    self.upkeep.recheck_at(function, at);
                }
                let f = &mut self.functions[function];
                f.cores.nothing_waits();
                // Handlers that wait for direct calls count as running, and may be waiting for this
                // call.
                return f.queue.has_nested();
            }
            if f.bound().is_some_and(|bound| f.running_here() >= bound) {
                self.hold(turn, function);
                return self.functions[function].queue.has_nested();
            }
            let alone_for = self.alone_for(now, head);
            let Some((container, channel)) = self.choose(now, function, alone_for.is_some()) else {
                if alone_for.is_some() && self.wait_to_be_alone(now, head) {
                    return false;
                }
                self.maintain_pauses(now, function);
                if !self.want_workers(turn, function) && head.lane == Lane::Nested {
                    self.no_worker_can_come(turn, head.call);
                    continue;
                }
                return false;
            };
            self.start(turn, head, (container, channel));
            if let Some(alone_for) = alone_for {
                self.pool[container].begin_alone(head.call, now.saturating_add(alone_for));
            }
        }
    }

    /// Holds a queued call back, because as many handlers run as the cores can serve.
    fn hold(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        let hold = self.functions[function].cores.hold(turn.now);
        self.upkeep.recheck_at(function, hold.recheck_at);
        if hold.reads {
            turn.push(Action::Read { function });
        }
    }

    /// Takes a reading of the function's processes, which decides how many of its calls may run.
    pub(super) fn read(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
        reading: Option<Reading>,
    ) {
        let f = &mut self.functions[function];
        match reading {
            Some(reading) => f.cores.read(turn.now, reading, f.running_here()),
            None => f.cores.give_up(),
        }
        self.pump(turn, function);
    }

    /// Finds slots and workers for queued calls: waiting handlers lend their slots, and a lease is
    /// taken back.
    fn find_slots(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        // The board comes first: a handler that does not see the new notice is seen waiting.
        self.tell_queued(turn, function, true);
        self.lend_waiting(turn, function);
        if self.functions[function].lent > 0 {
            self.recall_one(turn, function);
        }
    }

    /// Chooses a worker: of the containers with room the one with the fewest running calls, and in
    /// it the most recently idle worker. With `alone`, only containers without running calls are
    /// considered.
    fn choose(
        &self,
        now: u64,
        function: FunctionId,
        alone: bool,
    ) -> Option<(ContainerKey, ChannelKey)> {
        let mut chosen: Option<((bool, u32), ContainerKey, ChannelKey)> = None;
        for (key, container) in self.pool.containers(function) {
            let running = container.load().running();
            if alone && running > 0 {
                continue;
            }
            let Some(channel) = container.free_worker(now) else { continue };
            let rank = (!container.membership().is_attached(), running);
            if chosen.is_none_or(|(best, ..)| rank < best) {
                chosen = Some((rank, key, channel));
            }
        }
        chosen.map(|(_, key, channel)| (key, channel))
    }

    fn start(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        head: Head,
        (container, channel): (ContainerKey, ChannelKey),
    ) {
        if self.dispatch(turn, head.call, (container, channel)) {
            self.functions[head.function].call_started(turn.now, head.lane);
        }
    }

    /// Sends a queued call to a worker. Returns false if there is no such call.
    pub(super) fn dispatch(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        id: CallNumber,
        (container, channel): (ContainerKey, ChannelKey),
    ) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return false };
        let f = &mut self.functions[call.function()];
        let start = Start {
            channel,
            container,
            now: turn.now,
            retries: f.spec().retries,
            without_deadline: self.pool[container].membership().is_attached(),
        };
        let loads = self.pool.loads(container, channel, f.slots.load_mut());
        let Some(payload) = call.start(start, loads) else { return false };
        self.pool[container].workers.began_call();
        let (root, depth, deadline) = (call.root(), call.depth(), call.deadline());
        let (parent, process) = match call.caller() {
            Some(Caller::Call(parent)) => (Some(parent.call), None),
            Some(Caller::Process { channel, .. }) => (None, Some(*channel)),
            _ => (None, None),
        };
        let caller = match process {
            Some(channel) => self.function_of(channel),
            None => parent.and_then(|parent| self.calls.get(parent)).map(|call| call.function()),
        };
        turn.push(Action::Dispatch { channel, call: id, root, depth, caller, deadline, payload });
        true
    }

    /// Lends the slot of a call whose handler waits for an internal call. Returns false if it was
    /// lent already, or the call has ended.
    pub(super) fn lend(&mut self, turn: &mut Turn<'_, P, R>, id: CallNumber) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return false };
        let Some(at) = call.dispatched() else { return false };
        let load = self.functions[call.function()].slots.load_mut();
        let lends = call.lend(turn.now, self.pool.loads(at.container, at.channel, load));
        if lends {
            self.pool[at.container].end_alone(id);
        }
        lends
    }

    /// Notes that a handler waits for any of its internal calls.
    pub(super) fn waits(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        channel: ChannelKey,
        id: CallNumber,
        seen: u64,
    ) -> Result<(), Broken> {
        let call = self.run_by(channel, id)?;
        if call.answers() == seen && !call.children().is_empty() {
            let function = call.function();
            // Nothing has changed if no slot became free.
            if self.lend(turn, id) {
                self.pump(turn, function);
            }
        }
        Ok(())
    }

    /// Delivers the outcome of an internal call to the call that made it, once that call has a slot
    /// to go on with.
    pub(super) fn deliver(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        parent: Parent,
        callee: FunctionId,
        outcome: Outcome<P>,
    ) {
        let Parent { call: id, tag, .. } = parent;
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(at) = call.dispatched() else { return };
        let channel = at.channel;
        let f = &mut self.functions[call.function()];
        // A handler in an event loop goes on with each answer, but counts as waiting until its last
        // one.
        let goes_on = !at.waits
            || (!call.children().is_empty() && !self.pool[at.container].workers.are_threads());
        // Nearly always a slot is free, and no other call waits for it.
        let is_free = !call.holds_answers() && !f.slots.has_resumes() && f.slots.is_free();
        if goes_on || is_free {
            call.count_answers(1);
            if !goes_on {
                let load = f.slots.load_mut();
                call.resume(turn.now, self.pool.loads(at.container, channel, load));
            }
            turn.push(Action::Deliver { channel, tag, function: Some(callee), outcome });
            return;
        }
        if call.hold(Held::Answer { tag, function: callee, outcome }) {
            f.slots.push_resume(id);
            let function = call.function();
            self.pump(turn, function);
        }
    }

    /// Delivers the held answers of an event loop's call without a slot, as the call makes another
    /// call and goes on waiting. Otherwise they would take a slot that the new call may need.
    pub(super) fn release_held(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        channel: ChannelKey,
        id: CallNumber,
    ) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(at) = call.dispatched() else { return };
        if !at.waits || self.pool[at.container].workers.are_threads() {
            return;
        }
        let held = call.take_held();
        call.count_answers(answers_in(&held));
        Self::deliver_held(turn, (channel, id), held);
    }

    /// Resumes a call that has answers, as a slot is free for it.
    fn resume(&mut self, turn: &mut Turn<'_, P, R>, id: CallNumber) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(at) = call.dispatched() else { return };
        if !call.holds_answers() {
            return;
        }
        let load = self.functions[call.function()].slots.load_mut();
        let held = call.resume(turn.now, self.pool.loads(at.container, at.channel, load));
        call.count_answers(answers_in(&held));
        Self::deliver_held(turn, (at.channel, id), held);
    }

    fn deliver_held(
        turn: &mut Turn<'_, P, R>,
        (channel, call): (ChannelKey, CallNumber),
        held: impl IntoIterator<Item = Held<P>>,
    ) {
        for held in held {
            turn.push(match held {
                Held::Answer { tag, function, outcome } => {
                    Action::Deliver { channel, tag, function: Some(function), outcome }
                }
                Held::Slot => Action::Resumed { channel, call },
            });
        }
    }
}

/// Counts the answers among these.
fn answers_in<P>(held: &[Held<P>]) -> usize {
    held.iter().filter(|held| matches!(held, Held::Answer { .. })).count()
}
