//! Cancels calls whose end no caller waits for any more, and all calls below them.

use super::Scheduler;
use super::action::Action;
use super::turn::Turn;
use crate::calls::{Caller, Share};
use crate::functions::Origin;
use crate::ids::{CallNumber, ChannelKey};
use nightcore_runtime::protocol::{CancelReason, Failure, InvokeNumber, Status};

/// The message to the caller of a cancelled call, if there is any.
enum Tell {
    /// This failure.
    Failure(Failure),
    /// Nothing, as the caller knows already. The call's end is counted with this status.
    Count(Origin, Status),
}

impl<P: Share, R> Scheduler<P, R> {
    /// Cancels a call whose client has left.
    pub(super) fn client_left(&mut self, turn: &mut Turn<'_, P, R>, id: CallNumber) {
        let tell = Tell::Count(Origin::External, Status::Cancelled);
        self.give_up(turn, vec![(id, tell)], CancelReason::Caller);
    }

    /// Cancels an internal call that the process which made it no longer wants.
    pub(super) fn cancel_invoke(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        channel: ChannelKey,
        tag: InvokeNumber,
    ) {
        if let Some(child) = self.pool.invokes(channel).and_then(|invokes| invokes.get(tag)) {
            let failure = Failure::new(Status::Cancelled, "the caller no longer wants it");
            self.cancel(turn, child, failure, CancelReason::Caller);
        }
    }

    /// Ends a call for its caller with this failure. Cancels the call and all calls below it.
    pub(super) fn cancel(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        id: CallNumber,
        failure: Failure,
        reason: CancelReason,
    ) {
        self.give_up(turn, vec![(id, Tell::Failure(failure))], reason);
    }

    /// Cancels the calls that were still under way when the call that made them ended.
    pub(super) fn cancel_children(&mut self, turn: &mut Turn<'_, P, R>, children: Vec<CallNumber>) {
        if children.is_empty() {
            return;
        }
        let count = |child| (child, Tell::Count(Origin::Internal, Status::Cancelled));
        let left = children.into_iter().rev().map(count).collect();
        self.give_up(turn, left, CancelReason::Caller);
    }

    /// Ends a queued call with this failure.
    pub(super) fn end_queued(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        id: CallNumber,
        failure: Failure,
    ) {
        if self.calls.get(id).is_some_and(|call| call.is_queued()) {
            self.give_up(turn, vec![(id, Tell::Failure(failure))], CancelReason::Caller);
        }
    }

    /// Cancels the calls in `left`, the last one first, and all calls below each of them.
    fn give_up(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        mut left: Vec<(CallNumber, Tell)>,
        reason: CancelReason,
    ) {
        while let Some((id, tell)) = left.pop() {
            let Some(call) = self.calls.get_mut(id) else { continue };
            let (function, queued_ns) = (call.function(), call.queued_ns());
            let channel = call.channel();
            let caller = match channel {
                Some(_) => call.abandon(reason),
                None => self.leave_queue(id),
            };
            // A call without a caller was abandoned before, for example at its deadline.
            let Some(caller) = caller else { continue };
            match tell {
                Tell::Failure(failure) => {
                    self.settle(turn, function, (caller, queued_ns), Err(failure));
                }
                Tell::Count(origin, status) => {
                    match caller {
                        Caller::Call(parent) => self.forget_invoke(parent.channel, parent.tag),
                        Caller::Process { channel, tag } => self.forget_invoke(channel, tag),
                        Caller::Client(_) | Caller::Lease(_) => {}
                    }
                    self.functions[function].count_end(origin, status);
                }
            }
            let Some(channel) = channel else { continue };
            turn.push(Action::Cancel { channel, call: id, reason });
            let status = reason.status();
            let children = self.calls.get(id).map(|call| call.children()).unwrap_or_default();
            let told =
                |child: &CallNumber| (*child, Tell::Failure(Failure::new(status, status.title())));
            left.extend(children.iter().map(told));
        }
    }

    /// Forgets an internal call whose end its process has been told, or does not want to be told.
    #[inline]
    pub(super) fn forget_invoke(&mut self, channel: ChannelKey, tag: InvokeNumber) {
        if let Some(invokes) = self.pool.invokes_mut(channel) {
            invokes.ended(tag);
        }
    }

    /// Removes a call from its function's queue. Returns its caller, who must still be told.
    fn leave_queue(&mut self, id: CallNumber) -> Option<Caller<R>> {
        let call = self.calls.remove(id)?;
        let f = &mut self.functions[call.function()];
        let caller = call.leave(f.slots.load_mut());
        let calls = &self.calls;
        let queued = f.slots.load().queued();
        f.queue.forget_left(queued, |id| calls.get(id).is_some_and(|call| call.is_queued()));
        caller
    }
}
