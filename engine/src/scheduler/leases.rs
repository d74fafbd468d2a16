//! Grants and ends leases. The engine lends a worker to a container that calls the worker's
//! function often, so that calls between the two need no engine.
//!
//! For the scheduler a lease is one long call of the callee, which the worker runs until it is
//! recalled. So a lease counts against `max`, a container that exits waits for its end, and the
//! death of the worker ends it, as with any call. No call depends on a lease: a call without one
//! goes through the engine.

use super::Scheduler;
use super::action::Action;
use super::lease_table::Lease;
use super::turn::Turn;
use crate::calls::{Held, NewLease, Patience, Share, Start};
use crate::functions::Spec;
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nightcore_runtime::protocol::limits::MAX_LEASES_OF_LOOP;
use nightcore_runtime::protocol::{Broken, CancelReason, Failure, Status};

/// The most leases of all functions. Each takes about 25 KiB of memory, and a little of the
/// engine's time forty times a second.
const MAX_LEASES: usize = 1024;

/// Whether workers of a function may be lent. With a quarantine, with retries, or with only one
/// slot, the engine must see each call.
fn can_be_lent(spec: &Spec, mode: Mode) -> bool {
    spec.direct
        && spec.channel == ChannelKind::Ring
        && spec.quarantine_after.is_none()
        && spec.retries == 0
        && spec.max(Some(mode)) > 1
}

impl<P: Share, R> Scheduler<P, R> {
    /// Notes that the workers of a container can make and run direct calls.
    pub fn allow_direct(&mut self, container: ContainerKey) {
        self.pool[container].is_direct = true;
    }

    /// The worker that runs this call.
    pub fn channel_of(&self, call: CallNumber) -> Option<ChannelKey> {
        self.calls.get(call).and_then(|call| call.channel())
    }

    /// Counts a call of this container that came through the engine. If it is not the first one for
    /// a while, a worker is lent to the container.
    #[inline]
    pub(super) fn count_edge(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        caller: ContainerKey,
        callee: FunctionId,
    ) {
        let container = &mut self.pool[caller];
        if container.is_direct && container.edges.count(turn.now, callee) {
            self.lend_worker(turn, caller, callee);
        }
    }

    /// Lends an idle worker, if one can be spared.
    fn lend_worker(&mut self, turn: &mut Turn<'_, P, R>, caller: ContainerKey, callee: FunctionId) {
        let f = &self.functions[callee];
        let lent = f.lent;
        let caller_function = self.pool[caller].function();
        let may_call = self.functions[caller_function].spec().direct;
        let max = f.slots.max();
        let load = f.slots.load();
        // One slot is left for calls that come through the engine.
        let has_slot = lent + 1 < max && load.running() < max;
        if !may_call
            || !has_slot
            || load.queued() > 0
            || f.slots.has_resumes()
            || self.leases.len() >= MAX_LEASES
        {
            return;
        }
        let direct = self.pool.containers(callee).filter(|(key, c)| {
            c.is_direct
                && c.takes_calls(turn.now)
                && !c.membership().is_attached()
                && *key != caller
                && can_be_lent(f.spec(), c.workers.mode())
                && (c.workers.are_threads() || self.leases.of(*key) < MAX_LEASES_OF_LOOP)
        });
        let Some((key, _)) = direct.min_by_key(|(_, c)| c.load().running()) else { return };
        let container = &self.pool[key];
        let free = container.free_worker(turn.now);
        // Another worker is created for calls that still go through the engine, or for the next
        // lease.
        let is_last = container.workers.idle() <= 1 && container.workers.starting() == 0;
        if is_last && container.has_room(turn.now) && container.workers.ready().len() < max as usize
        {
            self.ask_for_worker(turn, key);
        }
        let Some(channel) = free else { return };
        let start =
            Start { channel, container: key, now: turn.now, retries: 0, without_deadline: true };
        let load = self.functions[callee].slots.load_mut();
        let loads = self.pool.loads(key, channel, load);
        let call = self.calls.lend(NewLease { function: callee, caller, start }, loads);
        self.pool[key].workers.began_call();
        let lease =
            Lease { call, callee, container: key, caller, caller_function, is_recalled: false };
        self.leases.all.push(lease);
        self.functions[callee].lent += 1;
        turn.push(Action::Lend { channel, lease: call, caller, callee });
    }

    /// Takes back the leases that `which` selects.
    fn recall(&mut self, turn: &mut Turn<'_, P, R>, which: impl Fn(&Lease) -> bool) {
        for lease in self.leases.all.iter_mut().filter(|lease| which(lease)) {
            if !std::mem::replace(&mut lease.is_recalled, true) {
                turn.push(Action::Recall { lease: lease.call });
            }
        }
    }

    /// Takes back one lease of a function whose queue needs a worker or a slot. The core chooses
    /// the lease, as it knows which leases are idle.
    pub(super) fn recall_one(&mut self, turn: &mut Turn<'_, P, R>, callee: FunctionId) {
        let of_callee = |lease: &&Lease| lease.callee == callee;
        let is_under_way = self.leases.all.iter().filter(of_callee).any(|lease| lease.is_recalled);
        if !is_under_way && self.leases.all.iter().any(|lease| lease.callee == callee) {
            turn.push(Action::RecallOne { callee });
        }
    }

    /// Notes that the core has chosen this lease and takes it back.
    pub(super) fn lease_recalled(&mut self, call: CallNumber) {
        if let Some(lease) = self.leases.all.iter_mut().find(|lease| lease.call == call) {
            lease.is_recalled = true;
        }
    }

    /// Takes back all leases in which a function is callee or caller, as its configuration has
    /// changed.
    pub(super) fn recall_of(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        self.recall(turn, |lease| lease.callee == function || lease.caller_function == function);
    }

    /// Takes back all lent workers of a container.
    pub(super) fn recall_in(&mut self, turn: &mut Turn<'_, P, R>, container: ContainerKey) {
        self.recall(turn, |lease| lease.container == container);
    }

    /// Takes back all workers that are lent to a container that has left.
    pub(super) fn recall_from(&mut self, turn: &mut Turn<'_, P, R>, caller: ContainerKey) {
        self.recall(turn, |lease| lease.caller == caller);
    }

    /// Forgets a lease that has ended.
    pub(super) fn lease_ended(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        (lease, callee): (CallNumber, FunctionId),
        failure: Option<Failure>,
    ) {
        self.leases.forget(lease);
        self.functions[callee].lent -= 1;
        turn.push(Action::LeaseOver { lease, failure });
    }

    /// Cancels the direct call under a lease, and all calls below it. The lease ends with it, so
    /// that later calls of its handler are refused.
    pub(super) fn lease_cancelled(&mut self, turn: &mut Turn<'_, P, R>, lease: CallNumber) {
        let failure = Failure::new(Status::Cancelled, Status::Cancelled.title());
        self.cancel(turn, lease, failure, CancelReason::Caller);
    }

    /// Notes that the direct call under a lease is stuck: it runs on after its grace period.
    pub(super) fn lease_stuck(&mut self, turn: &mut Turn<'_, P, R>, lease: CallNumber) {
        let Some(at) = self.calls.get(lease).and_then(|call| call.dispatched()) else { return };
        let failure = Failure::new(Status::DeadlineExceeded, Status::DeadlineExceeded.title());
        self.cancel(turn, lease, failure, CancelReason::Deadline);
        if let Some(call) = self.calls.get_mut(lease) {
            call.set_patience(Patience::Stuck);
            self.set_stuck(turn, lease, at.container);
        }
    }

    /// Publishes whether calls of a function are queued. Callers see this before they overtake the
    /// queue, and handlers before they wait without lending their slots.
    pub(super) fn tell_queued(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
        is_full: bool,
    ) {
        let f = &mut self.functions[function];
        let is_queued = f.slots.load().queued() > 0 || f.slots.has_resumes();
        let notice = Notice { is_queued, is_full: is_full && is_queued };
        if f.tell(notice) {
            turn.push(Action::Tell { function, notice });
        }
    }

    /// Lends the slot of a handler that waits for a direct call.
    pub(super) fn lent_slot(&mut self, turn: &mut Turn<'_, P, R>, call: CallNumber) {
        let Some(function) = self.calls.get(call).map(|call| call.function()) else { return };
        // `pump` runs only if a slot became free: it would otherwise ask for this slot without end.
        if self.lend(turn, call) {
            self.pump(turn, function);
        }
    }

    /// Gives a slot to a handler that lent its own and has the answer to its direct call now. If no
    /// slot is free, the handler waits for one.
    pub(super) fn wants_slot(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        channel: ChannelKey,
        id: CallNumber,
    ) -> Result<(), Broken> {
        self.run_by(channel, id)?;
        let Some(call) = self.calls.get_mut(id) else { return Ok(()) };
        let Some(at) = call.dispatched() else { return Ok(()) };
        let function = call.function();
        let f = &mut self.functions[function];
        let is_free = !call.holds_answers() && !f.slots.has_resumes() && f.slots.is_free();
        if !at.waits || is_free {
            if at.waits {
                let load = f.slots.load_mut();
                call.resume(turn.now, self.pool.loads(at.container, channel, load));
            }
            turn.push(Action::Resumed { channel, call: id });
        } else if call.hold(Held::Slot) {
            f.slots.push_resume(id);
            self.pump(turn, function);
        }
        Ok(())
    }

    /// Asks for the slots of this function's handlers that wait for direct calls, as calls of the
    /// function are queued.
    #[inline]
    pub(super) fn lend_waiting(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) {
        if self.leases.len() > 0 && self.leases.has_caller(function) {
            turn.push(Action::LendWaiting { function });
        }
    }
}
