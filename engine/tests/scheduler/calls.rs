//! The steps of clients and handlers that concern calls.

use super::*;

impl World {
    pub(super) fn external(&mut self, function: usize) {
        self.external_within(function, None);
    }

    pub(super) fn external_within(&mut self, function: usize, timeout: Option<Duration>) {
        self.next_client += 1;
        let client = self.next_client;
        match self.scheduler.external(
            self.now,
            id(function),
            timeout,
            (Body(client % 3), 10),
            client,
        ) {
            Ok(call) => {
                self.clients.insert(client, call);
                let within = timeout.map_or(TIMEOUT, |timeout| timeout.min(TIMEOUT));
                self.due.insert(client, self.now + within.as_nanos() as u64);
            }
            Err(failure) => drop(self.ended.insert(client, failure.status)),
        }
        self.settle();
    }

    pub(super) fn invoke(&mut self, pick: usize, function: usize, waits: bool) {
        self.next_tag += 1;
        let tag = self.next_tag;
        let Some((channel, mode, held)) = self.pick(pick) else { return };
        // An event loop cannot tell when its handler waits, so it always says that the handler
        // does.
        let waits = waits || mode == Mode::EventLoop;
        let was_blocked = held.blocked;
        held.outstanding.insert(tag);
        held.blocked |= waits;
        let (parent, name) = (held.call, NAMES[function]);
        let payload = Body(tag % 3);
        let (callee, bytes) = (None, 5);
        let is_lease = held.lease.is_some();
        let is_mixed = !held.direct.is_empty();
        self.invoked += 1;
        self.reached(mode).mixed += u64::from(is_mixed);
        let accepted = self.accepted(function);
        if is_lease {
            self.invoke_below((channel, parent), tag, name, waits);
        } else {
            let function = callee;
            let call = Internal { channel, parent, tag, function, name, waits, payload, bytes };
            self.scheduler.invoke(self.now, call).expect("an honest worker");
        }
        if self.accepted(function) == accepted
            && let Some(held) = self.held(channel, parent)
        {
            held.refused.insert(tag);
            held.blocked = was_blocked;
        }
        self.settle();
    }

    /// Returns the number of internal calls of a function that were accepted.
    pub(super) fn accepted(&mut self, function: usize) -> u64 {
        self.scheduler.status(self.now, id(function)).counts.internal
    }

    /// Makes enough calls in sequence for a worker to be leased.
    pub(super) fn burst(&mut self, pick: usize, function: usize) {
        let of_function = |world: &World, at: &(ChannelKey, usize)| {
            world.function_of(&world.channels[&at.0]) == Some(function)
        };
        // A worker is never lent to its own container.
        let mut makers = self.acting();
        makers.retain(|at| !of_function(self, at));
        if makers.is_empty() {
            self.external((function + 1) % 3);
            self.all_ready();
            makers = self.acting();
            makers.retain(|at| !of_function(self, at));
        }
        let Some(at) = makers.get(pick % makers.len().max(1)).copied() else { return };
        // These are twice as many calls as make an edge hot, because the first lease may need one
        // more worker.
        for _ in 0..9 {
            let acting = self.acting();
            let Some(pick) = acting.iter().position(|other| *other == at) else { return };
            self.invoke(pick, function, true);
            self.all_ready();
            let begun =
                self.busy().into_iter().find(|begun| *begun != at && !acting.contains(begun));
            if let Some(begun) = begun {
                self.complete_at(begun, false);
            }
        }
    }

    /// Makes the handler wait for any of its calls.
    pub(super) fn wait(&mut self, pick: usize) {
        let Some((channel, mode, held)) = self.pick(pick) else { return };
        if held.outstanding.is_empty() || mode == Mode::EventLoop {
            return;
        }
        held.blocked = true;
        let (call, answers) = (held.call, held.answers);
        self.scheduler.wait(self.now, channel, call, answers).expect("an honest worker");
        self.settle();
    }

    /// Makes a handler cancel one of its calls.
    pub(super) fn cancel_invoke(&mut self, pick: usize) {
        let Some((channel, _, held)) = self.pick(pick) else { return };
        let Some(tag) = held.outstanding.iter().min().copied() else { return };
        self.scheduler.cancel_invoke(self.now, channel, tag);
        self.settle();
    }

    /// Reports that a call has not reached its worker, and lets the worker die.
    pub(super) fn not_begun(&mut self, pick: usize) {
        let Some((channel, _, held)) = self.pick(pick) else { return };
        let call = held.call;
        let container = self.channels[&channel].container;
        self.scheduler.not_begun(self.now, call);
        self.kill(container);
    }

    pub(super) fn complete(&mut self, pick: usize, fails: bool) {
        let acting = self.acting();
        if let Some(at) = acting.get(pick % acting.len().max(1)) {
            self.complete_at(*at, fails);
        }
    }

    pub(super) fn complete_at(&mut self, (channel, place): (ChannelKey, usize), fails: bool) {
        let worker = self.channels.get_mut(&channel).expect("it was picked");
        if worker.held[place].lease.is_some() {
            let lease = worker.held[place].call;
            self.end_direct(channel, lease, false);
            return;
        }
        let held = worker.held.swap_remove(place);
        let outcome = if fails {
            Err(Failure::new(Status::FunctionFailed, "no"))
        } else {
            Ok(Body::default())
        };
        let ran = Ran { began_at: 0, ended_at: self.now };
        self.scheduler
            .complete(self.now, channel, held.call, ran, outcome)
            .expect("an honest worker");
        self.settle();
        // An event loop answers while direct calls are under way.
        held.direct.into_iter().for_each(|lease| self.give_up(lease, None));
        self.settle();
    }

    pub(super) fn cancel(&mut self, pick: usize) -> Option<u64> {
        let mut clients: Vec<u64> = self.clients.keys().copied().collect();
        clients.sort_unstable();
        let client = *clients.get(pick % clients.len().max(1))?;
        let call = self.clients.remove(&client)?;
        self.scheduler.cancel(self.now, call);
        self.settle();
        Some(client)
    }
}
