//! Containers and their workers, as the dispatcher sees them.

use super::call::CallId;
use super::function::{FunctionId, Generation};
use super::quarantine::LastWords;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::MAX_WORKERS_PER_CONTAINER;

/// Names a container that is connected.
pub type ContainerKey = usize;
/// Names a worker that is ready.
pub type ChannelKey = usize;

#[derive(Debug)]
pub(super) struct Container {
    pub(super) function: FunctionId,
    pub(super) mode: Mode,
    /// Started by hand, under a debugger: it gets all calls of its function, and deadlines are off.
    pub(super) attached: bool,
    /// Of which generation of its function's containers it is.
    pub(super) generation: Generation,
    /// Its generation does not serve yet: it gets no calls.
    pub(super) warming: bool,
    /// Gets no new calls, and ends with its last one.
    pub(super) set_aside: bool,
    /// Told to end.
    pub(super) ending: bool,
    /// Its workers that are ready.
    pub(super) channels: Vec<ChannelKey>,
    /// Until when it is asked for no more workers, ns: the last one that it was asked for did not come.
    pub(super) full_until: u64,
    /// Workers asked for that are not ready yet.
    pub(super) starting: u32,
    /// Idle worker threads, the most recently idle last.
    pub(super) idle: Vec<ChannelKey>,
    /// Calls that run in it.
    pub(super) running: u32,
    /// The most calls of an event loop that may run at once.
    pub(super) window: u32,
    /// A call that it gets no others beside, and until when, ns.
    pub(super) alone: Option<(CallId, u64)>,
    pub(super) last_words: Option<LastWords>,
    /// Until when it gets no calls, ns: one of its channels was closed, and its process may be dying.
    pub(super) dying_until: u64,
}

impl Container {
    pub(super) fn new(
        function: FunctionId,
        generation: Generation,
        mode: Mode,
        window: u32,
    ) -> Container {
        Container {
            function,
            mode,
            attached: false,
            generation,
            warming: false,
            set_aside: false,
            ending: false,
            channels: Vec::new(),
            full_until: 0,
            starting: 0,
            idle: Vec::new(),
            running: 0,
            window,
            alone: None,
            last_words: None,
            dying_until: 0,
        }
    }

    /// Whether it gets new calls.
    pub(super) fn serves(&self) -> bool {
        !self.set_aside && !self.warming
    }

    /// Until when it gets no calls, ns, though it serves: one has it to itself, or its process may be dying.
    pub(super) fn pauses_until(&self, now: u64) -> Option<u64> {
        let alone = self.alone.map_or(0, |(_, until)| until);
        Some(alone.max(self.dying_until)).filter(|until| now < *until)
    }

    /// As [`Container::serves`], and nothing speaks against it now.
    fn takes_calls(&self, now: u64) -> bool {
        self.serves() && self.pauses_until(now).is_none()
    }

    /// This call has it to itself no longer: it has ended, or waits for another one.
    pub(super) fn end_alone(&mut self, id: CallId) {
        if self.alone.is_some_and(|(alone, _)| alone == id) {
            self.alone = None;
        }
    }

    /// Whether it may be asked for one more worker thread.
    pub(super) fn has_room(&self, now: u64) -> bool {
        let all = self.channels.len() + self.starting as usize;
        self.mode == Mode::Threads
            && self.takes_calls(now)
            && now >= self.full_until
            && all < MAX_WORKERS_PER_CONTAINER
    }

    /// Whether it has no worker, and none is on its way.
    pub(super) fn lacks_workers(&self) -> bool {
        !self.set_aside && self.channels.is_empty() && self.starting == 0
    }

    /// A worker that can take a call now.
    pub(super) fn free_channel(&self, now: u64) -> Option<ChannelKey> {
        if !self.takes_calls(now) {
            return None;
        }
        match self.mode {
            Mode::Threads => self.idle.last().copied(),
            Mode::EventLoop => {
                self.channels.first().copied().filter(|_| self.running < self.window)
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) container: ContainerKey,
    /// Calls that were sent to it and have not ended.
    pub(super) open: Vec<CallId>,
}
