//! The desk of a worker: words by which it tells the engine about its direct calls, which the
//! engine does not see.
//!
//! The desk lies in the file of the worker's own channel, which only the worker and the engine map.
//! It has three parts: whether the handler waits for the answer to a direct call, so that the
//! engine can lend its slot; what direct call the worker runs; and counts of all direct calls that
//! it has run. The worker is the only writer but for the first word.

use super::ring::RingFile;
use crate::protocol::Status;
use crate::protocol::desk_counts::{DeskCounts, OUTCOMES, Segment};
use crate::protocol::times::{BUCKETS, bucket_of};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const WAITS_OFFSET: usize = 1024;
const DEADLINE_OFFSET: usize = 1088;
const COUNTS_OFFSET: usize = 1152;
const HISTOGRAMS_OFFSET: usize = 1280;
const HISTOGRAM_BYTES: usize = BUCKETS * size_of::<u32>();

const RUNS: u32 = 0;
const WAITS: u32 = 1;
const LENT: u32 = 2;

/// A worker's desk.
#[derive(Clone, Debug)]
pub struct Desk {
    file: RingFile,
}

/// How a direct call went.
#[derive(Clone, Copy, Debug)]
pub struct DirectTimes {
    /// When it was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// When its handler began.
    pub began_at: u64,
    /// When its handler ended.
    pub ended_at: u64,
}

impl Desk {
    /// The desk in the file of a channel.
    pub fn of(file: &RingFile) -> Desk {
        Desk { file: file.clone() }
    }

    fn waits(&self) -> &AtomicU32 {
        self.file.word(WAITS_OFFSET)
    }

    fn deadline(&self) -> &AtomicU64 {
        self.file.long_word(DEADLINE_OFFSET)
    }

    fn outcome(&self, outcome: usize) -> &AtomicU32 {
        self.file.word(COUNTS_OFFSET + 4 * outcome)
    }

    fn sum_ns(&self, segment: Segment) -> &AtomicU64 {
        self.file.long_word(COUNTS_OFFSET + 64 + 8 * segment as usize)
    }

    fn bucket(&self, segment: Segment, bucket: usize) -> &AtomicU32 {
        self.file.word(HISTOGRAMS_OFFSET + segment as usize * HISTOGRAM_BYTES + 4 * bucket)
    }

    /// Worker: its handler waits for the answer to a direct call from now on.
    #[inline]
    pub fn begin_wait(&self) {
        self.waits().swap(WAITS, Ordering::SeqCst);
    }

    /// Worker: the wait is over. False: the slot was lent, and the handler needs one to go on.
    #[inline]
    pub fn end_wait(&self) -> bool {
        self.waits().swap(RUNS, Ordering::SeqCst) != LENT
    }

    /// Engine: lends the slot of a handler that waits. False: it does not wait.
    pub fn lend(&self) -> bool {
        self.waits().compare_exchange(WAITS, LENT, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Engine: whether the handler waits for the answer to a direct call, and its slot is not lent.
    pub fn is_waiting(&self) -> bool {
        self.waits().load(Ordering::Relaxed) == WAITS
    }

    /// Worker: runs a direct call with this deadline, in ns of the monotonic clock.
    #[inline]
    pub fn begin(&self, deadline: u64) {
        self.deadline().store(deadline, Ordering::Relaxed);
    }

    /// Worker: has run a direct call.
    pub fn end(&self, status: Status, times: DirectTimes) {
        let DirectTimes { sent_at, began_at, ended_at } = times;
        self.deadline().store(0, Ordering::Relaxed);
        add(self.outcome((status.number() as usize).min(OUTCOMES - 1)), 1);
        let ran_ns = ended_at.saturating_sub(began_at);
        for (segment, ns) in [
            (Segment::Woken, began_at.saturating_sub(sent_at)),
            (Segment::Ran, ran_ns),
            (Segment::Whole, ended_at.saturating_sub(sent_at)),
        ] {
            add_long(self.sum_ns(segment), ns);
            add(self.bucket(segment, bucket_of(ns)), 1);
        }
    }

    /// Engine: the deadline of the direct call that the worker runs; `None` if it runs none.
    pub fn runs_until(&self) -> Option<u64> {
        Some(self.deadline().load(Ordering::Relaxed)).filter(|deadline| *deadline > 0)
    }

    /// Engine: how many direct calls the worker has run; it wraps around.
    pub fn calls(&self) -> u64 {
        let outcomes = (0..OUTCOMES).map(|outcome| self.outcome(outcome).load(Ordering::Relaxed));
        outcomes.map(u64::from).sum()
    }

    /// Engine: what the worker has counted.
    pub fn counts(&self) -> DeskCounts {
        let load = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let load_long = |word: &AtomicU64| word.load(Ordering::Relaxed);
        DeskCounts {
            outcomes: std::array::from_fn(|outcome| load(self.outcome(outcome))),
            sums_ns: Segment::ALL.map(|segment| load_long(self.sum_ns(segment))),
            histograms: Segment::ALL
                .map(|segment| std::array::from_fn(|bucket| load(self.bucket(segment, bucket)))),
        }
    }
}

/// Adds to a word that no other thread writes.
#[inline]
fn add(word: &AtomicU32, more: u32) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// Adds to a long word that no other thread writes.
#[inline]
fn add_long(word: &AtomicU64, more: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

const _: () = {
    assert!(COUNTS_OFFSET + 64 + 8 * Segment::ALL.len() <= HISTOGRAMS_OFFSET);
    assert!(4 * OUTCOMES <= 64);
    assert!(HISTOGRAMS_OFFSET + Segment::ALL.len() * HISTOGRAM_BYTES <= 4096);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::ring::create_file;

    fn desk() -> Desk {
        Desk::of(&RingFile::map(&create_file().unwrap()).unwrap())
    }

    #[test]
    fn a_slot_is_lent_only_while_its_handler_waits() {
        let desk = desk();
        assert!(!desk.lend());
        desk.begin_wait();
        assert!(desk.lend() && !desk.lend());
        assert!(!desk.end_wait(), "it was lent");
        desk.begin_wait();
        assert!(desk.end_wait() && !desk.lend());
    }

    #[test]
    fn what_a_worker_counts_the_engine_reads() {
        let desk = desk();
        desk.begin(9_000);
        assert_eq!(desk.runs_until(), Some(9_000));
        let times = DirectTimes { sent_at: 100, began_at: 300, ended_at: 5_300 };
        desk.end(Status::Ok, times);
        desk.end(Status::DepthExceeded, times);
        assert_eq!(desk.runs_until(), None);
        let counts = desk.counts();
        assert_eq!((counts.outcomes[0], counts.outcomes[9]), (1, 1));
        assert_eq!(counts.sums_ns, [2 * 200, 2 * 5_000, 2 * 5_200]);
        for (histogram, ns) in counts.histograms.iter().zip([200, 5_000, 5_200]) {
            assert_eq!(histogram[bucket_of(ns)], 2);
            assert_eq!(histogram.iter().sum::<u32>(), 2);
        }
    }
}
