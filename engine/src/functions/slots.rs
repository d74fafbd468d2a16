//! The slots of a function: how many of its calls run at once.

use crate::calls::FunctionLoad;
use crate::ids::CallNumber;
use std::collections::VecDeque;

/// How many calls from outside may be open for each slot: waiting ones cost a worker each.
const OPEN_PER_SLOT: u32 = 8;

/// The slots of a function, who holds them, and who waits for one to go on with.
#[derive(Debug)]
pub struct Slots {
    max: u32,
    load: FunctionLoad,
    /// Slots of calls whose process is dying: their handlers may still run.
    dying: u32,
    /// Calls whose answer is there and that need a slot to go on, in the order of their answers.
    resumes: VecDeque<CallNumber>,
}

impl Slots {
    /// The slots of a function without calls.
    pub fn new(max: u32) -> Slots {
        Slots { max, load: FunctionLoad::default(), dying: 0, resumes: VecDeque::new() }
    }

    /// Most calls that run at once.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Sets how many there are. Calls that run beyond it end as they would.
    pub fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    /// The counters of the function's calls.
    #[inline]
    pub fn load(&self) -> &FunctionLoad {
        &self.load
    }

    /// The counters, for a transition of a call.
    #[inline]
    pub fn load_mut(&mut self) -> &mut FunctionLoad {
        &mut self.load
    }

    /// Whether a call that waits may go on.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.load.running() + self.dying < self.max
    }

    /// Keeps so many slots for handlers that may still run, though their calls have ended.
    pub fn keep(&mut self, slots: u32) {
        self.dying += slots;
    }

    /// Frees so many of the slots that were kept.
    pub fn free(&mut self, slots: u32) {
        self.dying -= slots;
    }

    /// Whether slots are kept.
    #[inline]
    pub fn are_kept(&self) -> bool {
        self.dying > 0
    }

    /// Whether one more call from outside may be open.
    pub fn may_open_outside(&self) -> bool {
        self.load.open_outside() < self.max.saturating_mul(OPEN_PER_SLOT)
    }

    /// Whether calls wait for a slot to go on with.
    #[inline]
    pub fn has_resumes(&self) -> bool {
        !self.resumes.is_empty()
    }

    /// A call needs a slot to go on.
    pub fn push_resume(&mut self, call: CallNumber) {
        self.resumes.push_back(call);
    }

    /// The call that goes on next, if a slot is free.
    pub fn next_resume(&mut self) -> Option<CallNumber> {
        if self.is_free() { self.resumes.pop_front() } else { None }
    }
}
