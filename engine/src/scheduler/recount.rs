//! Recounts all calls, for tests. It takes time in proportion to the number of calls. A scheduler
//! with correct counters does not need it.

use super::Scheduler;
use crate::calls::{CallTable, Caller, FunctionLoad};
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::protocol::InvokeNumber;
use std::collections::BTreeMap;

/// The sums over the states of all calls.
#[derive(Debug, Default, PartialEq, Eq)]
struct Recounted {
    /// By function: queued calls, queued bytes, running calls, waiting calls, and open calls from
    /// outside.
    functions: BTreeMap<FunctionId, (u32, u64, u32, u32, u32)>,
    /// Running calls by container.
    containers: BTreeMap<ContainerKey, u32>,
    /// Open calls by worker.
    workers: BTreeMap<ChannelKey, Vec<CallNumber>>,
    /// Internal calls under way, by the worker that made them and its number for each.
    invokes: BTreeMap<(ChannelKey, InvokeNumber), CallNumber>,
}

impl Recounted {
    fn of<P, R>(calls: &CallTable<P, R>) -> Recounted {
        let mut sums = Recounted::default();
        for call in calls.iter() {
            let made_by = match call.caller() {
                Some(Caller::Call(parent)) => Some((parent.channel, parent.tag)),
                Some(Caller::Process { channel, tag }) => Some((*channel, *tag)),
                _ => None,
            };
            if let Some(made_by) = made_by {
                sums.invokes.insert(made_by, call.id());
            }
            let (queued, bytes, running, waiting, outside) =
                sums.functions.entry(call.function()).or_default();
            let Some(at) = call.dispatched() else {
                *queued += 1;
                *bytes += call.bytes();
                continue;
            };
            *running += u32::from(!at.waits);
            *waiting += u32::from(at.waits);
            *outside += u32::from(call.depth() == 0);
            *sums.containers.entry(at.container).or_default() += u32::from(!at.waits);
            sums.workers.entry(at.channel).or_default().push(call.id());
        }
        sums.containers.retain(|_, running| *running > 0);
        sums.workers.values_mut().for_each(|open| open.sort_unstable());
        sums
    }
}

impl<P, R> Scheduler<P, R> {
    /// Recounts all calls by their states, and compares the sums with every counter.
    ///
    /// # Errors
    ///
    /// If they differ: a text with both.
    pub fn recount(&self) -> Result<(), String> {
        let load = |load: &FunctionLoad| {
            let queued = (load.queued(), load.queued_bytes());
            (queued.0, queued.1, load.running(), load.waiting(), load.open_outside())
        };
        let mut kept = Recounted::default();
        for (id, function) in self.functions.all() {
            kept.functions.insert(id, load(function.slots.load()));
        }
        kept.functions.retain(|_, load| *load != (0, 0, 0, 0, 0));
        for (key, container) in self.pool.all_containers() {
            kept.containers.insert(key, container.load().running());
        }
        kept.containers.retain(|_, running| *running > 0);
        for (channel, open) in self.pool.all_open() {
            let mut open = open.ids().to_vec();
            open.sort_unstable();
            kept.workers.insert(channel, open);
        }
        kept.workers.retain(|_, open| !open.is_empty());
        for (channel, invokes) in self.pool.all_invokes() {
            kept.invokes.extend(invokes.iter().map(|(tag, call)| ((channel, tag), call)));
        }
        let sums = Recounted::of(&self.calls);
        if sums == kept { Ok(()) } else { Err(format!("counted {sums:?}, kept {kept:?}")) }
    }
}
