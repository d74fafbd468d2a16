//! Counters of the calls of a function, a container and a worker. Any code may read them. Only the
//! transitions in `calls/state.rs` change them, through the methods of this file.

use crate::ids::CallNumber;

/// How many calls a function has, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionLoad {
    queued: u32,
    queued_bytes: u64,
    running: u32,
    waiting: u32,
    open_outside: u32,
}

impl FunctionLoad {
    /// How many calls are in the queue.
    #[inline]
    pub fn queued(&self) -> u32 {
        self.queued
    }

    /// The length of the payloads in the queue, in bytes.
    #[inline]
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// How many dispatched calls hold a slot.
    #[inline]
    pub fn running(&self) -> u32 {
        self.running
    }

    /// How many dispatched calls lend their slot while they wait for an internal call.
    #[inline]
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// How many calls from outside are dispatched, running or waiting.
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

/// How many calls a container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerLoad {
    running: u32,
    sent: u64,
}

impl ContainerLoad {
    /// How many of its calls hold a slot.
    #[inline]
    pub fn running(&self) -> u32 {
        self.running
    }

    /// How many calls were ever sent to it.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// The calls that were sent to a worker and have not ended yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCalls(Vec<CallNumber>);

impl OpenCalls {
    /// The numbers of these calls, in no order.
    #[inline]
    pub fn ids(&self) -> &[CallNumber] {
        &self.0
    }
}

/// The counters that include a dispatched call.
#[derive(Debug)]
pub struct Loads<'a> {
    /// The counters of its function.
    pub function: &'a mut FunctionLoad,
    /// The counters of its container.
    pub container: &'a mut ContainerLoad,
    /// The open calls of its worker.
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
