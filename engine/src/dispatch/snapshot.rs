//! What the dispatcher can be asked: every count and the reason of every limit.

use super::concurrency::Report;
use super::function::{Counts, Generation};
use super::input::Input;
use super::{Dispatch, FunctionId, Origin, Quarantined, Segments};

/// Connected containers of a function, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerCounts {
    /// A worker of it is ready.
    pub ready: u32,
    /// Its first worker is being created, or its generation does not serve yet.
    pub starting: u32,
    /// It holds a handler that does not end, or is ending, and gets no new calls.
    pub set_aside: u32,
}

/// Workers of a function, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// No call was sent to it that has not ended.
    pub idle: u32,
    /// Its call has not ended; of an event loop: at least one.
    pub busy: u32,
    /// Being created.
    pub starting: u32,
}

/// The state of a function at a moment.
#[derive(Clone, Debug)]
pub struct FunctionStatus {
    /// Its name.
    pub name: String,
    /// Processes that are connected.
    pub containers: ContainerCounts,
    /// Their workers.
    pub workers: WorkerCounts,
    /// Calls that wait in the queue.
    pub queued: u32,
    /// What they carry, bytes.
    pub queued_bytes: u64,
    /// Calls whose handler computes.
    pub running: u32,
    /// Calls that wait for an internal call.
    pub waiting: u32,
    /// Counts since the engine started.
    pub counts: Counts,
    /// The concurrency control's view.
    pub concurrency: Report,
    /// Most calls that may run at once.
    pub max: u32,
    /// Why it cannot be called now.
    pub unavailable: Option<String>,
    /// The newest generation of its containers.
    pub generation: Generation,
    /// The generation that gets calls.
    pub serving: Generation,
    /// Why containers of the newest one do not come to be.
    pub failing: Option<String>,
    /// Inputs that are refused; the one that was refused last comes first.
    pub quarantined: Vec<Quarantined>,
}

impl<P: Input, R> Dispatch<P, R> {
    /// The state of a function.
    pub fn status(&mut self, now: u64, function: FunctionId) -> FunctionStatus {
        let (containers, channels) = (&self.containers, &self.channels);
        let f = &mut self.functions[function as usize - 1];
        let mut by_state = ContainerCounts::default();
        let mut workers = WorkerCounts::default();
        for container in f.containers.iter().filter_map(|key| containers.get(*key)) {
            match container.set_aside {
                true => by_state.set_aside += 1,
                false if container.warming || container.channels.is_empty() => {
                    by_state.starting += 1
                }
                false => by_state.ready += 1,
            }
            for channel in container.channels.iter().filter_map(|key| channels.get(*key)) {
                match channel.open.is_empty() {
                    true => workers.idle += 1,
                    false => workers.busy += 1,
                }
            }
            workers.starting += container.starting;
        }
        FunctionStatus {
            name: f.spec.name.clone(),
            containers: by_state,
            workers,
            queued: f.queued,
            queued_bytes: f.queued_bytes,
            running: f.running,
            waiting: f.waiting,
            counts: f.counts.clone(),
            max: f.max,
            unavailable: f.unavailable.clone(),
            generation: f.generation,
            serving: f.serving,
            failing: f.failing.clone(),
            quarantined: f.suspects.quarantined(now),
            concurrency: f.concurrency.report(now),
        }
    }

    /// Where the time of a function's calls went; none before one was answered.
    pub fn segments(&self, function: FunctionId) -> Option<&Segments> {
        self.function(function).segments.as_deref()
    }

    /// How often a function was called that is not there, from this origin.
    pub fn not_found(&self, origin: Origin) -> u64 {
        self.not_found[origin as usize]
    }

    /// All functions, in the order they were first added.
    pub fn functions(&self) -> impl Iterator<Item = FunctionId> + use<P, R> {
        let all = 1..=self.functions.len() as FunctionId;
        all.filter(|id| !self.function(*id).removed).collect::<Vec<_>>().into_iter()
    }
}
