//! The steps of workers that concern leases: direct calls, their answers, and slots that are lent.

use super::*;

impl World {
    pub(super) fn told(&mut self, event: Event<'_, Body>) {
        self.scheduler.event(self.now, event).expect("an honest worker");
    }

    /// Returns the lease with this number, as its worker holds it.
    pub(super) fn lease(&mut self, call: CallNumber) -> Option<(ChannelKey, &mut Lent)> {
        self.channels.iter_mut().find_map(|(channel, worker)| {
            let held = worker.held.iter_mut().find(|held| held.call == call)?;
            Some((*channel, held.lease.as_mut()?))
        })
    }

    pub(super) fn held(&mut self, channel: ChannelKey, call: CallNumber) -> Option<&mut Held> {
        self.channels.get_mut(&channel)?.held.iter_mut().find(|held| held.call == call)
    }

    /// Returns the leases that `which` selects, in order.
    pub(super) fn leases(&self, which: impl Fn(&Lent) -> bool) -> Vec<CallNumber> {
        let held = self.channels.values().flat_map(|worker| &worker.held);
        let mut found: Vec<CallNumber> = held
            .filter(|held| held.lease.as_ref().is_some_and(&which))
            .map(|held| held.call)
            .collect();
        found.sort_unstable();
        found
    }

    pub(super) fn lent(
        &mut self,
        channel: ChannelKey,
        lease: CallNumber,
        caller: ContainerKey,
        callee: usize,
    ) {
        assert!(self.containers.contains_key(&caller), "a lease for a container that is gone");
        assert!(!self.retired.contains(&channel), "a retired worker was lent");
        let worker = self.channels.get_mut(&channel).expect("a lease of a worker that is gone");
        let leases = worker.held.iter().filter(|held| held.lease.is_some()).count();
        match worker.mode {
            Mode::Threads => assert!(worker.held.is_empty(), "a busy worker was lent"),
            Mode::EventLoop => assert!(leases < MAX_LEASES_OF_LOOP, "it has {leases} leases"),
        }
        assert!(worker.container != caller, "a container was lent its own worker");
        let lent =
            Lent { caller, callee, recalled: false, runs: None, begun: false, cancelled: false };
        worker.held.push(Held::new(lease, None, Some(lent)));
    }

    pub(super) fn recall(&mut self, lease: CallNumber) {
        if let Some((_, lent)) = self.lease(lease) {
            lent.recalled = true;
        }
    }

    /// Takes back a lease of a worker of the callee: an idle one, if there is one.
    pub(super) fn recall_one(&mut self, callee: usize) {
        let idle = self.leases(|l| l.callee == callee && !l.recalled && l.runs.is_none());
        let busy = self.leases(|l| l.callee == callee && !l.recalled);
        let Some(lease) = idle.first().or(busy.first()).copied() else { return };
        self.recall(lease);
        self.told(Event::LeaseRecalled { lease });
    }

    /// Records the end of a lease. Its worker has given it back, or is gone. If the worker is gone,
    /// the direct call that it ran has ended too.
    pub(super) fn lease_over(&mut self, lease: CallNumber) {
        let found = self.channels.iter().find_map(|(channel, worker)| {
            let held = worker.held.iter().find(|held| held.direct.contains(&lease))?;
            Some((*channel, held.call))
        });
        if let Some((channel, call)) = found {
            self.direct_answer(channel, call, lease);
        }
        let held = self.channels.values().flat_map(|worker| &worker.held);
        assert!(held.into_iter().all(|held| held.call != lease), "its worker holds it still");
    }

    /// Lends the slots of the function's handlers that wait for direct calls. The scheduler is told
    /// about each direct call, even if the slot was lent already.
    pub(super) fn lend_waiting(&mut self, function: usize) {
        let mut lent = Vec::new();
        for (channel, worker) in &mut self.channels {
            if self.containers.get(&worker.container).is_none_or(|(of, _)| *of != function) {
                continue;
            }
            for held in worker.held.iter_mut().filter(|held| !held.direct.is_empty()) {
                assert_ne!(held.seat, Seat::Runs, "it waits unseen");
                held.seat = Seat::Lent;
                let call = (held.call, *channel);
                lent.extend(held.direct.iter().map(|_| call));
            }
        }
        lent.sort_unstable();
        lent.into_iter().for_each(|(call, channel)| self.lent_slot(channel, call));
    }

    pub(super) fn lent_slot(&mut self, channel: ChannelKey, call: CallNumber) {
        let mode = self.mode_of(channel);
        let Some(held) = self
            .channels
            .get(&channel)
            .and_then(|worker| worker.held.iter().find(|held| held.call == call))
        else {
            return;
        };
        let on_the_way = self.scheduler.pending().filter(|action| match action {
            Action::Deliver { channel: to, tag, .. } => {
                *to == channel
                    && held.outstanding.contains(&tag.0)
                    && !held.refused.contains(&tag.0)
            }
            Action::Resumed { channel: to, call: resumed } => *to == channel && *resumed == call,
            _ => false,
        });
        let overtaken = on_the_way.count();
        let is_lease = held.lease.is_some();
        let held = self.held(channel, call).expect("it was found");
        let lends = !std::mem::replace(&mut held.blocked, true);
        held.overtaken = overtaken;
        let reached = self.reached(mode);
        reached.lent += u64::from(lends);
        reached.lent_again += u64::from(overtaken > 0);
        reached.lease_lent += u64::from(lends && is_lease);
        self.told(Event::LentSlot { call });
    }

    pub(super) fn resumed(&mut self, channel: ChannelKey, call: CallNumber) {
        let mode = self.mode_of(channel);
        // The call's container may have died.
        let Some(held) = self.held(channel, call) else { return };
        assert!(held.wants > 0, "it did not ask for a slot");
        assert!(mode == Mode::EventLoop || held.direct.is_empty(), "a thread asks and waits");
        held.wants -= 1;
        held.heard(mode);
        let may_begin = held.wants == 0 && held.lease.is_some();
        self.reached(mode).resumed += 1;
        if may_begin {
            self.begin_waiting(channel, call);
        }
    }

    /// Begins the call that waits at a lease, if it is still wanted: the lease has a slot again.
    pub(super) fn begin_waiting(&mut self, channel: ChannelKey, lease: CallNumber) {
        let Some((_, lent)) = self.lease(lease) else { return };
        let Some((maker, call)) = lent.runs.filter(|_| !lent.begun) else { return };
        let is_wanted = self.held(maker, call).is_some_and(|held| held.direct.contains(&lease));
        let mode = self.mode_of(channel);
        self.reached(mode).began_late += u64::from(is_wanted);
        let (_, lent) = self.lease(lease).expect("it was found");
        lent.begun = is_wanted;
        if !is_wanted {
            lent.runs = None;
        }
    }

    /// Gives a handler the answer to a direct call. A handler in an event loop goes on with it at
    /// once, but it gets its last answer only when it has a slot.
    pub(super) fn direct_answer(
        &mut self,
        channel: ChannelKey,
        call: CallNumber,
        lease: CallNumber,
    ) {
        let mode = self.mode_of(channel);
        let Some(held) = self.held(channel, call) else { return };
        assert!(held.direct.remove(&lease), "an answer to nothing");
        if mode == Mode::Threads || held.has_all_answers() {
            self.end_wait(channel, call);
        }
    }

    /// Ends a handler's wait. The handler needs a slot if its own was lent.
    pub(super) fn end_wait(&mut self, channel: ChannelKey, call: CallNumber) {
        let Some(held) = self.held(channel, call) else { return };
        if std::mem::replace(&mut held.seat, Seat::Runs) == Seat::Lent {
            held.wants += 1;
            self.ask_for_slot(channel, call);
        }
    }

    pub(super) fn ask_for_slot(&mut self, channel: ChannelKey, call: CallNumber) {
        self.told(Event::WantsSlot { channel, call });
        let has_one = self.scheduler.pending().any(|action| {
            matches!(action, Action::Resumed { channel: to, call: resumed }
                if *to == channel && *resumed == call)
        });
        let mode = self.mode_of(channel);
        self.reached(mode).asked += 1;
        self.reached(mode).asked_in_vain += u64::from(!has_one);
    }

    /// Cancels a call and the direct calls that its handler waits for.
    pub(super) fn cancel_direct(&mut self, channel: ChannelKey, call: CallNumber) {
        let Some(held) = self.held(channel, call) else { return };
        held.cancelled = true;
        let leases: Vec<CallNumber> = held.direct.iter().copied().collect();
        leases.into_iter().for_each(|lease| self.give_up(lease, Some((channel, call))));
    }

    /// Cancels a direct call and ends its lease. `waits` is the call that waits for the answer.
    pub(super) fn give_up(&mut self, lease: CallNumber, waits: Option<(ChannelKey, CallNumber)>) {
        let Some((at, lent)) = self.lease(lease) else { return };
        if std::mem::replace(&mut lent.cancelled, true) {
            return;
        }
        lent.recalled = true;
        self.told(Event::LeaseRecalled { lease });
        self.told(Event::LeaseCancelled { lease });
        if let Some((channel, call)) = waits {
            self.direct_answer(channel, call, lease);
        }
        self.cancel_direct(at, lease);
    }

    /// Makes a handler in an event loop give up a direct call. `late` means that the time of the
    /// direct call is over; then the scheduler is not told.
    pub(super) fn cancel_one(&mut self, pick: usize, late: bool) {
        let waiting = self.calls(|worker, held| {
            !held.direct.is_empty() && (late || worker.mode == Mode::EventLoop)
        });
        let Some((channel, place)) = waiting.get(pick % waiting.len().max(1)).copied() else {
            return;
        };
        let held = &self.channels[&channel].held[place];
        let (call, at) = (held.call, pick / waiting.len() % held.direct.len());
        let lease = *held.direct.iter().nth(at).expect("it was counted");
        let mode = self.mode_of(channel);
        self.reached(mode).given_up += 1;
        if late {
            self.direct_answer(channel, call, lease);
        } else {
            self.give_up(lease, Some((channel, call)));
        }
        self.settle();
    }

    /// Returns the leases by which a worker can call now, as far as the board allows it.
    pub(super) fn free_leases(&self, channel: ChannelKey) -> Vec<CallNumber> {
        let worker = &self.channels[&channel];
        let (caller, board) = (worker.container, self.board);
        let is_full = self.function_of(worker).is_none_or(|own| board[own].is_full);
        self.leases(|lent| {
            !is_full
                && lent.caller == caller
                && !lent.recalled
                && lent.runs.is_none()
                && !board[lent.callee].is_queued
        })
    }

    /// Makes a handler call by a lease, if its container has a free one and the board allows the
    /// call.
    pub(super) fn call_directly(&mut self, pick: usize) {
        let can = |(channel, place): &(ChannelKey, usize)| {
            !self.channels[channel].held[*place].cancelled && !self.free_leases(*channel).is_empty()
        };
        let makers: Vec<(ChannelKey, usize)> = self.acting().into_iter().filter(can).collect();
        let Some((channel, place)) = makers.get(pick % makers.len().max(1)).copied() else {
            return;
        };
        let (call, mode) = (self.channels[&channel].held[place].call, self.mode_of(channel));
        let free = self.free_leases(channel);
        let lease = free[pick / makers.len() % free.len()];
        self.begin_direct((channel, call), mode, lease);
    }

    /// Makes a handler begin a call by a lease.
    pub(super) fn begin_direct(
        &mut self,
        (channel, call): (ChannelKey, CallNumber),
        mode: Mode,
        lease: CallNumber,
    ) {
        let held = self.held(channel, call).expect("it was picked");
        held.direct.insert(lease);
        if held.seat == Seat::Runs {
            held.seat = Seat::Waits;
        }
        let (several, mixed) = (held.direct.len() > 1, !held.outstanding.is_empty());
        let (at, _) = self.lease(lease).expect("it was found");
        let callee = self.held(at, lease).expect("it was found");
        let may_begin = callee.wants == 0;
        assert!(!may_begin || !callee.blocked, "a call begins without a slot: {callee:?}");
        let (_, lent) = self.lease(lease).expect("it was found");
        (lent.runs, lent.begun) = (Some((channel, call)), may_begin);
        let reached = self.reached(mode);
        reached.called += 1;
        reached.several += u64::from(several);
        reached.mixed += u64::from(mixed);
        self.check();
    }

    /// Lets the handler of a direct call return. Its own calls under way are cancelled, and its
    /// caller goes on. If `again` is set, the caller makes another direct call before the scheduler
    /// hears of the return.
    pub(super) fn end_direct(&mut self, channel: ChannelKey, lease: CallNumber, again: bool) {
        let is_loop = self.mode_of(channel) == Mode::EventLoop;
        let Some(held) = self.held(channel, lease) else { return };
        let mut tags: Vec<u64> = held.outstanding.iter().copied().collect();
        let direct = std::mem::take(&mut held.direct);
        tags.sort_unstable();
        for tag in &tags {
            self.scheduler.cancel_invoke(self.now, channel, *tag);
        }
        direct.into_iter().for_each(|lease| self.give_up(lease, None));
        let Some(held) = self.held(channel, lease) else { return };
        let was_lent = std::mem::replace(&mut held.seat, Seat::Runs) == Seat::Lent;
        let Some((_, lent)) = self.lease(lease) else { return };
        lent.begun = false;
        let runs = lent.runs.take();
        // The last answer, which nobody waits for, comes only when there is a slot.
        let needs_slot = was_lent || is_loop && !tags.is_empty();
        self.held(channel, lease).expect("it was found").wants += u32::from(needs_slot);
        if let Some((maker, call)) = runs
            && self.held(maker, call).is_some_and(|held| held.direct.contains(&lease))
        {
            self.direct_answer(maker, call, lease);
            let held = self.held(maker, call).expect("it has the answer");
            let may_call = held.computes() && !held.cancelled;
            if again && may_call && self.free_leases(maker).contains(&lease) {
                self.begin_direct((maker, call), self.mode_of(maker), lease);
            }
        }
        if needs_slot {
            self.ask_for_slot(channel, lease);
        }
        self.settle();
    }

    /// Lets a worker give back a lease by which it runs no call.
    pub(super) fn give_back(&mut self, pick: usize) {
        let mut back = self.leases(|lent| lent.recalled && lent.runs.is_none());
        let held = self.channels.values().flat_map(|worker| &worker.held);
        let asks: Vec<CallNumber> =
            held.filter(|held| held.wants > 0).map(|held| held.call).collect();
        back.retain(|lease| !asks.contains(lease));
        let Some(call) = back.get(pick % back.len().max(1)).copied() else { return };
        let (channel, _) = self.lease(call).expect("it was found");
        let worker = self.channels.get_mut(&channel).expect("it is there");
        worker.held.retain(|held| held.call != call);
        let ran = Ran { began_at: self.now, ended_at: self.now };
        let done = self.scheduler.complete(self.now, channel, call, ran, Ok(Body::default()));
        done.expect("an honest worker");
        self.settle();
    }

    /// Takes back a lease that is not used.
    pub(super) fn idle(&mut self, pick: usize) {
        let idle = self.leases(|lent| !lent.recalled && lent.runs.is_none());
        let Some(lease) = idle.get(pick % idle.len().max(1)).copied() else { return };
        self.recall(lease);
        self.told(Event::LeaseRecalled { lease });
        self.settle();
    }

    /// Makes the handler of a direct call make a call through the scheduler.
    pub(super) fn invoke_below(
        &mut self,
        (channel, parent): (ChannelKey, CallNumber),
        tag: u64,
        name: &str,
        waits: bool,
    ) {
        let (callee, deadline) = (self.scheduler.resolve(None, name), self.now + 4000 * MS);
        let invoke = InternalCall {
            channel,
            parent,
            tag: InvokeNumber(tag),
            callee,
            name,
            waits,
            deadline: Some(deadline),
            payload: Body(tag % 3),
            bytes: 5,
            input: None,
            below: Some(Below { root: CallId::new(tag + 1), depth: 1 }),
        };
        self.told(Event::Invoked(invoke));
    }

    /// Lets the handlers of direct calls return: all of them, or one.
    pub(super) fn answer_directly(&mut self, pick: usize, all: bool, again: bool) {
        let running = self.calls(|_, held| held.lease.is_some() && held.computes());
        let leases: Vec<(ChannelKey, CallNumber)> = running
            .into_iter()
            .map(|(channel, place)| (channel, self.channels[&channel].held[place].call))
            .collect();
        let from = pick % leases.len().max(1);
        let most = if all { leases.len() } else { 1 };
        for (channel, lease) in leases.iter().skip(from).chain(&leases[..from]).take(most) {
            let held = self.held(*channel, *lease);
            if held.is_some_and(|held| held.computes()) {
                self.end_direct(*channel, *lease, again);
            }
        }
    }

    /// Lets handlers call a function by leases. Then more external calls of the function arrive
    /// than it has slots.
    pub(super) fn flood(&mut self, pick: usize, function: usize, rounds: usize) {
        self.external(function);
        self.all_ready();
        if self.leases(|lent| lent.runs.is_none()).is_empty() {
            self.burst(pick, (function + 1 + pick % 2) % 3);
        }
        for pick in 0..rounds * self.acting().len() {
            self.call_directly(pick);
        }
        for _ in 0..=self.max[function] {
            self.external(function);
        }
        self.all_ready();
    }

    /// Completes at most `most` calls whose handlers compute.
    pub(super) fn drain(&mut self, most: usize) {
        for _ in 0..most {
            let Some(at) = self.busy().first().copied() else { return };
            self.complete_at(at, false);
        }
    }
}
