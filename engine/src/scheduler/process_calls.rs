//! Calls that a process makes outside of any request. They have no parent: each is a call from
//! outside in the eyes of its callee's queue, and ends by its own deadline, when its process no
//! longer wants it, or with its process.

use super::Scheduler;
use super::action::{Action, Actions};
use super::event::CallAlone;
use super::time::ns;
use super::turn::Turn;
use crate::calls::{Caller, NewCall, Share};
use crate::functions::admission::Refusal;
use crate::functions::{Candidate, Lane, Origin};
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;
use nightcore_runtime::protocol::{CancelReason, Failure, Status};

impl<P: Share, R> Scheduler<P, R> {
    /// The channel of a container's caller is ready.
    pub fn caller_ready(
        &mut self,
        now: u64,
        container: ContainerKey,
        actions: &mut Actions<P, R>,
    ) -> ChannelKey {
        self.turn(now, actions, |scheduler, _| scheduler.pool.add_caller(container))
    }

    /// The engine stops, and every process is told to end: one that has something to finish cannot
    /// call any more.
    pub fn end_process_calls(&mut self) {
        self.process_calls.end();
    }

    /// Takes a call that a process makes outside of any request. Its end comes as
    /// [`Action::Deliver`].
    pub(super) fn called_alone(&mut self, turn: &mut Turn<'_, P, R>, call: CallAlone<'_, P>) {
        let (channel, tag) = (call.channel, call.tag);
        let (function, deadline) = match self.admit_alone(turn.now, &call) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.refused(call.callee, Origin::Internal, refusal.status());
                let (function, outcome) = (call.callee, Err(refusal.into()));
                turn.push(Action::Deliver { channel, tag, function, outcome });
                return;
            }
        };
        self.functions[function].counts.accepted(Origin::Internal);
        let CallAlone { payload, bytes, input, .. } = call;
        let caller = Caller::Process { channel, tag };
        let admitted = NewCall { function, caller, payload, bytes, input, below: None, deadline };
        let id = self.enter(turn, admitted, Lane::Outside);
        self.process_calls.add(channel, tag, id);
        self.pump(turn, function);
    }

    /// The function that the call is for, and when it must have ended.
    fn admit_alone(
        &mut self,
        now: u64,
        call: &CallAlone<'_, P>,
    ) -> Result<(FunctionId, u64), Refusal> {
        let name = || Refusal::NotFound { name: call.name.to_owned() };
        let callee = call.callee.ok_or_else(name)?;
        if self.process_calls.are_over() {
            return Err(Refusal::Unavailable { reason: "the engine is stopping".into() });
        }
        if self.process_calls.count(call.channel) >= MAX_OUTSTANDING {
            return Err(Refusal::TooManyCalls { most: MAX_OUTSTANDING });
        }
        let f = &mut self.functions[callee];
        let own = now.saturating_add(ns(f.spec().timeout));
        let deadline = call.deadline.map_or(own, |asked| asked.min(own));
        f.admit(now, Candidate { input: call.input, bytes: call.bytes, deadline })?;
        Ok((callee, deadline))
    }

    /// The function of the process that makes calls by this channel.
    pub(super) fn function_of(&self, channel: ChannelKey) -> Option<FunctionId> {
        self.pool.container_of(channel).map(|container| self.pool[container].function())
    }

    /// A process no longer wants a call that it has made outside of any request.
    pub(super) fn cancel_alone(&mut self, turn: &mut Turn<'_, P, R>, id: CallNumber) {
        let failure = Failure::new(Status::Cancelled, "the caller no longer wants it");
        self.cancel(turn, id, failure, CancelReason::Caller);
    }

    /// A caller is gone, and nobody waits for its calls any more.
    pub(super) fn caller_gone(&mut self, turn: &mut Turn<'_, P, R>, channel: ChannelKey) {
        let calls = self.process_calls.take(channel);
        self.cancel_children(turn, calls);
    }
}
