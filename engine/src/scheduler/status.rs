//! Questions that the scheduler answers.

use super::Scheduler;
use super::snapshot::{ContainerCounts, FunctionStatus, WorkerCounts};
use crate::calls::Share;
use crate::functions::{Origin, Segments};
use crate::ids::{CallNumber, FunctionId};
use crate::pool::Phase;

impl<P: Share, R> Scheduler<P, R> {
    /// The state of a function.
    pub fn status(&mut self, now: u64, function: FunctionId) -> FunctionStatus {
        let mut containers = ContainerCounts::default();
        let mut workers = WorkerCounts::default();
        for (_, container) in self.pool.containers(function) {
            let ready = container.workers.ready();
            match container.phase() {
                Phase::SetAside | Phase::Ending => containers.set_aside += 1,
                Phase::Serving if !ready.is_empty() => containers.ready += 1,
                Phase::Checking | Phase::Warming | Phase::Serving => containers.starting += 1,
            }
            let idle = ready.iter().filter(|channel| self.pool.open(**channel).ids().is_empty());
            let idle = idle.count() as u32;
            workers.idle += idle;
            workers.busy += ready.len() as u32 - idle;
            workers.starting += container.workers.starting();
        }
        let generations = self.pool.members(function).generations();
        let leases = self.leases.all.iter().filter(|lease| lease.callee == function);
        let waiting_leases = leases.filter(|lease| self.waits_for_calls(lease.call)).count() as u32;
        let f = &mut self.functions[function];
        let running_leases = f.lent.saturating_sub(waiting_leases);
        let load = *f.slots.load();
        FunctionStatus {
            name: f.spec().name.clone(),
            containers,
            workers,
            queued: load.queued(),
            queued_bytes: load.queued_bytes(),
            // Only the core knows what runs under a lease.
            running: load.running().saturating_sub(running_leases),
            waiting: load.waiting().saturating_sub(waiting_leases),
            leases: 0,
            counts: f.counts.clone(),
            max: f.slots.max(),
            unavailable: f.unavailable().map(str::to_owned),
            generation: generations.newest(),
            serving: generations.serving(),
            failing: generations.failing().map(str::to_owned),
            quarantined: f.quarantine.quarantined(now),
            concurrency: f.report(now),
        }
    }

    /// Whether measurements show that the handlers of a function compute for most of their time.
    pub fn computes(&self, function: FunctionId) -> bool {
        self.functions[function].cores.computes()
    }

    /// Whether this call, or the direct call under this lease, waits without a slot.
    pub fn waits_for_calls(&self, call: CallNumber) -> bool {
        self.calls.get(call).and_then(|call| call.dispatched()).is_some_and(|at| at.waits)
    }

    /// How long a function's calls spent in each segment; `None` before a call was answered.
    pub fn segments(&self, function: FunctionId) -> Option<&Segments> {
        self.functions[function].segments()
    }

    /// How often calls from this origin named a function that does not exist.
    pub fn not_found(&self, origin: Origin) -> u64 {
        self.not_found[origin as usize]
    }

    /// All functions, in the order in which they were first added.
    pub fn functions(&self) -> impl Iterator<Item = FunctionId> + use<P, R> {
        self.functions.ids().into_iter()
    }
}
