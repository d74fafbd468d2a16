//! Calls that a process makes outside of any request.
//!
//! Such a call has no parent. For its callee's queue it is a call from outside. It ends by its own
//! deadline, when its process no longer wants it, or with its process.

use super::Scheduler;
use super::action::{Action, Actions};
use super::event::CallAlone;
use super::time::ns;
use super::turn::Turn;
use crate::calls::{Caller, NewCall, Share};
use crate::functions::admission::Refusal;
use crate::functions::{Candidate, Lane, Origin};
use crate::ids::{ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::protocol::Broken;
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;

impl<P: Share, R> Scheduler<P, R> {
    /// Adds the channel of a container's caller, which is ready.
    pub fn caller_ready(
        &mut self,
        now: u64,
        container: ContainerKey,
        actions: &mut Actions<P, R>,
    ) -> ChannelKey {
        self.turn(now, actions, |scheduler, _| scheduler.pool.add_caller(container))
    }

    /// Refuses process calls from now on, as the engine stops and tells every process to exit. A
    /// process that has something to finish cannot make calls any more.
    pub fn end_process_calls(&mut self) {
        self.takes_process_calls = false;
    }

    /// Admits a process call. [`Action::Deliver`] reports its end.
    pub(super) fn called_alone(
        &mut self,
        turn: &mut Turn<'_, P, R>,
        call: CallAlone<'_, P>,
    ) -> Result<(), Broken> {
        let (channel, tag) = (call.channel, call.tag);
        let Some(made) = self.pool.invokes(channel) else { return Ok(()) };
        if made.get(tag).is_some() {
            return Err(Broken::Invoke(tag.0));
        }
        let outstanding = made.len();
        let (function, deadline) = match self.admit_alone(turn.now, &call, outstanding) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.refused(call.callee, Origin::Internal, refusal.status());
                let (function, outcome) = (call.callee, Err(refusal.into()));
                turn.push(Action::Deliver { channel, tag, function, outcome });
                return Ok(());
            }
        };
        self.functions[function].counts.accepted(Origin::Internal);
        let CallAlone { root, payload, bytes, input, .. } = call;
        let caller = Caller::Process { channel, tag };
        let depth = 0;
        let admitted = NewCall { function, caller, payload, bytes, input, root, depth, deadline };
        let id = self.enter(turn, admitted, Lane::Outside);
        if let Some(made) = self.pool.invokes_mut(channel) {
            made.began(tag, id);
        }
        self.pump(turn, function);
        Ok(())
    }

    /// Finds the function that the call is for, and the call's deadline.
    fn admit_alone(
        &mut self,
        now: u64,
        call: &CallAlone<'_, P>,
        outstanding: usize,
    ) -> Result<(FunctionId, u64), Refusal> {
        let name = || Refusal::NotFound { name: call.name.to_owned() };
        let callee = call.callee.ok_or_else(name)?;
        if !self.takes_process_calls {
            return Err(Refusal::Unavailable { reason: "the engine is stopping".into() });
        }
        if outstanding >= MAX_OUTSTANDING {
            return Err(Refusal::TooManyCalls { most: MAX_OUTSTANDING });
        }
        let f = &mut self.functions[callee];
        let own = now.saturating_add(ns(f.spec().timeout));
        let deadline = call.deadline.map_or(own, |asked| asked.min(own));
        f.admit(now, Candidate { input: call.input, bytes: call.bytes, deadline })?;
        Ok((callee, deadline))
    }

    /// The function of the process that makes calls on this channel.
    pub(super) fn function_of(&self, channel: ChannelKey) -> Option<FunctionId> {
        self.pool.container_of(channel).map(|container| self.pool[container].function())
    }

    /// Cancels the calls that were made on this channel, as nobody waits for them any more.
    pub(super) fn caller_gone(&mut self, turn: &mut Turn<'_, P, R>, channel: ChannelKey) {
        let made = self.pool.invokes(channel).into_iter().flat_map(|made| made.iter());
        let calls = made.map(|(_, call)| call).collect();
        self.cancel_children(turn, calls);
    }
}
