//! Counters of calls: of a function, of a container, of a worker. Anyone may read them; only the
//! transitions in `calls/state.rs` change them, by the methods of this file.

use crate::ids::CallNumber;

/// The calls of a function, by what they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionLoad {
    queued: u32,
    queued_bytes: u64,
    running: u32,
    waiting: u32,
    open_outside: u32,
}

impl FunctionLoad {
    /// Calls in the queue.
    #[inline]
    pub fn queued(&self) -> u32 {
        self.queued
    }

    /// Bytes of what those carry.
    #[inline]
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Dispatched calls that hold a slot.
    #[inline]
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Dispatched calls that lend their slot while they wait for a call of their own.
    #[inline]
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Dispatched calls from outside, running or waiting.
    #[inline]
    pub fn open_outside(&self) -> u32 {
        self.open_outside
    }

    pub(super) fn enter_queue(&mut self, bytes: u64) {
        self.queued += 1;
        self.queued_bytes += bytes;
    }

    pub(super) fn leave_queue(&mut self, bytes: u64) {
        self.queued -= 1;
        self.queued_bytes -= bytes;
    }
}

/// The calls of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerLoad {
    running: u32,
    sent: u64,
}

impl ContainerLoad {
    /// Calls that hold a slot.
    #[inline]
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Calls that were ever sent to it.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// The calls that were sent to a worker and have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCalls(Vec<CallNumber>);

impl OpenCalls {
    /// Their ids, in no order.
    #[inline]
    pub fn ids(&self) -> &[CallNumber] {
        &self.0
    }
}

/// The counters that a dispatched call is part of.
#[derive(Debug)]
pub struct Loads<'a> {
    /// Its function's.
    pub function: &'a mut FunctionLoad,
    /// Its container's.
    pub container: &'a mut ContainerLoad,
    /// Its worker's.
    pub worker: &'a mut OpenCalls,
}

impl Loads<'_> {
    pub(super) fn open(&mut self, call: CallNumber, is_outside: bool) {
        self.function.open_outside += u32::from(is_outside);
        self.worker.0.push(call);
        self.container.sent += 1;
        self.run();
    }

    pub(super) fn close(&mut self, call: CallNumber, is_outside: bool) {
        self.function.open_outside -= u32::from(is_outside);
        if let Some(at) = self.worker.0.iter().position(|open| *open == call) {
            self.worker.0.swap_remove(at);
        }
    }

    pub(super) fn run(&mut self) {
        self.function.running += 1;
        self.container.running += 1;
    }

    pub(super) fn stop(&mut self) {
        self.function.running -= 1;
        self.container.running -= 1;
    }

    pub(super) fn begin_wait(&mut self) {
        self.function.waiting += 1;
    }

    pub(super) fn end_wait(&mut self) {
        self.function.waiting -= 1;
    }
}
