//! The slots of a function: how many of its calls run at once.

use crate::calls::FunctionLoad;
use crate::ids::CallNumber;
use std::collections::VecDeque;

/// How many calls from outside may be open for each slot. The bound exists because each waiting
/// call takes up a worker.
const OPEN_PER_SLOT: u32 = 8;

/// The slots of a function, the calls that hold them, and the calls that wait for one to go on.
#[derive(Debug)]
pub struct Slots {
    max: u32,
    load: FunctionLoad,
    /// Slots of calls whose process is dying, since their handlers may still run.
    dying: u32,
    /// Calls that have an answer and need a slot to go on, in the order of their answers.
    resumes: VecDeque<CallNumber>,
}

impl Slots {
    /// Creates the slots of a function without calls.
    pub fn new(max: u32) -> Slots {
        Slots { max, load: FunctionLoad::default(), dying: 0, resumes: VecDeque::new() }
    }

    /// How many calls may run at once.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Sets how many slots there are. Calls that run beyond this number are not interrupted.
    pub fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    /// The counters of the function's calls.
    #[inline]
    pub fn load(&self) -> &FunctionLoad {
        &self.load
    }

    /// The counters, mutably, for a transition of a call.
    #[inline]
    pub fn load_mut(&mut self) -> &mut FunctionLoad {
        &mut self.load
    }

    /// Whether a slot is free.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.load.running() + self.dying < self.max
    }

    /// Keeps this many slots for handlers that may still run, although their calls have ended.
    pub fn keep(&mut self, slots: u32) {
        self.dying += slots;
    }

    /// Frees this many of the slots that were kept.
    pub fn free(&mut self, slots: u32) {
        self.dying -= slots;
    }

    /// Whether any slots are kept.
    #[inline]
    pub fn are_kept(&self) -> bool {
        self.dying > 0
    }

    /// Whether one more call from outside may be open.
    pub fn may_open_outside(&self) -> bool {
        self.load.open_outside() < self.max.saturating_mul(OPEN_PER_SLOT)
    }

    /// Whether calls wait for a slot to go on.
    #[inline]
    pub fn has_resumes(&self) -> bool {
        !self.resumes.is_empty()
    }

    /// Adds a call that needs a slot to go on.
    pub fn push_resume(&mut self, call: CallNumber) {
        self.resumes.push_back(call);
    }

    /// Removes and returns the next call that may go on, if a slot is free.
    pub fn next_resume(&mut self) -> Option<CallNumber> {
        if self.is_free() { self.resumes.pop_front() } else { None }
    }
}
