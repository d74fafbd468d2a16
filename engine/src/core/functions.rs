//! Functions that are added, changed and removed: the configuration and the launcher tell the
//! scheduler about them here. Other parts of the engine ask the scheduler here.

use super::state::{Core, EngineScheduler};
use crate::functions::Spec;
use crate::functions::cores::Reading;
use crate::ids::{FunctionId, Generation};
use crate::processors::used_by;
use crate::scheduler::{Event, FunctionStatus};
use crate::transport::Payload;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::control::Mode;
use std::collections::HashMap;
use std::time::Duration;

impl Core {
    /// The scheduler, for questions.
    pub fn scheduler(&self) -> &EngineScheduler {
        &self.scheduler
    }

    /// The status of a function at this time.
    pub fn function_status(&mut self, now: u64, function: FunctionId) -> FunctionStatus {
        let mut status = self.scheduler.status(now, function);
        self.add_direct_calls(function, &mut status);
        status
    }

    /// Adds the numbers that the scheduler does not see: direct calls under way, and handlers that
    /// wait for them. For the scheduler, a lent worker is busy all the time.
    fn add_direct_calls(&self, function: FunctionId, status: &mut FunctionStatus) {
        let of_callee = self.lendings.iter().filter(|(_, of)| of.callee() == function);
        for (lease, lending) in of_callee {
            status.leases += 1;
            let channel = lending.channel();
            let waits = channel.waits(*lease) || self.scheduler.waits_for_calls(*lease);
            match (channel.runs_until(*lease), waits) {
                // An event loop is one worker, however many calls it runs.
                (None, _) if channel.mode() == Mode::EventLoop => {}
                (None, _) => {
                    status.workers.busy = status.workers.busy.saturating_sub(1);
                    status.workers.idle += 1;
                }
                (Some(_), false) => status.running += 1,
                (Some(_), true) => status.waiting += 1,
            }
        }
        for call in
            self.lendings.values().filter_map(|lending| lending.seen()).map(|seen| seen.maker)
        {
            // Handlers of direct calls were counted above.
            let Some(channel) = self.scheduler.channel_of(call) else { continue };
            let Some(channel) = self.connections.channel(channel) else { continue };
            let container = self.connections.container(channel.container());
            let is_it = container.is_some_and(|of| of.identity.function == function);
            if is_it && channel.waits(call) && !self.lendings.contains_key(&call) {
                status.running = status.running.saturating_sub(1);
                status.waiting += 1;
            }
        }
    }

    /// Reads how much CPU time a function's processes have used, and how many threads of the
    /// machine are runnable. `None` if the system does not tell.
    pub(super) fn read_processors(&mut self, function: FunctionId) -> Option<Reading> {
        let crowd = self.processors.crowd()?;
        let containers = self.connections.containers();
        let of_it = containers.filter(|container| container.identity.function == function);
        let used = of_it.map(|container| used_by(container.pid)).sum::<Option<Duration>>()?;
        Some(Reading { used_ns: u64::try_from(used.as_nanos()).ok()?, crowd })
    }

    /// The pid and the number of calls so far of each launched container of a function, by launch.
    pub fn used_by(&mut self, function: FunctionId) -> HashMap<u64, (i32, u64)> {
        self.count_direct_calls();
        let of_it = self.connections.containers().filter(|c| c.identity.function == function);
        of_it
            .filter_map(|c| Some((c.identity.launch()?, (c.pid, self.scheduler.calls_of(c.key)?))))
            .collect()
    }

    /// Gives the container of this launch no more calls. It exits after its last one.
    pub fn set_aside(&mut self, launch: u64) {
        let container = self.connections.containers().find(|c| c.identity.launch() == Some(launch));
        if let Some(container) = container.map(|container| container.key) {
            self.change(Event::SetAside { container });
        }
    }

    /// Adds a function, or restores one that was removed.
    pub fn add_function(&mut self, spec: Spec) -> FunctionId {
        let now = now_ns();
        let id = self.scheduler.add_function(now, spec, &mut self.actions);
        self.run_actions(now);
        id
    }

    /// Changes a function's configuration.
    pub fn set_spec(&mut self, function: FunctionId, spec: Spec) {
        self.change(Event::Configured { function, spec });
    }

    /// Removes a function: nobody can call it any more. Calls that are queued or under way go on.
    pub fn remove_function(&mut self, function: FunctionId) {
        self.change(Event::Removed { function });
    }

    /// Begins a new generation of a function's containers.
    pub fn begin_generation(&mut self, function: FunctionId) -> Generation {
        let now = now_ns();
        let generation = self.scheduler.begin_generation(now, function, &mut self.actions);
        self.run_actions(now);
        generation
    }

    /// Notes that a container of a generation fails to start, and why. `is_all` says that all of
    /// them fail. If the serving generation fails and no container is ready, the function becomes
    /// unavailable: queued calls end, and new calls are refused.
    pub fn generation_failing(
        &mut self,
        function: FunctionId,
        generation: Generation,
        reason: &str,
        is_all: bool,
    ) {
        self.change(Event::GenerationFailing { function, generation, reason, is_all });
    }

    /// Tells every container to exit. No call is under way any more.
    pub fn shut_down_containers(&mut self) {
        self.scheduler.end_process_calls();
        self.connections.containers().for_each(|container| container.shut_down());
    }

    fn change(&mut self, event: Event<'_, Payload>) {
        let now = now_ns();
        self.note(now, event);
        self.run_actions(now);
    }
}
