//! What the dispatcher does from time to time: raise a limit that holds calls back, retire workers that a load left
//! behind. A quiet engine has nothing to do here and is not woken.

use super::action::Action;
use super::function::FunctionId;
use super::input::Input;
use super::{ChannelKey, ContainerKey, Dispatch};
use nightcore_runtime::protocol::control::Mode;
use std::collections::BTreeSet;

/// How often a function that has more workers than it keeps is looked at.
const TICK_NS: u64 = 500_000_000;
/// How long there must have been more than twice the workers needed before some are retired. Longer than a
/// pause between bursts of one client, short enough to be seen.
const RETIRE_AFTER_NS: u64 = 3_000_000_000;

/// How long a container that could not make a worker is asked for none. Long enough that failing costs nothing, short
/// enough that a passing shortage is not felt for long.
pub(super) const ASK_AGAIN_AFTER_NS: u64 = 200_000_000;

/// Which functions are to be looked at, and when.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Functions whose limit holds calls back, and when it may rise, ns.
    held_back: Vec<(FunctionId, u64)>,
    /// Functions that have had calls, and may have more workers than they keep.
    watched: Vec<FunctionId>,
    next_tick: u64,
    /// When functions whose containers could not make a worker are looked at again.
    ask_again: BTreeSet<(u64, FunctionId)>,
}

impl Upkeep {
    pub(super) fn look_again(&mut self, function: FunctionId, at: u64) {
        match self.held_back.iter_mut().find(|(held_back, _)| *held_back == function) {
            Some((_, look_at)) => *look_at = at,
            None => self.held_back.push((function, at)),
        }
    }

    pub(super) fn ask_again(&mut self, at: u64, function: FunctionId) {
        self.ask_again.insert((at, function));
    }

    pub(super) fn watch(&mut self, function: FunctionId) {
        // The last one is nearly always the one.
        if self.watched.last() != Some(&function) && !self.watched.contains(&function) {
            self.watched.push(function);
        }
    }
}

impl<P: Input, R> Dispatch<P, R> {
    /// When [`Dispatch::advance`] is next needed, ns; `None` if only an event can change anything.
    pub fn next_wake(&self, now: u64) -> Option<u64> {
        let again = self.upkeep.held_back.iter().map(|(_, at)| *at).min();
        let tick = (!self.upkeep.watched.is_empty()).then_some(self.upkeep.next_tick.max(now));
        let ask_again = self.upkeep.ask_again.first().map(|(at, _)| *at);
        [self.next_deadline(), again, tick, ask_again].into_iter().flatten().min()
    }

    /// Does what the time has come for.
    pub fn advance(&mut self, now: u64) {
        self.expire(now);
        while self.upkeep.ask_again.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, function)) = self.upkeep.ask_again.pop_first()
        {
            self.ask_again(function);
            self.pump(now, function);
        }
        let due: Vec<FunctionId> = self
            .upkeep
            .held_back
            .extract_if(.., |(_, at)| *at <= now)
            .map(|(function, _)| function)
            .collect();
        for function in due {
            self.pump(now, function);
        }
        if now >= self.upkeep.next_tick {
            self.upkeep.next_tick = now + TICK_NS;
            let watched = std::mem::take(&mut self.upkeep.watched);
            for function in watched {
                if self.look_after(now, function) {
                    self.upkeep.watch(function);
                }
            }
        }
    }

    /// Retires workers beyond twice the need, and has memory given back when there has been no call for a while; true if the
    /// function is to be looked at again.
    fn look_after(&mut self, now: u64, function: FunctionId) -> bool {
        if self.function(function).removed {
            return self.look_after_removed(now, function);
        }
        let f = &mut self.functions[function as usize - 1];
        let is_thread = |key: &ContainerKey| self.containers[*key].mode == Mode::Threads;
        let threads: Vec<ContainerKey> = f.containers.iter().copied().filter(is_thread).collect();
        let workers: usize = threads.iter().map(|key| self.containers[*key].channels.len()).sum();
        // Every container keeps a worker.
        let kept = (f.spec.min as usize).max(threads.len());
        let is_quiet = f.concurrency.is_quiet(now);
        if workers <= kept {
            f.surplus_since = None;
            if is_quiet {
                let trim =
                    f.containers.iter().map(|container| Action::Trim { container: *container });
                self.actions.extend(trim);
            }
            return !is_quiet;
        }
        let twice = |needed: u32| needed.saturating_mul(2);
        let needed = if is_quiet { 0 } else { twice(f.concurrency.workers_needed(now)) };
        let surplus = workers - kept.max(needed as usize).min(workers);
        if surplus == 0 {
            f.surplus_since = None;
            return true;
        }
        let since = *f.surplus_since.get_or_insert(now);
        if now.saturating_sub(since) >= RETIRE_AFTER_NS {
            for _ in 0..surplus {
                let key = threads.iter().max_by_key(|key| self.containers[**key].idle.len());
                let Some(channel) = key.and_then(|key| self.least_recently_idle(*key)) else {
                    break;
                };
                self.actions.push_back(Action::Retire { channel });
            }
        }
        true
    }

    /// Takes the longest idle worker of a container that has another one.
    fn least_recently_idle(&mut self, key: ContainerKey) -> Option<ChannelKey> {
        let container = &mut self.containers[key];
        if container.channels.len() < 2 || container.idle.is_empty() {
            return None;
        }
        let channel = container.idle.remove(0);
        container.channels.retain(|c| *c != channel);
        Some(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Spec;
    use nightcore_runtime::protocol::control::{ChannelKind, Placement};
    use nightcore_runtime::protocol::{Failure, Status};
    use std::time::Duration;

    #[test]
    fn retired_workers_leave_nothing_when_their_process_dies_first() {
        let mut dispatch = Dispatch::<(), ()>::default();
        let function = dispatch.add_function(Spec {
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
            quarantine_after: 0,
            retries: 0,
            idempotent: false,
        });
        let container = dispatch.container_connected(function, Some(1), Mode::Threads);
        for _ in 0..4 {
            dispatch.worker_ready(1, container);
        }
        dispatch.upkeep.watch(function);
        for tick in 1..20 {
            dispatch.advance(tick * TICK_NS);
        }
        assert_eq!(
            (dispatch.channels.len(), dispatch.containers[container].channels.len()),
            (4, 1)
        );
        dispatch.container_gone(1, container, &Failure::new(Status::ContainerDied, "killed"));
        assert!(dispatch.channels.is_empty() && dispatch.containers.is_empty());
    }
}
