//! Calls whose end nobody waits for any more, and all calls below them.

use super::action::Action;
use super::call::{CallId, Caller, Stage};
use super::function::Origin;
use super::input::Input;
use super::{ChannelKey, Dispatch, queued_ns};
use nightcore_runtime::protocol::{Failure, Status};

impl<P: Input, R> Dispatch<P, R> {
    /// The client of this call has left.
    pub fn cancel(&mut self, now: u64, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        // One that was told of the end already, such as at the deadline, has ended by that.
        if matches!(std::mem::replace(&mut call.caller, Caller::Nobody), Caller::Nobody) {
            return;
        }
        let function = call.function;
        self.function_mut(function).count_end(Origin::External, Status::Cancelled);
        self.cancel_tree(now, id, Status::Cancelled);
    }

    /// A worker no longer wants an internal call that it made.
    pub fn cancel_invoke(&mut self, now: u64, channel: ChannelKey, tag: u64) {
        let Some(state) = self.channels.get(channel) else { return };
        let children = state
            .open
            .iter()
            .filter_map(|id| self.calls.get(*id))
            .flat_map(|call| call.children.iter());
        let found = children.copied().find(|child| {
            self.calls
                .get(*child)
                .is_some_and(|c| matches!(c.caller, Caller::Call { tag: t, .. } if t == tag))
        });
        if let Some(child) = found {
            let failure = Failure::new(Status::Cancelled, "the caller no longer wants it");
            self.abandon(now, child, failure);
            self.cancel_tree(now, child, Status::Cancelled);
        }
    }

    /// Tells the caller of a call that is still somewhere that it is over.
    pub(super) fn abandon(&mut self, now: u64, id: CallId, failure: Failure) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let caller = std::mem::replace(&mut call.caller, Caller::Nobody);
        let (function, sibling_index, queued_ns) =
            (call.function, call.sibling_index, queued_ns(call));
        self.settle(now, function, caller, sibling_index, queued_ns, Err(failure));
    }

    /// Cancels a call whose caller knows already, and all calls below it.
    pub(super) fn cancel_tree(&mut self, now: u64, root: CallId, why: Status) {
        let mut left = vec![root];
        while let Some(id) = left.pop() {
            let Some(call) = self.calls.get_mut(id) else { continue };
            match call.stage {
                Stage::Queued => {
                    let (function, bytes) = (call.function, call.bytes);
                    self.calls.remove(id);
                    let f = &mut self.functions[function as usize - 1];
                    f.queued -= 1;
                    f.queued_bytes -= bytes;
                    let calls = &self.calls;
                    f.forget_ended(|id| calls.get(id).is_some());
                }
                Stage::Dispatched(channel) => {
                    call.kept = None;
                    if !std::mem::replace(&mut call.cancelled, true) {
                        self.actions.push_back(Action::Cancel { channel, call: id });
                    }
                    left.extend(self.abandon_children(now, id, why));
                }
            }
        }
    }

    /// Cancels what a call that has ended still had under way; its worker is told nothing.
    pub(super) fn cancel_children(&mut self, now: u64, id: CallId, why: Status) {
        let Some(call) = self.calls.get_mut(id) else { return };
        for child in std::mem::take(&mut call.children) {
            if let Some(call) = self.calls.get_mut(child) {
                call.caller = Caller::Nobody;
                let function = call.function;
                self.function_mut(function).count_end(Origin::Internal, why);
                self.cancel_tree(now, child, why);
            }
        }
    }

    /// Ends all internal calls of a call in the eyes of its worker; they themselves are still to be cancelled.
    fn abandon_children(&mut self, now: u64, id: CallId, why: Status) -> Vec<CallId> {
        let Some(call) = self.calls.get(id) else { return Vec::new() };
        if call.children.is_empty() {
            return Vec::new();
        }
        let children = call.children.clone();
        for child in children.iter().rev() {
            self.abandon(now, *child, Failure::new(why, why.title()));
        }
        children
    }
}
