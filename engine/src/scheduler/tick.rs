//! The scheduler's periodic work: it raises a limit that holds calls back, and retires workers that
//! are no longer needed after a load. An idle engine has no such work and is not woken.

use super::Scheduler;
use super::action::Action;
use super::turn::Turn;
use super::upkeep::earliest;
use crate::calls::Share;
use crate::ids::{ContainerKey, FunctionId};

/// For how long, in ns, there must have been more than twice the needed workers before some are
/// retired. This is longer than a client's pause between bursts, and short enough to be noticed.
const RETIRE_AFTER_NS: u64 = 3_000_000_000;

impl<P: Share, R> Scheduler<P, R> {
    /// The time, in ns, at which a tick is next needed. `None` if only another event can change
    /// anything.
    #[inline]
    pub(super) fn next_wake(&self, now: u64) -> Option<u64> {
        earliest(self.deadlines.next(), self.upkeep.next(now))
    }

    /// Does the work that is due.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_, P, R>) {
        let now = turn.now;
        self.expire(turn);
        while let Some(function) = self.upkeep.pop_ask_again(now) {
            self.ask_again(turn, function);
            self.pump(turn, function);
        }
        for function in self.upkeep.take_held_back(now) {
            self.pump(turn, function);
        }
        for function in self.upkeep.take_watched(now) {
            if self.maintain(turn, function) {
                self.upkeep.watch(function);
            }
        }
    }

    /// Retires workers beyond twice the need, and returns memory to the system if there has been no
    /// call for a while. Returns true if the function must be checked again.
    fn maintain(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId) -> bool {
        if self.functions[function].is_removed() {
            return self.maintain_removed(turn, function);
        }
        let threads = self.pool.containers(function).filter(|(_, c)| c.workers.are_threads());
        let workers: usize = threads.clone().map(|(_, c)| c.workers.ready().len()).sum();
        let f = &mut self.functions[function];
        // Lent workers are retired when their leases end.
        let workers = workers.saturating_sub(f.lent as usize);
        // Every container keeps a worker.
        let kept = (f.spec().min as usize).max(threads.count());
        let is_quiet = f.concurrency.is_quiet(turn.now);
        if workers <= kept {
            self.pool.members_mut(function).end_surplus();
            if is_quiet {
                let containers = self.pool.members(function).containers();
                containers.iter().for_each(|key| turn.push(Action::Trim { container: *key }));
            }
            return !is_quiet;
        }
        let twice = |needed: u32| needed.saturating_mul(2);
        let needed = if is_quiet { 0 } else { twice(f.concurrency.workers_needed(turn.now)) };
        let surplus = workers - kept.max(needed as usize).min(workers);
        let members = self.pool.members_mut(function);
        if surplus == 0 {
            members.end_surplus();
            return true;
        }
        let since = members.note_surplus(turn.now);
        if turn.now.saturating_sub(since) >= RETIRE_AFTER_NS {
            self.retire_workers(turn, function, surplus);
        }
        true
    }

    fn retire_workers(&mut self, turn: &mut Turn<'_, P, R>, function: FunctionId, surplus: usize) {
        let threads = self.pool.containers(function).filter(|(_, c)| c.workers.are_threads());
        let threads: Vec<ContainerKey> = threads.map(|(key, _)| key).collect();
        for _ in 0..surplus {
            let most = threads.iter().max_by_key(|key| self.pool[**key].workers.idle());
            let retired = most.and_then(|key| self.pool[*key].workers.retire_one());
            let Some(channel) = retired else { break };
            turn.push(Action::Retire { channel });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Spec;
    use crate::ids::Generation;
    use crate::scheduler::upkeep::TICK_NS;
    use crate::scheduler::{Actions, Event, ProcessFate};
    use nightcore_runtime::protocol::control::{ChannelKind, Mode, Placement};
    use nightcore_runtime::protocol::{Failure, Status};
    use std::time::Duration;

    #[test]
    fn retired_workers_leave_nothing_when_their_process_dies_first() {
        let mut scheduler = Scheduler::<(), ()>::default();
        let actions = &mut Actions::default();
        let spec = Spec {
            name: "Foo".into(),
            processes: 1,
            min: 1,
            max: Some(4),
            timeout: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            queue_calls: 1,
            queue_bytes: 1,
            max_depth: 1,
            external: true,
            channel: ChannelKind::Fifo,
            placement: Placement::Free,
            direct: true,
            quarantine_after: None,
            retries: 0,
            idempotent: false,
            ready_path: None,
            exposes_errors: false,
        };
        let function = scheduler.add_function(0, spec, actions);
        let first = Some(Generation::FIRST);
        let container = scheduler.connect(0, function, first, Mode::Threads, actions);
        for _ in 0..4 {
            scheduler.worker_ready(1, container, actions);
        }
        scheduler.upkeep.watch(function);
        for tick in 1..20 {
            scheduler.handle(tick * TICK_NS, Event::Tick, actions).unwrap();
        }
        assert_eq!(scheduler.pool[container].workers.ready().len(), 1);
        assert_eq!(scheduler.pool.count(), (1, 4));
        let failure = &Failure::new(Status::ContainerDied, "killed");
        scheduler
            .handle(
                1,
                Event::ContainerGone { container, failure, process: ProcessFate::Died },
                actions,
            )
            .unwrap();
        assert_eq!(scheduler.pool.count(), (0, 0));
    }
}
