//! Which worker runs which call, and when. Pure state: time is an argument, in ns of the monotonic clock, and what is
//! to be done comes out as [`Action`]s; there is no I/O here.
//!
//! Each function has one queue, first in, first out. A call leaves it when fewer calls run than
//! [`concurrency`] allows and a worker is idle. A call that waits for an internal call does not run: it lends its
//! slot, and needs one again before it is handed the answer. `max` is never passed. Calls from outside may be open
//! in a bounded number only; nested ones pass them, up to the depth limit, so that nesting cannot deadlock.

mod action;
mod call;
mod cancel;
pub mod concurrency;
mod container;
mod deadlines;
mod drain;
mod expiry;
mod function;
mod generations;
mod histogram;
mod input;
pub mod quarantine;
mod retries;
mod segments;
mod snapshot;
mod upkeep;
mod workers;

pub use action::{Action, Outcome};
pub use call::CallId;
pub use container::{ChannelKey, ContainerKey};
pub use function::{
    Counts, DEFAULT_MAX_EVENT_LOOP, DEFAULT_MAX_THREADS, FunctionId, Generation, OUTCOMES, Origin,
    Spec,
};
pub use histogram::Histogram;
pub use input::{Fingerprint, Input};
pub use quarantine::Quarantined;
pub use segments::{Ran, Segments};
pub use snapshot::{ContainerCounts, FunctionStatus, WorkerCounts};

use call::{Call, Caller, Calls, Stage};
use container::{Channel, Container};
use deadlines::Deadlines;
use function::Function;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;
use nightcore_runtime::protocol::{Broken, Failure, Status};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// An internal call as a worker asks for it.
#[derive(Debug)]
pub struct Invoke<'a, P> {
    /// The call that makes it.
    pub parent: CallId,
    /// The worker's own number for it.
    pub tag: u64,
    /// The callee's id; 0 if `name` is given instead.
    pub function: FunctionId,
    /// The callee's name.
    pub name: &'a str,
    /// Whether the caller runs nothing until an answer comes.
    pub waits: bool,
    /// When it must have ended, ns; 0: when its parent must.
    pub deadline: u64,
    /// What it carries.
    pub payload: P,
    /// The bytes of that.
    pub bytes: u64,
}

/// The dispatcher. `P` is a payload, `R` is how the gateway takes an answer.
#[derive(Debug)]
pub struct Dispatch<P, R> {
    functions: Vec<Function>,
    by_name: HashMap<String, FunctionId>,
    calls: Calls<P, R>,
    channels: Slab<Channel>,
    containers: Slab<Container>,
    deadlines: Deadlines,
    actions: VecDeque<Action<P, R>>,
    upkeep: upkeep::Upkeep,
    /// Calls of functions that are not there, by [`Origin`].
    not_found: [u64; 2],
}

impl<P, R> Default for Dispatch<P, R> {
    fn default() -> Self {
        Dispatch {
            functions: Vec::new(),
            by_name: HashMap::new(),
            calls: Calls::default(),
            channels: Slab::new(),
            containers: Slab::new(),
            deadlines: Deadlines::default(),
            actions: VecDeque::new(),
            upkeep: upkeep::Upkeep::default(),
            not_found: [0; 2],
        }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<P: Input, R> Dispatch<P, R> {
    /// The function of this name, if there is one and it was not removed.
    pub fn find(&self, name: &str) -> Option<FunctionId> {
        self.by_name.get(name).copied().filter(|id| self.is_there(*id))
    }

    /// Whether there is a function of this number that was not removed.
    fn is_there(&self, function: FunctionId) -> bool {
        self.functions.get((function as usize).wrapping_sub(1)).is_some_and(|f| !f.removed)
    }

    /// What the configuration says about a function.
    pub fn spec(&self, function: FunctionId) -> &Spec {
        &self.function(function).spec
    }

    /// The next thing to be done.
    pub fn next_action(&mut self) -> Option<Action<P, R>> {
        self.actions.pop_front()
    }

    /// How many calls are under way.
    pub fn calls_under_way(&self) -> usize {
        self.calls.len()
    }

    fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id as usize - 1]
    }

    fn function_mut(&mut self, id: FunctionId) -> &mut Function {
        &mut self.functions[id as usize - 1]
    }

    /// Whether calls are open on this channel.
    pub fn has_calls(&self, channel: ChannelKey) -> bool {
        self.channels.get(channel).is_some_and(|channel| !channel.open.is_empty())
    }

    // Calls begin.

    /// Counts a call that was refused: of this function, or of one that is not there.
    pub fn refused(&mut self, function: Option<FunctionId>, origin: Origin, status: Status) {
        match function {
            Some(id) => self.function_mut(id).count_end(origin, status),
            None => self.not_found[origin as usize] += 1,
        }
    }

    /// Whether a call with this input, and of this size, which must have ended at `deadline`, may be queued now.
    fn admit(
        &mut self,
        now: u64,
        function: FunctionId,
        input: Option<Fingerprint>,
        bytes: u64,
        deadline: u64,
    ) -> Result<(), Failure> {
        if let Some(failure) = input.and_then(|input| self.refuse_quarantined(now, function, input))
        {
            return Err(failure);
        }
        let function = self.function(function);
        let overloaded = |text: String| Err(Failure::new(Status::Overloaded, text));
        if let Some(reason) = &function.unavailable {
            return Err(Failure::new(Status::Unavailable, reason.clone()));
        }
        if function.queued >= function.spec.queue_calls {
            return overloaded(format!("{} calls are queued", function.queued));
        }
        if function.queued > 0 && function.queued_bytes + bytes > function.spec.queue_bytes {
            return overloaded(format!("calls of {} bytes are queued", function.queued_bytes));
        }
        let left = deadline.saturating_sub(now);
        if let Some(takes) = function.takes_ns(now).filter(|takes| *takes > left) {
            let [takes, left] = [takes, left].map(|ns| ns as f64 / 1e6);
            return overloaded(format!(
                "{} calls are queued: it would take {takes:.1} ms, and there are {left:.1} ms",
                function.queued
            ));
        }
        Ok(())
    }

    /// How long it takes until all calls have left the queue of a function that are in it, ns; `None` if nobody knows.
    pub fn drains_in_ns(&self, now: u64, function: FunctionId) -> Option<u64> {
        let function = self.function(function);
        function.drain.wait_ns(now, function.queued)
    }

    /// Takes a call from a client, which gives it `timeout` if that is less than the function's own. Its end comes as
    /// [`Action::Respond`]; if it is not even accepted, as an error here.
    pub fn external(
        &mut self,
        now: u64,
        function: FunctionId,
        timeout: Option<Duration>,
        payload: P,
        bytes: u64,
        reply: R,
    ) -> Result<CallId, Failure> {
        let input = self.fingerprint(function, &payload);
        let most = self.spec(function).timeout;
        let deadline = now.saturating_add(ns(timeout.map_or(most, |asked| asked.min(most))));
        self.admit(now, function, input, bytes, deadline).inspect_err(|failure| {
            self.refused(Some(function), Origin::External, failure.status);
        })?;
        self.function_mut(function).counts.external += 1;
        let caller = Caller::Gateway(reply);
        let call = self.enqueue(now, function, caller, payload, input, bytes, 0, 0, deadline, 0);
        self.pump(now, function);
        Ok(call)
    }

    /// Takes a call from a worker. Its end comes as [`Action::Deliver`]; an error means that the worker broke a
    /// rule.
    pub fn invoke(
        &mut self,
        now: u64,
        channel: ChannelKey,
        invoke: Invoke<'_, P>,
    ) -> Result<(), Broken> {
        let Invoke { parent, tag, function, name, waits, deadline, payload, bytes } = invoke;
        let caller = self.under_way(channel, parent)?;
        let (depth, parent_deadline, over) = (caller.depth + 1, caller.deadline, caller.cancelled);
        let (expired, sibling_index, caller_function) =
            (caller.expired, caller.children.len(), caller.function);
        let root = if caller.root == 0 { parent } else { caller.root };
        let known = if function == 0 {
            self.find(name)
        } else {
            Some(function).filter(|id| self.is_there(*id))
        };
        let input = known.and_then(|id| self.fingerprint(id, &payload));
        let admitted = match known {
            None => Err(Failure::new(Status::NotFound, format!("there is no function {name:?}"))),
            Some(_) if over && expired => {
                Err(Failure::new(Status::DeadlineExceeded, "the deadline has passed"))
            }
            Some(_) if over => Err(Failure::new(Status::Cancelled, "the caller has left")),
            Some(id) if depth > self.spec(id).max_depth => {
                let text = format!("calls are nested more than {} deep", self.spec(id).max_depth);
                Err(Failure::new(Status::DepthExceeded, text))
            }
            Some(_) if sibling_index >= MAX_OUTSTANDING => Err(Failure::new(
                Status::Overloaded,
                format!("{MAX_OUTSTANDING} internal calls are under way"),
            )),
            Some(id) => {
                let own = now.saturating_add(ns(self.spec(id).timeout));
                let asked = if deadline == 0 { u64::MAX } else { deadline };
                let deadline = parent_deadline.min(own).min(asked);
                self.admit(now, id, input, bytes, deadline).map(|()| (id, deadline))
            }
        };
        let (callee, deadline) = match admitted {
            Ok(callee) => callee,
            Err(failure) => {
                self.refused(known, Origin::Internal, failure.status);
                if let Some(caller) = self.calls.get_mut(parent) {
                    caller.answers += 1;
                }
                self.actions.push_back(Action::Deliver {
                    channel,
                    tag,
                    function: known,
                    outcome: Err(failure),
                });
                return Ok(());
            }
        };
        self.function_mut(callee).counts.internal += 1;
        let by = Caller::Call { parent, tag };
        let call = self.enqueue(
            now,
            callee,
            by,
            payload,
            input,
            bytes,
            depth,
            root,
            deadline,
            sibling_index,
        );
        if let Some(caller) = self.calls.get_mut(parent) {
            caller.children.push(call);
        }
        self.release_held(channel, parent);
        if waits {
            self.begin_wait(now, parent);
        }
        self.pump(now, callee);
        if waits && callee != caller_function {
            self.pump(now, caller_function);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // Private, and each is a field of the call.
    fn enqueue(
        &mut self,
        now: u64,
        function: FunctionId,
        caller: Caller<R>,
        payload: P,
        input: Option<Fingerprint>,
        bytes: u64,
        depth: u32,
        root: CallId,
        deadline: u64,
        sibling_index: usize,
    ) -> CallId {
        let id = self.calls.insert(Call {
            function,
            caller,
            payload: Some(payload),
            kept: None,
            retried: 0,
            surely_not_begun: false,
            input,
            alone_by: 0,
            bytes,
            depth,
            root,
            deadline,
            stage: Stage::Queued,
            queued_at: now,
            dispatched_at: 0,
            waiting_since: None,
            waited_ns: 0,
            queued_below_ns: 0,
            children: Vec::new(),
            sibling_index,
            answers: 0,
            held: VecDeque::new(),
            cancelled: false,
            expired: false,
            stuck: false,
        });
        let calls = &self.calls;
        self.deadlines.push(deadline, id, calls.len(), |id| calls.get(id).is_some());
        self.upkeep.watch(function);
        let function = self.function_mut(function);
        function.concurrency.arrived(now);
        if function.queued == 0 {
            function.drain.began();
        }
        if function.spec.retries > 0 {
            function.retry_budget.called(now);
        }
        function.queued += 1;
        function.queued_bytes += bytes;
        function.next_arrival += 1;
        let arrival = function.next_arrival;
        let queue = if depth == 0 { &mut function.outside } else { &mut function.nested };
        queue.push_back((arrival, id));
        id
    }

    // Calls run.

    /// A call that runs on this channel; anything else is a rule broken by the worker.
    fn under_way(&mut self, channel: ChannelKey, call: CallId) -> Result<&mut Call<P, R>, Broken> {
        let found = self.calls.get_mut(call).filter(|c| c.stage == Stage::Dispatched(channel));
        found.ok_or(Broken::Call(call))
    }

    /// The queued call whose turn it is.
    fn head(&mut self, function: FunctionId) -> Option<Head> {
        let function = &mut self.functions[function as usize - 1];
        let calls = &self.calls;
        let is_queued = |id: CallId| calls.get(id).is_some_and(|c| c.stage == Stage::Queued);
        for queue in [&mut function.outside, &mut function.nested] {
            while queue.front().is_some_and(|(_, id)| !is_queued(*id)) {
                queue.pop_front();
            }
        }
        let outside = function.outside.front().copied().filter(|_| function.may_open_outside());
        let nested = function.nested.front().copied();
        let ((_, call), nested) = match (outside, nested) {
            (Some(a), Some(b)) if b.0 < a.0 => (b, true),
            (Some(a), _) => (a, false),
            (None, Some(b)) => (b, true),
            (None, None) => return None,
        };
        let Call { queued_at, input, .. } = *calls.get(call)?;
        Some(Head { call, queued_at, nested, input })
    }

    /// Starts what may be started of a function: first waiting calls whose answer is there, then queued ones.
    #[inline]
    fn pump(&mut self, now: u64, function: FunctionId) {
        let f = self.function(function);
        if f.queued > 0 || !f.resumes.is_empty() {
            self.start_waiting(now, function);
        }
    }

    fn start_waiting(&mut self, now: u64, function: FunctionId) {
        loop {
            let f = self.function_mut(function);
            if f.running < f.max
                && let Some(parent) = f.resumes.pop_front()
            {
                self.resume(now, parent);
                continue;
            }
            if !f.resumes.is_empty() {
                return;
            }
            let Some(Head { call, queued_at, nested, input }) = self.head(function) else { return };
            if input.is_some_and(|input| self.end_quarantined(now, function, call, input)) {
                continue;
            }
            let f = self.function_mut(function);
            if f.running >= f.concurrency.limit(now, Some(queued_at)) {
                // An end of a call looks again, too; this is for limits that rise while nothing ends.
                if let Some(at) = f.concurrency.next_change_ns(Some(queued_at)) {
                    self.upkeep.look_again(function, at);
                }
                return;
            }
            let alone_for = input.and_then(|input| self.alone_for(now, function, call, input));
            let Some(channel) = self.choose(now, function, alone_for.is_some()) else {
                if alone_for.is_some() && self.wait_to_be_alone(now, function, call) {
                    return;
                }
                self.look_after_pauses(now, function);
                if !self.want_workers(now, function) && nested {
                    self.no_worker_can_come(now, call);
                    continue;
                }
                return;
            };
            self.start(now, function, call, channel, nested);
            if let Some(alone_for) = alone_for {
                let container = self.channels[channel].container;
                self.containers[container].alone = Some((call, now.saturating_add(alone_for)));
            }
        }
    }

    /// Of the containers with room the one with the fewest running calls, `alone` one in which none runs; in it the most recently
    /// idle worker.
    fn choose(&self, now: u64, function: FunctionId, alone: bool) -> Option<ChannelKey> {
        let containers =
            self.function(function).containers.iter().filter_map(|key| self.containers.get(*key));
        let containers = containers.filter(|c| !alone || c.running == 0);
        let free = containers.filter_map(|c| Some((!c.attached, c.running, c.free_channel(now)?)));
        free.min_by_key(|(attached, running, _)| (*attached, *running))
            .map(|(_, _, channel)| channel)
    }

    fn start(
        &mut self,
        now: u64,
        function: FunctionId,
        id: CallId,
        channel: ChannelKey,
        nested: bool,
    ) {
        let f = &mut self.functions[function as usize - 1];
        if nested {
            f.nested.pop_front()
        } else {
            f.outside.pop_front()
        };
        let Some(call) = self.calls.get_mut(id) else { return };
        call.stage = Stage::Dispatched(channel);
        call.dispatched_at = now;
        f.queued -= 1;
        f.queued_bytes -= call.bytes;
        f.drain.started(now, f.queued);
        f.running += 1;
        f.open_outside += u32::from(call.depth == 0);
        let Some(mut payload) = call.payload.take() else { return };
        if call.retried < f.spec.retries && matches!(call.caller, Caller::Call { .. }) {
            call.kept = Some(payload.share());
        }
        let attached = self.containers[self.channels[channel].container].attached;
        if attached {
            // Somebody looks at it in a debugger: it and what it calls may take their time.
            call.deadline = u64::MAX;
        }
        let deadline = if attached { 0 } else { call.deadline };
        let root = call.root;
        let parent = match call.caller {
            Caller::Call { parent, .. } => Some(parent),
            _ => None,
        };
        let caller = parent.and_then(|parent| self.calls.get(parent)).map(|parent| parent.function);
        let channel_state = &mut self.channels[channel];
        channel_state.open.push(id);
        let container = &mut self.containers[channel_state.container];
        container.running += 1;
        if container.mode == Mode::Threads {
            container.idle.pop();
        }
        self.actions.push_back(Action::Dispatch {
            channel,
            call: id,
            root,
            caller,
            deadline,
            payload,
        });
    }

    /// The handler of this call waits for an internal call: it lends its slot.
    fn begin_wait(&mut self, now: u64, id: CallId) {
        let Some(call) = self.calls.get_mut(id).filter(|c| c.waiting_since.is_none()) else {
            return;
        };
        let Stage::Dispatched(channel) = call.stage else { return };
        call.waiting_since = Some(now);
        let function = &mut self.functions[call.function as usize - 1];
        function.running -= 1;
        function.waiting += 1;
        let container = &mut self.containers[self.channels[channel].container];
        container.running -= 1;
        container.end_alone(id);
    }

    /// The handler of this call goes on: it takes a slot again.
    fn end_wait(&mut self, now: u64, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let (Stage::Dispatched(channel), Some(since)) = (call.stage, call.waiting_since.take())
        else {
            return;
        };
        call.waited_ns += now.saturating_sub(since);
        let function = &mut self.functions[call.function as usize - 1];
        function.running += 1;
        function.waiting -= 1;
        self.containers[self.channels[channel].container].running += 1;
    }

    /// A worker says that this call's handler waits for any of its internal calls. `seen`: the answers it has had;
    /// if more were sent, one is on its way and the wait is over already.
    pub fn wait(
        &mut self,
        now: u64,
        channel: ChannelKey,
        call: CallId,
        seen: u64,
    ) -> Result<(), Broken> {
        let waiting = self.under_way(channel, call)?;
        if waiting.answers == seen && !waiting.children.is_empty() {
            let function = waiting.function;
            self.begin_wait(now, call);
            self.pump(now, function);
        }
        Ok(())
    }

    /// Hands the end of an internal call to the call that made it, when that has a slot to go on with.
    fn deliver(
        &mut self,
        now: u64,
        parent: CallId,
        tag: u64,
        function: Option<FunctionId>,
        outcome: Outcome<P>,
    ) {
        let Some(call) = self.calls.get_mut(parent) else { return };
        let Stage::Dispatched(channel) = call.stage else { return };
        let event_loop = self.containers[self.channels[channel].container].mode == Mode::EventLoop;
        // An event loop's handler goes on with each answer, but counts as waiting until it has the last.
        if call.waiting_since.is_none() || (event_loop && !call.children.is_empty()) {
            call.answers += 1;
            self.actions.push_back(Action::Deliver { channel, tag, function, outcome });
            return;
        }
        let caller = call.function;
        let f = &mut self.functions[caller as usize - 1];
        // Nearly always: a slot is free and nobody is before it.
        if call.held.is_empty() && f.resumes.is_empty() && f.running < f.max {
            call.answers += 1;
            self.end_wait(now, parent);
            self.actions.push_back(Action::Deliver { channel, tag, function, outcome });
            return;
        }
        call.held.push_back((tag, function, outcome));
        if call.held.len() == 1 {
            f.resumes.push_back(parent);
            self.pump(now, caller);
        }
    }

    /// What was an event loop call's last answer is not the last any more: it is handed over without a slot, and the call
    /// goes on waiting. Otherwise it would take a slot that the new call may need.
    fn release_held(&mut self, channel: ChannelKey, id: CallId) {
        if self.containers[self.channels[channel].container].mode != Mode::EventLoop {
            return;
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        call.answers += call.held.len() as u64;
        for (tag, function, outcome) in call.held.drain(..) {
            self.actions.push_back(Action::Deliver { channel, tag, function, outcome });
        }
    }

    fn resume(&mut self, now: u64, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Stage::Dispatched(channel) = call.stage else { return };
        let held = std::mem::take(&mut call.held);
        if held.is_empty() {
            return;
        }
        call.answers += held.len() as u64;
        self.end_wait(now, id);
        for (tag, function, outcome) in held {
            self.actions.push_back(Action::Deliver { channel, tag, function, outcome });
        }
    }

    // Calls end.

    /// A worker's answer to a call it runs, and when its handler ran.
    pub fn complete(
        &mut self,
        now: u64,
        channel: ChannelKey,
        id: CallId,
        ran: Ran,
        outcome: Outcome<P>,
    ) -> Result<(), Broken> {
        let call = self.under_way(channel, id)?;
        // Nobody has looked at the time: the engine was stopped, or busy.
        if !call.expired && now >= call.deadline {
            self.expire(now);
        }
        self.end(now, id, outcome, Ended::ByWorker(ran));
        Ok(())
    }

    /// A call could not be sent to the worker that was chosen for it, which stays idle.
    pub fn undeliverable(&mut self, now: u64, id: CallId, failure: Failure) {
        self.end(now, id, Err(failure), Ended::ByEngine);
    }

    /// Takes a dispatched call off its worker and tells its caller.
    fn end(&mut self, now: u64, id: CallId, outcome: Outcome<P>, how: Ended) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Stage::Dispatched(channel) = call.stage else { return };
        let was_waiting = call.waiting_since.is_some();
        if let Some(since) = call.waiting_since {
            call.waited_ns += now.saturating_sub(since);
        }
        let open_ns = now.saturating_sub(call.dispatched_at);
        let input = call.input;
        // To wake a worker may take longer than its handler: that is no reason to have more of them woken.
        let handler_ns = match how {
            Ended::ByWorker(ran) => {
                let ran = ran.within(call.dispatched_at, now);
                let f = &mut self.functions[call.function as usize - 1];
                let segments = f.segments.get_or_insert_default();
                segments.record(call.queued_at, call.dispatched_at, ran, now);
                ran.ended_at - ran.began_at
            }
            Ended::ByEngine | Ended::WithWorker => open_ns,
        };
        let run_ns = handler_ns.saturating_sub(call.waited_ns);
        let open_ns = open_ns.saturating_sub(call.queued_below_ns);
        let (function, outside) = (call.function, call.depth == 0);
        self.cancel_children(now, id, Status::Cancelled);
        let is_retried = how == Ended::WithWorker && self.retry(now, id, &outcome);
        let ended = if is_retried { None } else { self.calls.remove(id) };

        let f = &mut self.functions[function as usize - 1];
        if was_waiting {
            f.waiting -= 1
        } else {
            f.running -= 1
        }
        f.open_outside -= u32::from(outside);
        if how != Ended::WithWorker {
            f.concurrency.ended(now, run_ns, open_ns);
        }
        if let (Ended::ByWorker(_), Some(input)) = (how, input) {
            f.suspects.answered(now, input);
        }
        let channel_state = &mut self.channels[channel];
        if let Some(at) = channel_state.open.iter().position(|open| *open == id) {
            channel_state.open.swap_remove(at);
        }
        let key = channel_state.container;
        let container = &mut self.containers[key];
        container.running -= u32::from(!was_waiting);
        container.end_alone(id);
        if container.mode == Mode::Threads && how != Ended::WithWorker {
            container.idle.push(channel);
        }
        if let Some(call) = ended {
            let queued_ns = queued_ns(&call);
            self.settle(now, function, call.caller, call.sibling_index, queued_ns, outcome);
        }
        self.end_if_done(key);
        self.pump(now, function);
    }

    /// Tells the caller how its call ended.
    fn settle(
        &mut self,
        now: u64,
        function: FunctionId,
        caller: Caller<R>,
        sibling_index: usize,
        queued_ns: u64,
        outcome: Outcome<P>,
    ) {
        let status = outcome.as_ref().map_or_else(|failure| failure.status, |_| Status::Ok);
        match caller {
            Caller::Gateway(reply) => {
                self.function_mut(function).count_end(Origin::External, status);
                self.actions.push_back(Action::Respond { reply, outcome });
            }
            Caller::Call { parent, tag } => {
                self.function_mut(function).count_end(Origin::Internal, status);
                self.forget_child(parent, sibling_index, queued_ns);
                self.deliver(now, parent, tag, Some(function), outcome);
            }
            Caller::Nobody => {}
        }
    }

    fn forget_child(&mut self, parent: CallId, sibling_index: usize, queued_ns: u64) {
        let Some(parent) = self.calls.get_mut(parent) else { return };
        parent.queued_below_ns += queued_ns;
        if sibling_index < parent.children.len() {
            parent.children.swap_remove(sibling_index);
            if let Some(moved) = parent.children.get(sibling_index).copied()
                && let Some(moved) = self.calls.get_mut(moved)
            {
                moved.sibling_index = sibling_index;
            }
        }
    }
}

/// A queued call whose turn it is.
struct Head {
    call: CallId,
    queued_at: u64,
    nested: bool,
    input: Option<Fingerprint>,
}

/// Time a call and those below it spent in queues.
fn queued_ns<P, R>(call: &Call<P, R>) -> u64 {
    call.queued_below_ns + call.dispatched_at.saturating_sub(call.queued_at)
}

/// How a dispatched call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Its worker answered and is idle; when its handler ran.
    ByWorker(Ran),
    /// It never reached its worker, which is idle.
    ByEngine,
    /// Its worker is gone.
    WithWorker,
}
