//! Ends calls, and tells their callers.

use super::Scheduler;
use super::action::Action;
use super::ended_by::EndedBy;
use super::turn::Turn;
use crate::calls::{Caller, Outcome, Patience, Share, Times};
use crate::functions::{Origin, Ran};
use crate::ids::{CallNumber, ChannelKey, FunctionId};
use nightcore_runtime::protocol::{Broken, Status};

impl<P: Share, R> Scheduler<P, R> {
    /// Takes a worker's answer to a call that it runs.
    pub(super) fn complete(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        (channel, id): (ChannelKey, CallNumber),
        ran: Ran,
        outcome: Outcome<P>,
    ) -> Result<(), Broken> {
        let call = self.run_by(channel, id)?;
        let is_late = call.deadline().is_some_and(|deadline| turn.now >= deadline);
        let is_seen =
            call.abandoned().is_some_and(|(_, patience)| patience != Patience::UntilDeadline);
        // The engine was stopped or busy, and has not noticed yet that the deadline passed.
        if is_late && !is_seen {
            self.expire(turn);
        }
        self.end(turn, id, outcome, EndedBy::Worker(ran));
        Ok(())
    }

    /// Ends a dispatched call: takes it from its worker, and tells its caller.
    pub(super) fn end(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        id: CallNumber,
        outcome: Outcome<P>,
        by: EndedBy,
    ) {
        let Some(call) = self.calls.get(id) else { return };
        let (Some(at), Some(times)) = (call.dispatched(), call.times(turn.now)) else { return };
        let (function, input, queued_ns) = (call.function(), call.input(), call.queued_ns());
        let is_lease = call.is_lease();
        // The caller of an abandoned call was told its end before.
        let (root, is_abandoned) = (call.root(), call.abandoned().is_some());
        if !is_lease {
            let times = (call.queued_at(), times, is_abandoned);
            self.learn(turn.now, function, times, by);
        }
        if let (EndedBy::Worker(_), Some(input)) = (by, input) {
            self.functions[function].quarantine.answered(turn.now, input);
        }
        let is_again = by == EndedBy::Death && self.takes_retry(turn.now, id, &outcome);
        let load = self.functions[function].slots.load_mut();
        let loads = self.pool.loads(at.container, at.channel, load);
        let (caller, children) = if is_again {
            let Some(call) = self.calls.get_mut(id) else { return };
            (None, call.requeue(loads))
        } else {
            let Some(call) = self.calls.remove(id) else { return };
            let ended = call.end(loads);
            (ended.caller, ended.children)
        };
        let container = &mut self.pool[at.container];
        container.end_alone(id);
        if by == EndedBy::Death && !is_again && !is_lease && !is_abandoned {
            root.into_iter().for_each(|root| container.failed_calls.add(root));
        }
        if by != EndedBy::Death {
            container.workers.ended_call(at.channel);
        }
        if is_lease {
            self.lease_ended(turn, (id, function), outcome.err());
        } else if let Some(caller) = caller {
            self.settle(turn, function, (caller, queued_ns), outcome);
        }
        self.cancel_children(turn, children);
        self.end_if_done(turn, at.container);
        self.pump(turn, function);
    }

    /// Counts how long a call spent in each segment of its way.
    #[inline]
    fn learn(
        &mut self,
        now: u64,
        function: FunctionId,
        (queued_at, times, is_abandoned): (u64, Times, bool),
        by: EndedBy,
    ) {
        let f = &mut self.functions[function];
        let open_ns = now.saturating_sub(times.dispatched_at);
        // Waking a worker may take longer than the handler runs. Such a delay is no reason to run
        // more workers.
        let handler_ns = match by {
            EndedBy::Worker(ran) => {
                let ran = ran.within(times.dispatched_at, now);
                f.segments_mut().record(queued_at, times.dispatched_at, ran, now);
                // A handler that waits for a direct call keeps its slot.
                ran.ended_at - ran.began_at
            }
            EndedBy::Engine => open_ns,
            EndedBy::Death => return,
        };
        let run_ns = handler_ns.saturating_sub(times.waited_ns);
        let open_ns = open_ns.saturating_sub(times.queued_below_ns);
        if matches!(by, EndedBy::Worker(_)) && !is_abandoned {
            f.lateness.answered(open_ns);
        }
        f.cores.ended(run_ns);
        f.concurrency.ended(now, run_ns, open_ns);
    }

    /// Whether a call whose worker is gone is sent again. If so, one retry is used up.
    fn takes_retry(&mut self, now: u64, id: CallNumber, outcome: &Outcome<P>) -> bool {
        let Some(call) = self.calls.get(id) else { return false };
        let died = matches!(outcome, Err(failure) if failure.status == Status::ContainerDied);
        let is_late = call.deadline().is_some_and(|deadline| now >= deadline);
        if !died || is_late || !call.can_be_sent_again() {
            return false;
        }
        let (function, retried) = (call.function(), call.retried());
        let not_begun = call.is_not_begun();
        self.functions[function].take_retry(now, id, retried, not_begun)
    }

    /// Tells a caller how its call ended. `queued_ns` is how long the call and the calls below it
    /// were queued.
    pub(super) fn settle(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        function: FunctionId,
        (caller, queued_ns): (Caller<R>, u64),
        outcome: Outcome<P>,
    ) {
        let status = outcome.as_ref().map_or_else(|failure| failure.status, |_| Status::Ok);
        let f = &mut self.functions[function];
        match caller {
            Caller::Client(reply) => {
                f.count_end(Origin::External, status);
                turn.push(Action::Respond { reply, outcome });
            }
            Caller::Lease(_) => {}
            Caller::Process { channel, tag } => {
                f.count_end(Origin::Internal, status);
                self.forget_invoke(channel, tag);
                turn.push(Action::Deliver { channel, tag, function: Some(function), outcome });
            }
            Caller::Call(parent) => {
                f.count_end(Origin::Internal, status);
                self.calls.forget_child(parent, queued_ns);
                self.forget_invoke(parent.channel, parent.tag);
                self.deliver(turn, parent, function, outcome);
            }
        }
    }
}
