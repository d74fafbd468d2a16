//! The counts of the direct calls that a worker runs. The engine does not see these calls.

use super::status::Status;
use super::times::BUCKETS;

/// The number of ways in which a call can end: answered, or by an error that ends a call.
pub const OUTCOMES: usize = Status::DepthExceeded as usize + 1;

/// The parts of a direct call's time that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// From when the call was sent until its handler began.
    Woken,
    /// While its handler ran, with its waits for calls of its own.
    Ran,
    /// Both together.
    Whole,
}

impl Segment {
    /// All segments.
    pub const ALL: [Segment; 3] = [Segment::Woken, Segment::Ran, Segment::Whole];
}

/// The counts of a worker since it started. All counts wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskCounts {
    /// Direct calls by outcome, in the order of the table of statuses.
    pub outcomes: [u32; OUTCOMES],
    /// How long calls took in each segment, in ns.
    pub sums_ns: [u64; Segment::ALL.len()],
    /// Calls by the time that they took in each segment.
    pub histograms: [[u32; BUCKETS]; Segment::ALL.len()],
}

impl Default for DeskCounts {
    fn default() -> DeskCounts {
        DeskCounts {
            outcomes: [0; OUTCOMES],
            sums_ns: [0; Segment::ALL.len()],
            histograms: [[0; BUCKETS]; Segment::ALL.len()],
        }
    }
}

impl DeskCounts {
    /// Returns the counts since `before`.
    pub fn since(&self, before: &DeskCounts) -> DeskCounts {
        let less = |now: u32, before: u32| now.wrapping_sub(before);
        let less_long = |now: u64, before: u64| now.wrapping_sub(before);
        DeskCounts {
            outcomes: std::array::from_fn(|at| less(self.outcomes[at], before.outcomes[at])),
            sums_ns: std::array::from_fn(|at| less_long(self.sums_ns[at], before.sums_ns[at])),
            histograms: std::array::from_fn(|at| {
                let (now, before) = (&self.histograms[at], &before.histograms[at]);
                std::array::from_fn(|bucket| less(now[bucket], before[bucket]))
            }),
        }
    }
}
