//! The workers of a container: those that are ready, that are idle, and that were asked for.

use crate::ids::ChannelKey;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_WORKERS_PER_CONTAINER;

/// The kind of a container's workers.
#[derive(Debug)]
enum WorkerModel {
    /// Threads. Each runs one call.
    Threads {
        /// The threads that run no call; the one that became idle last is at the end.
        idle: Vec<ChannelKey>,
    },
    /// One event loop.
    EventLoop {
        /// How many calls it may run at once.
        window: u32,
    },
}

/// The workers of a container.
#[derive(Debug)]
pub struct Workers {
    kind: WorkerModel,
    ready: Vec<ChannelKey>,
    /// How many workers were asked for and are not ready yet.
    starting: u32,
    /// The time, in ns, until which the container is asked for no more workers, as it could not
    /// create the last one.
    full_until: Option<u64>,
}

impl Workers {
    /// The workers of a container that has none yet. `window` is how many calls an event loop may
    /// run at once.
    pub fn new(mode: Mode, window: u32) -> Workers {
        let kind = match mode {
            Mode::Threads => WorkerModel::Threads { idle: Vec::new() },
            Mode::EventLoop => WorkerModel::EventLoop { window },
        };
        Workers { kind, ready: Vec::new(), starting: 0, full_until: None }
    }

    /// Whether the workers are threads.
    #[inline]
    pub fn are_threads(&self) -> bool {
        matches!(self.kind, WorkerModel::Threads { .. })
    }

    /// The kind of the workers.
    pub fn mode(&self) -> Mode {
        match self.kind {
            WorkerModel::Threads { .. } => Mode::Threads,
            WorkerModel::EventLoop { .. } => Mode::EventLoop,
        }
    }

    /// The workers that are ready.
    #[inline]
    pub fn ready(&self) -> &[ChannelKey] {
        &self.ready
    }

    /// How many threads are ready and run no call.
    pub fn idle(&self) -> usize {
        match &self.kind {
            WorkerModel::Threads { idle } => idle.len(),
            WorkerModel::EventLoop { .. } => 0,
        }
    }

    /// How many workers were asked for and are not ready yet.
    pub fn starting(&self) -> u32 {
        self.starting
    }

    /// How many workers are ready or were asked for.
    pub fn ready_or_starting(&self) -> usize {
        self.ready.len() + self.starting as usize
    }

    /// Whether the container may be asked for another thread.
    pub fn has_room(&self, now: u64) -> bool {
        self.are_threads()
            && self.full_until.is_none_or(|until| now >= until)
            && self.ready_or_starting() < MAX_WORKERS_PER_CONTAINER
    }

    /// Whether no worker is ready and none was asked for.
    pub fn is_empty(&self) -> bool {
        self.ready_or_starting() == 0
    }

    /// Notes that a worker was asked for.
    pub fn asked(&mut self) {
        self.starting += 1;
    }

    /// Adds a worker that was asked for and is ready now. It is idle.
    pub fn came(&mut self, channel: ChannelKey) {
        self.starting = self.starting.saturating_sub(1);
        self.ready.push(channel);
        self.ended_call(channel);
    }

    /// Notes that a worker cannot be created. No more are asked for until this time, ns.
    pub fn failed(&mut self, until: u64) {
        self.starting = self.starting.saturating_sub(1);
        self.full_until = Some(until);
    }

    /// Removes a worker that is gone.
    pub fn gone(&mut self, channel: ChannelKey) {
        self.ready.retain(|ready| *ready != channel);
        if let WorkerModel::Threads { idle } = &mut self.kind {
            idle.retain(|idle| *idle != channel);
        }
    }

    /// A worker that can take another call. `running` is how many calls run in the container.
    #[inline]
    pub fn free(&self, running: u32) -> Option<ChannelKey> {
        match &self.kind {
            WorkerModel::Threads { idle } => idle.last().copied(),
            WorkerModel::EventLoop { window } => {
                self.ready.first().copied().filter(|_| running < *window)
            }
        }
    }

    /// Notes that the worker which [`Workers::free`] returned takes a call.
    #[inline]
    pub fn began_call(&mut self) {
        if let WorkerModel::Threads { idle } = &mut self.kind {
            idle.pop();
        }
    }

    /// Notes that a worker's call has ended, and that the worker goes on.
    #[inline]
    pub fn ended_call(&mut self, channel: ChannelKey) {
        if let WorkerModel::Threads { idle } = &mut self.kind {
            idle.push(channel);
        }
    }

    /// Removes the thread that has been idle for the longest time, unless it is the only worker.
    pub fn retire_one(&mut self) -> Option<ChannelKey> {
        let WorkerModel::Threads { idle } = &mut self.kind else { return None };
        if self.ready.len() < 2 || idle.is_empty() {
            return None;
        }
        let channel = idle.remove(0);
        self.ready.retain(|ready| *ready != channel);
        Some(channel)
    }
}
