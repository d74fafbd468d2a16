//! The workers of a container: which are ready, which are idle, which were asked for.

use crate::ids::ChannelKey;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_WORKERS_PER_CONTAINER;

/// What the workers of a container are.
#[derive(Debug)]
enum Kind {
    /// Threads that run one call each.
    Threads {
        /// Those that run none, the most recently idle last.
        idle: Vec<ChannelKey>,
    },
    /// One event loop.
    EventLoop {
        /// Most calls that it runs at once.
        window: u32,
    },
}

/// The workers of a container.
#[derive(Debug)]
pub struct Workers {
    kind: Kind,
    ready: Vec<ChannelKey>,
    /// How many were asked for that are not ready yet.
    starting: u32,
    /// Until when the container is asked for no more, ns: the last one did not come.
    full_until: Option<u64>,
}

impl Workers {
    /// None yet. `window`: most calls that an event loop runs at once.
    pub fn new(mode: Mode, window: u32) -> Workers {
        let kind = match mode {
            Mode::Threads => Kind::Threads { idle: Vec::new() },
            Mode::EventLoop => Kind::EventLoop { window },
        };
        Workers { kind, ready: Vec::new(), starting: 0, full_until: None }
    }

    /// Whether they are threads.
    #[inline]
    pub fn are_threads(&self) -> bool {
        matches!(self.kind, Kind::Threads { .. })
    }

    /// What they are.
    pub fn mode(&self) -> Mode {
        match self.kind {
            Kind::Threads { .. } => Mode::Threads,
            Kind::EventLoop { .. } => Mode::EventLoop,
        }
    }

    /// Those that are ready.
    #[inline]
    pub fn ready(&self) -> &[ChannelKey] {
        &self.ready
    }

    /// How many threads are ready and run no call.
    pub fn idle(&self) -> usize {
        match &self.kind {
            Kind::Threads { idle } => idle.len(),
            Kind::EventLoop { .. } => 0,
        }
    }

    /// How many were asked for that are not ready yet.
    pub fn starting(&self) -> u32 {
        self.starting
    }

    /// How many are ready or were asked for.
    pub fn ready_or_starting(&self) -> usize {
        self.ready.len() + self.starting as usize
    }

    /// Whether one more thread may be asked for.
    pub fn has_room(&self, now: u64) -> bool {
        self.are_threads()
            && self.full_until.is_none_or(|until| now >= until)
            && self.ready_or_starting() < MAX_WORKERS_PER_CONTAINER
    }

    /// Whether none is ready and none was asked for.
    pub fn is_empty(&self) -> bool {
        self.ready_or_starting() == 0
    }

    /// One more was asked for.
    pub fn asked(&mut self) {
        self.starting += 1;
    }

    /// One that was asked for is ready, and idle.
    pub fn came(&mut self, channel: ChannelKey) {
        self.starting = self.starting.saturating_sub(1);
        self.ready.push(channel);
        self.ended_call(channel);
    }

    /// One that was asked for will not come, and no more are asked for until then, ns.
    pub fn failed(&mut self, until: u64) {
        self.starting = self.starting.saturating_sub(1);
        self.full_until = Some(until);
    }

    /// One is gone.
    pub fn gone(&mut self, channel: ChannelKey) {
        self.ready.retain(|ready| *ready != channel);
        if let Kind::Threads { idle } = &mut self.kind {
            idle.retain(|idle| *idle != channel);
        }
    }

    /// A worker that can take one more call; `running`: calls that run in the container.
    #[inline]
    pub fn free(&self, running: u32) -> Option<ChannelKey> {
        match &self.kind {
            Kind::Threads { idle } => idle.last().copied(),
            Kind::EventLoop { window } => self.ready.first().copied().filter(|_| running < *window),
        }
    }

    /// The worker that [`Workers::free`] returned takes a call.
    #[inline]
    pub fn began_call(&mut self) {
        if let Kind::Threads { idle } = &mut self.kind {
            idle.pop();
        }
    }

    /// A worker's call has ended, and it goes on.
    #[inline]
    pub fn ended_call(&mut self, channel: ChannelKey) {
        if let Kind::Threads { idle } = &mut self.kind {
            idle.push(channel);
        }
    }

    /// Takes out the thread that has been idle for the longest time, if there is another one.
    pub fn retire_one(&mut self) -> Option<ChannelKey> {
        let Kind::Threads { idle } = &mut self.kind else { return None };
        if self.ready.len() < 2 || idle.is_empty() {
            return None;
        }
        let channel = idle.remove(0);
        self.ready.retain(|ready| *ready != channel);
        Some(channel)
    }
}
