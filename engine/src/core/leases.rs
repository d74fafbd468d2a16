//! Leases: the scheduler decides which worker is lent. This module makes the direct channel, takes
//! it back, and reads the worker's counters.

use super::state::Core;
use crate::engine_log::log;
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use crate::scheduler::Event;
use crate::transport::{Channel, Lending};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::control::{LeaseEnded, Leased, Lent};
use nightcore_runtime::protocol::desk_counts::DeskCounts;
use nightcore_runtime::protocol::{CancelReason, Failure, Status};

/// How often the counters of direct calls are read, in ns. It is half of the shortest time over
/// which rates are averaged.
const TICK_NS: u64 = 25_000_000;
/// How often the counters are read while no lease is used, in ns.
const IDLE_TICK_NS: u64 = 250_000_000;
/// A lease that has not been used for this long, in ns, is taken back. This is much longer than a
/// client's pause between two requests, and so short that a worker is not kept for nothing.
const IDLE_NS: u64 = 5_000_000_000;

impl Core {
    /// Makes the direct channel of a new lease.
    pub(super) fn lend(
        &mut self,
        now: u64,
        (channel, lease): (ChannelKey, CallNumber),
        caller: ContainerKey,
        callee: FunctionId,
    ) {
        if let Err(error) = self.make_direct_channel(now, (channel, lease), caller, callee) {
            let name = &self.scheduler.spec(callee).name;
            log(&format!("{name}: cannot make a direct channel: {error}"));
            let failure = Failure::new(Status::Unavailable, error.to_string());
            self.note(now, Event::Undeliverable { call: lease, failure });
        }
    }

    fn make_direct_channel(
        &mut self,
        now: u64,
        (channel, lease): (ChannelKey, CallNumber),
        caller: ContainerKey,
        callee: FunctionId,
    ) -> std::io::Result<()> {
        let gone = || std::io::Error::other("a container has gone");
        let channel = self.connections.channel(channel).ok_or_else(gone)?;
        let max_body_bytes = self.connections.max_body_bytes();
        let mode = self.connections.container(caller).ok_or_else(gone)?.mode();
        let (lending, [for_caller, for_callee]) =
            Lending::create((channel.clone(), callee), (caller, mode), max_body_bytes, now)?;
        let spec = self.scheduler.spec(callee);
        let leased = Leased {
            lease,
            callee,
            name: spec.name.clone(),
            timeout: spec.timeout,
            max_depth: u16::try_from(spec.max_depth).unwrap_or(u16::MAX),
        };
        let (from, to) = (self.connections.container(caller), channel.container());
        let to = self.connections.container(to);
        let (from, to) = (from.ok_or_else(gone)?, to.ok_or_else(gone)?);
        to.send(Lent { lease, caller: from.identity.name.clone() }.write(), for_callee);
        from.send(leased.write(), for_caller);
        channel.lend(lease);
        if self.lendings.is_empty() {
            self.next_lease_tick = Some(now + TICK_NS);
        }
        self.lendings.insert(lease, lending);
        Ok(())
    }

    /// Takes a lease back.
    pub(super) fn recall(&mut self, lease: CallNumber) {
        if let Some(lending) = self.lendings.get_mut(&lease) {
            lending.recall(lease);
        }
    }

    /// Takes back one lease of a function, an idle one if there is one.
    pub(super) fn recall_one(&mut self, now: u64, callee: FunctionId) {
        let of_callee = self
            .lendings
            .iter_mut()
            .filter(|(_, lending)| !lending.is_recalled() && lending.callee() == callee);
        let chosen = of_callee.min_by_key(|(_, lending)| lending.is_busy());
        let Some((lease, lending)) = chosen else { return };
        lending.recall(*lease);
        let lease = *lease;
        self.note(now, Event::LeaseRecalled { lease });
    }

    /// Tells the caller of a lease that the lease has ended.
    pub(super) fn lease_over(&mut self, lease: CallNumber, failure: Option<Failure>) {
        let Some(lending) = self.lendings.remove(&lease) else { return };
        self.count_desk(&lending);
        let (status, text) = match failure {
            None => {
                lending.refuse();
                (Status::Ok, String::new())
            }
            Some(failure) => (failure.status, failure.message),
        };
        if let Some(ended) = lending.lost_call(status) {
            let mut counts = DeskCounts::default();
            counts.outcomes[ended.number() as usize] = 1;
            self.note_direct(&lending, &counts);
        }
        if let Some(caller) = self.connections.container(lending.caller()) {
            caller.send(LeaseEnded { lease, status, text }.write(), Vec::new());
        }
        if self.lendings.is_empty() {
            self.next_lease_tick = None;
        }
    }

    /// Cancels the direct call that the handler of a cancelled call waits for, and all calls below
    /// it. Their leases end, so that the cancellation cannot hit a later call.
    pub(super) fn cancel_direct(
        &mut self,
        now: u64,
        (container, call): (ContainerKey, CallNumber),
        reason: CancelReason,
    ) {
        if self.lendings.is_empty() {
            return;
        }
        let mut left = vec![(container, call)];
        while let Some((container, call)) = left.pop() {
            let mut cancelled = Vec::new();
            for (lease, lending) in &mut self.lendings {
                let seen = lending.seen().filter(|seen| seen.maker == call);
                if lending.caller() == container
                    && seen.is_some_and(|seen| lending.cancel(seen, reason))
                {
                    lending.recall(*lease);
                    cancelled.push(*lease);
                    left.push((lending.channel().container(), *lease));
                }
            }
            for lease in cancelled {
                self.note(now, Event::LeaseRecalled { lease });
                self.note(now, Event::LeaseCancelled { lease });
            }
        }
    }

    /// Cancels the direct call of a lease whose answer an event loop no longer wants. The event
    /// loop has abandoned the call.
    pub(super) fn cancel_lease(&mut self, now: u64, channel: &Channel, lease: CallNumber) {
        let Some(lending) = self.lendings.get_mut(&lease) else { return };
        // The code below goes through all leases, so it runs only once for each lease.
        if lending.caller() != channel.container() || !lending.note_cancelled() {
            return;
        }
        lending.recall(lease);
        let callee = lending.channel().container();
        self.note(now, Event::LeaseRecalled { lease });
        self.note(now, Event::LeaseCancelled { lease });
        self.cancel_direct(now, (callee, lease), CancelReason::Caller);
    }

    /// Cancels the direct calls that a container made, as it has left and nobody waits for them.
    pub(super) fn forget_caller(&mut self, now: u64, caller: ContainerKey) {
        let of_caller = self.lendings.iter_mut().filter(|(_, lending)| lending.caller() == caller);
        let mut cancelled = Vec::new();
        for (lease, lending) in of_caller {
            if lending.seen().is_some_and(|seen| lending.cancel(seen, CancelReason::Caller)) {
                cancelled.push((lending.channel().container(), *lease));
            }
            lending.recall(*lease);
        }
        for (container, lease) in cancelled {
            self.note(now, Event::LeaseCancelled { lease });
            self.cancel_direct(now, (container, lease), CancelReason::Caller);
        }
    }

    /// Lends the slots of a function's handlers that wait for direct calls.
    pub(super) fn lend_waiting(&mut self, now: u64, function: FunctionId) {
        let mut lent = Vec::new();
        for lending in self.lendings.values() {
            let of_caller = self.connections.container(lending.caller());
            if of_caller.is_none_or(|container| container.identity.function != function) {
                continue;
            }
            let Some(call) = lending.seen().map(|seen| seen.maker) else { continue };
            let channel = self.scheduler.channel_of(call);
            let channel = channel.and_then(|channel| self.connections.channel(channel));
            // The word belongs to the caller. By what it writes there, it can only harm itself.
            if channel.is_some_and(|channel| {
                channel.container() == lending.caller() && channel.lend_slot(call)
            }) {
                lent.push(call);
            }
        }
        for call in lent {
            self.note(now, Event::LentSlot { call });
        }
    }

    /// Reads the workers' counters, takes idle leases back, and finds handlers that do not end.
    pub(super) fn maintain_leases(&mut self, now: u64) {
        if self.next_lease_tick.is_none_or(|at| now < at) {
            return;
        }
        self.count_direct_calls();
        let (mut idle, mut stuck, mut is_used) = (Vec::new(), Vec::new(), false);
        for (lease, lending) in &mut self.lendings {
            let idle_ns = lending.idle_ns(now);
            is_used |= idle_ns == 0;
            if !lending.is_recalled() && idle_ns > IDLE_NS {
                lending.recall(*lease);
                idle.push(*lease);
            }
            let Some(until) = lending.channel().runs_until(*lease) else { continue };
            let grace = self.scheduler.spec(lending.callee()).grace.as_nanos();
            let grace = u64::try_from(grace).unwrap_or(u64::MAX);
            if now > until.saturating_add(grace) {
                stuck.push(*lease);
            }
        }
        let tick_ns = if is_used { TICK_NS } else { IDLE_TICK_NS };
        self.next_lease_tick = (!self.lendings.is_empty()).then_some(now + tick_ns);
        idle.into_iter().for_each(|lease| self.note(now, Event::LeaseRecalled { lease }));
        stuck.into_iter().for_each(|lease| self.note(now, Event::LeaseStuck { lease }));
        self.run_actions(now);
    }

    /// Adds direct calls that have ended to the counters of their functions.
    pub fn count_direct_calls(&mut self) {
        let lendings = std::mem::take(&mut self.lendings);
        for lending in lendings.values() {
            self.count_desk(lending);
        }
        self.lendings = lendings;
    }

    fn count_desk(&mut self, lending: &Lending) {
        let Some(counts) = lending.channel().new_direct_counts() else { return };
        self.note_direct(lending, &counts);
    }

    fn note_direct(&mut self, lending: &Lending, counts: &DeskCounts) {
        let (function, container) = (lending.callee(), lending.channel().container());
        self.note(now_ns(), Event::CalledDirectly { function, container, counts });
    }
}
