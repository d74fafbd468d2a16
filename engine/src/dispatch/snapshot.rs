//! What the dispatcher can be asked: every count and the reason of every limit.

use super::concurrency::Report;
use super::function::{Counts, Generation};
use super::{Dispatch, FunctionId, SegmentTimes};

/// The state of a function at a moment.
#[derive(Clone, Debug)]
pub struct FunctionStatus {
    /// Its name.
    pub name: String,
    /// Processes that are connected.
    pub containers: usize,
    /// Workers that are ready.
    pub workers: usize,
    /// Workers that are being created.
    pub starting: u32,
    /// Calls that wait in the queue.
    pub queued: u32,
    /// Calls whose handler computes.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Counts since the engine started.
    pub counts: Counts,
    /// Where the time of its calls went.
    pub segments: Option<SegmentTimes>,
    /// The concurrency control's view.
    pub concurrency: Report,
    /// Why it cannot be called now.
    pub unavailable: Option<String>,
    /// The newest generation of its containers.
    pub generation: Generation,
    /// The generation that gets calls.
    pub serving: Generation,
    /// Why containers of the newest one do not come to be.
    pub failing: Option<String>,
}

impl<P, R> Dispatch<P, R> {
    /// The state of a function.
    pub fn status(&mut self, now: u64, function: FunctionId) -> FunctionStatus {
        let containers = &self.containers;
        let f = &mut self.functions[function as usize - 1];
        let of_function = || f.containers.iter().filter_map(|key| containers.get(*key));
        FunctionStatus {
            name: f.spec.name.clone(),
            containers: f.containers.len(),
            workers: of_function().map(|c| c.channels.len()).sum(),
            starting: of_function().map(|c| c.starting).sum(),
            queued: f.queued,
            running: f.running,
            waiting: f.waiting,
            counts: f.counts.clone(),
            segments: f.segments.times(),
            unavailable: f.unavailable.clone(),
            generation: f.generation,
            serving: f.serving,
            failing: f.failing.clone(),
            concurrency: f.concurrency.report(now),
        }
    }

    /// All functions, in the order they were first added.
    pub fn functions(&self) -> impl Iterator<Item = FunctionId> + use<P, R> {
        let all = 1..=self.functions.len() as FunctionId;
        all.filter(|id| !self.function(*id).removed).collect::<Vec<_>>().into_iter()
    }
}
