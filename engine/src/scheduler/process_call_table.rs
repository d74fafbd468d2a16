//! The calls that processes have under way outside of any request.

use crate::ids::{CallNumber, ChannelKey};
use nightcore_runtime::protocol::InvokeNumber;
use std::collections::HashMap;

/// The calls that processes have under way.
#[derive(Debug, Default)]
pub(super) struct ProcessCalls {
    /// Those of each caller.
    of: HashMap<ChannelKey, HashMap<InvokeNumber, CallNumber>>,
    /// No more are taken.
    is_over: bool,
}

impl ProcessCalls {
    pub(super) fn count(&self, channel: ChannelKey) -> usize {
        self.of.get(&channel).map_or(0, HashMap::len)
    }

    pub(super) fn add(&mut self, channel: ChannelKey, tag: InvokeNumber, call: CallNumber) {
        self.of.entry(channel).or_default().insert(tag, call);
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, channel: ChannelKey, tag: InvokeNumber) {
        if let Some(calls) = self.of.get_mut(&channel) {
            calls.remove(&tag);
        }
    }

    /// The call that a caller knows by this number.
    pub(super) fn with_tag(&self, channel: ChannelKey, tag: InvokeNumber) -> Option<CallNumber> {
        self.of.get(&channel)?.get(&tag).copied()
    }

    pub(super) fn take(&mut self, channel: ChannelKey) -> Vec<CallNumber> {
        self.of.remove(&channel).map(HashMap::into_values).into_iter().flatten().collect()
    }

    /// No more are taken from now on.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether no more are taken.
    pub(super) fn are_over(&self) -> bool {
        self.is_over
    }
}
