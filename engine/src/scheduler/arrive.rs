//! Admits new calls, from clients and from other calls.

use super::Scheduler;
use super::action::Action;
use super::event::{Arrival, InternalCall};
use super::time::ns;
use super::turn::Turn;
use crate::calls::{Call, Caller, NewCall, Parent, Share};
use crate::functions::admission::Refusal;
use crate::functions::{Candidate, Lane, Origin};
use crate::ids::{CallId, CallNumber, ChannelKey, FunctionId};
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;
use nightcore_runtime::protocol::{Broken, CancelReason, Failure};

/// The facts of a call that makes another one.
#[derive(Clone, Copy)]
struct Making {
    function: FunctionId,
    root: CallId,
    depth: u32,
    deadline: Option<u64>,
    abandoned: Option<CancelReason>,
    /// How many calls the call has under way, and its worker.
    children: usize,
    outstanding: usize,
}

impl<P: Share, R> Scheduler<P, R> {
    /// Admits a call from a client. [`Action::Respond`] reports its end.
    pub(super) fn arrives(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        arrival: Arrival<P, R>,
    ) -> Result<CallNumber, Failure> {
        let now = turn.now;
        let Arrival { function, root, timeout, payload, bytes, input, reply } = arrival;
        let f = &mut self.functions[function];
        let most = f.spec().timeout;
        let deadline = now.saturating_add(ns(timeout.map_or(most, |asked| asked.min(most))));
        if let Err(refusal) = f.admit(now, Candidate { input, bytes, deadline }) {
            f.count_end(Origin::External, refusal.status());
            return Err(refusal.into());
        }
        f.counts.accepted(Origin::External);
        let caller = Caller::Client(reply);
        let depth = 0;
        let admitted = NewCall { function, caller, payload, bytes, input, root, depth, deadline };
        let call = self.enter(turn, admitted, Lane::Outside);
        self.pump(turn, function);
        Ok(call)
    }

    /// Finds the call with this number, which this worker runs.
    ///
    /// # Errors
    ///
    /// If the worker does not run it: a worker may not name another one's call.
    pub(super) fn run_by(
        &self,
        channel: ChannelKey,
        call: CallNumber,
    ) -> Result<&Call<P, R>, Broken> {
        let found = self.calls.get(call).filter(|call| call.channel() == Some(channel));
        found.ok_or(Broken::Call(call.number()))
    }

    /// Admits a call from a worker. [`Action::Deliver`] reports its end.
    pub(super) fn invoke(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        invoke: InternalCall<'_, P>,
    ) -> Result<(), Broken> {
        let InternalCall { channel, parent, tag, waits, .. } = invoke;
        let caller = self.run_by(channel, parent)?;
        let invokes = self.pool.invokes(channel);
        if invokes.is_some_and(|invokes| invokes.get(tag).is_some()) {
            return Err(Broken::Invoke(tag.0));
        }
        // The engine knows nothing of a direct call, so the call itself tells its root and depth.
        // Its lease is no call of its tree.
        let (root, depth) = match (invoke.below, caller.root()) {
            (Some(below), None) => (below.root, below.depth),
            (None, Some(root)) => (root, caller.depth() + 1),
            _ => return Err(Broken::Call(parent.number())),
        };
        let making = Making {
            function: caller.function(),
            root,
            depth,
            deadline: caller.deadline(),
            abandoned: caller.abandoned().map(|(reason, _)| reason),
            children: caller.children().len(),
            outstanding: invokes.map_or(0, |invokes| invokes.len()),
        };
        let (callee, deadline) = match self.admit_nested(turn.now, &invoke, making) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.refuse_nested(turn, &invoke, refusal);
                return Ok(());
            }
        };
        self.functions[callee].counts.accepted(Origin::Internal);
        let InternalCall { payload, bytes, input, .. } = invoke;
        let caller = Caller::Call(Parent { call: parent, channel, tag, place: making.children });
        let (function, root, depth) = (callee, making.root, making.depth);
        let admitted = NewCall { function, caller, payload, bytes, input, root, depth, deadline };
        let call = self.enter(turn, admitted, Lane::Nested);
        self.calls.add_child(parent, call);
        if let Some(invokes) = self.pool.invokes_mut(channel) {
            invokes.began(tag, call);
        }
        self.release_held(turn, channel, parent);
        if waits {
            self.lend(turn, parent);
        }
        self.pump(turn, callee);
        if waits && callee != making.function {
            self.pump(turn, making.function);
        }
        // Only a thread that waits for the answer can call directly.
        if waits && let Some(caller) = self.pool.container_of(channel) {
            self.count_edge(turn, caller, callee);
        }
        Ok(())
    }

    /// Finds the function that a nested call is for, and the call's deadline.
    fn admit_nested(
        &mut self,
        now: u64,
        invoke: &InternalCall<'_, P>,
        making: Making,
    ) -> Result<(FunctionId, u64), Refusal> {
        let name = || Refusal::NotFound { name: invoke.name.to_owned() };
        let callee = invoke.callee.ok_or_else(name)?;
        if let Some(reason) = making.abandoned {
            return Err(Refusal::CallerGone(reason));
        }
        // A direct call tells its own deadline. The engine cannot know otherwise that its handler
        // goes on after it.
        if invoke.below.is_some() && invoke.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Refusal::CallerGone(CancelReason::Deadline));
        }
        let f = &mut self.functions[callee];
        let max_depth = f.spec().max_depth;
        if making.depth > max_depth {
            return Err(Refusal::TooDeep { max_depth });
        }
        if making.outstanding >= MAX_OUTSTANDING {
            return Err(Refusal::TooManyCalls { most: MAX_OUTSTANDING });
        }
        let own = now.saturating_add(ns(f.spec().timeout));
        let deadline = [making.deadline, invoke.deadline].into_iter().flatten().fold(own, u64::min);
        f.admit(now, Candidate { input: invoke.input, bytes: invoke.bytes, deadline })?;
        Ok((callee, deadline))
    }

    fn refuse_nested(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        invoke: &InternalCall<'_, P>,
        refusal: Refusal,
    ) {
        self.refused(invoke.callee, Origin::Internal, refusal.status());
        if let Some(caller) = self.calls.get_mut(invoke.parent) {
            caller.count_answers(1);
        }
        turn.push(Action::Deliver {
            channel: invoke.channel,
            tag: invoke.tag,
            function: invoke.callee,
            outcome: Err(refusal.into()),
        });
    }

    /// Adds an admitted call to its function's queue.
    #[inline]
    pub(super) fn enter(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        call: NewCall<P, R>,
        lane: Lane,
    ) -> CallNumber {
        let (function, deadline) = (call.function, call.deadline);
        let f = &mut self.functions[function];
        f.call_arrives(turn.now);
        let id = self.calls.enter(call, turn.now, f.slots.load_mut());
        f.queue.push(lane, id);
        self.check_at(id, deadline);
        self.upkeep.watch(function);
        id
    }
}
