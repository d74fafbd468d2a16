//! The desk of a worker: words by which the worker tells the engine about direct calls, which the
//! engine does not see.
//!
//! The desk lies in the file of the worker's own channel, which only the worker and the engine map.
//! It has two parts.
//!
//! The first part is the *seats*, one for each handler. A seat shows whether the handler waits for
//! the answer to a direct call, so that the engine can lend its slot. It also shows the deadline of
//! the direct call that the handler runs. A worker thread uses one seat. An event loop uses one for
//! each of its handlers that runs or makes direct calls.
//!
//! The second part counts all direct calls that the worker has run. Only the worker writes to the
//! desk, except for a seat's state, which the engine changes, too.

use super::ring::{RingFile, SEATS_BYTES, SEATS_OFFSET};
use crate::protocol::desk_counts::{DeskCounts, OUTCOMES, Segment};
use crate::protocol::times::{BUCKETS, bucket_of};
use crate::protocol::{CallNumber, Status};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The offset of the word that holds how many seats have ever been used.
const USED_OFFSET: usize = 1024;
const COUNTS_OFFSET: usize = 1152;
const HISTOGRAMS_OFFSET: usize = 1280;
const HISTOGRAM_BYTES: usize = BUCKETS * size_of::<u32>();
const SEAT_BYTES: usize = 32;
/// The number of seats.
pub const SEATS: usize = SEATS_BYTES / SEAT_BYTES;

const RUNS: u32 = 0;
const WAITS: u32 = 1;
const LENT: u32 = 2;

/// A worker's desk.
#[derive(Clone, Debug)]
pub struct Desk {
    file: RingFile,
}

/// One of the seats of a desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat(u8);

impl Seat {
    /// The seat of a worker thread.
    pub const OF_THREAD: Seat = Seat(0);

    /// The seat with this number, below [`SEATS`].
    pub fn new(number: usize) -> Option<Seat> {
        u8::try_from(number).ok().filter(|_| number < SEATS).map(Seat)
    }

    /// Its number.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// When a direct call was sent, and when its handler ran.
#[derive(Clone, Copy, Debug)]
pub struct DirectTimes {
    /// When it was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// When its handler began, on the same clock.
    pub began_at: u64,
    /// When its handler ended, on the same clock.
    pub ended_at: u64,
}

impl Desk {
    /// The desk in the file of a channel; `None` if the file has no seats.
    pub fn of(file: &RingFile) -> Option<Desk> {
        file.has_seats().then(|| Desk { file: file.clone() })
    }

    fn used(&self) -> &AtomicU32 {
        self.file.word(USED_OFFSET)
    }

    /// The call whose handler has a seat; 0 if no handler has it.
    #[inline]
    fn call(&self, seat: Seat) -> &AtomicU64 {
        self.file.long_word(SEATS_OFFSET + seat.number() * SEAT_BYTES)
    }

    #[inline]
    fn deadline(&self, seat: Seat) -> &AtomicU64 {
        self.file.long_word(SEATS_OFFSET + seat.number() * SEAT_BYTES + 8)
    }

    #[inline]
    fn state(&self, seat: Seat) -> &AtomicU32 {
        self.file.word(SEATS_OFFSET + seat.number() * SEAT_BYTES + 16)
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

    /// Worker: gives this seat to the handler of `call`.
    #[inline]
    pub fn take(&self, seat: Seat, call: CallNumber) {
        self.call(seat).store(call.number(), Ordering::Relaxed);
        let used = seat.number() as u32 + 1;
        if self.used().load(Ordering::Relaxed) < used {
            self.used().store(used, Ordering::Relaxed);
        }
    }

    /// Worker: frees this seat.
    pub fn leave(&self, seat: Seat) {
        self.call(seat).store(0, Ordering::Relaxed);
        self.deadline(seat).store(0, Ordering::Relaxed);
        self.state(seat).store(RUNS, Ordering::SeqCst);
    }

    /// Worker: notes that the handler waits for the answer to a direct call. Changes nothing if its
    /// slot is lent already.
    #[inline]
    pub fn begin_wait(&self, seat: Seat) {
        let order = (Ordering::SeqCst, Ordering::SeqCst);
        let _ = self.state(seat).compare_exchange(RUNS, WAITS, order.0, order.1);
    }

    /// Worker: notes that the wait is over. Returns false if the slot was lent, so that the handler
    /// needs one to go on.
    #[inline]
    pub fn end_wait(&self, seat: Seat) -> bool {
        self.state(seat).swap(RUNS, Ordering::SeqCst) != LENT
    }

    /// Finds the seat of a call's handler.
    fn seat_of(&self, call: CallNumber) -> Option<Seat> {
        self.seats().find(|seat| self.call(*seat).load(Ordering::Relaxed) == call.number())
    }

    /// The seats that have ever been used.
    fn seats(&self) -> impl Iterator<Item = Seat> {
        let used = (self.used().load(Ordering::Relaxed) as usize).min(SEATS);
        (0..used).filter_map(Seat::new)
    }

    /// Engine: lends the slot of a call's handler, if the handler waits. Returns false if it does
    /// not. The slot of a handler that still waits may be lent again.
    pub fn lend(&self, call: CallNumber) -> bool {
        let Some(seat) = self.seat_of(call) else { return false };
        let order = (Ordering::SeqCst, Ordering::SeqCst);
        let lent = self.state(seat).compare_exchange(WAITS, LENT, order.0, order.1);
        matches!(lent, Ok(_) | Err(LENT))
    }

    /// Engine: whether a call's handler waits for the answer to a direct call without having lent
    /// its slot.
    pub fn waits(&self, call: CallNumber) -> bool {
        let state = self.seat_of(call).map(|seat| self.state(seat).load(Ordering::Relaxed));
        state == Some(WAITS)
    }

    /// Worker: notes that the handler with this seat runs a direct call with this deadline, in ns
    /// of the monotonic clock.
    #[inline]
    pub fn begin(&self, seat: Seat, deadline: u64) {
        self.deadline(seat).store(deadline, Ordering::Relaxed);
    }

    /// Worker: counts a direct call that the handler with this seat has run. Only one thread may
    /// call this at a time.
    pub fn end(&self, seat: Seat, status: Status, times: DirectTimes) {
        let DirectTimes { sent_at, began_at, ended_at } = times;
        self.deadline(seat).store(0, Ordering::Relaxed);
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

    /// Engine: the deadline, in ns, of the direct call that runs under a lease; `None` if none
    /// runs.
    pub fn runs_until(&self, lease: CallNumber) -> Option<u64> {
        let seat = self.seat_of(lease)?;
        Some(self.deadline(seat).load(Ordering::Relaxed)).filter(|deadline| *deadline > 0)
    }

    /// Engine: the worker's counters.
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
    use crate::ipc::ring::{create_file, create_file_with_seats};

    fn desk() -> Desk {
        assert!(Desk::of(&RingFile::map(&create_file().unwrap()).unwrap()).is_none());
        Desk::of(&RingFile::map(&create_file_with_seats().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_slot_is_lent_only_while_its_handler_waits() {
        let (desk, seat) = (desk(), Seat::new(SEATS - 1).unwrap());
        let (call, other) = (CallNumber::new(7).unwrap(), CallNumber::new(8).unwrap());
        assert!(!desk.lend(call), "it has no seat");
        desk.take(seat, call);
        assert!(!desk.lend(call));
        desk.begin_wait(seat);
        assert!(desk.waits(call) && !desk.waits(other) && !desk.lend(other));
        assert!(desk.lend(call) && desk.lend(call) && !desk.waits(call));
        assert!(!desk.end_wait(seat), "it was lent");
        desk.begin_wait(seat);
        assert!(desk.end_wait(seat) && !desk.lend(call));
        desk.begin_wait(seat);
        desk.leave(seat);
        assert!(!desk.lend(call));
        assert_eq!(Seat::new(SEATS), None);
    }

    #[test]
    fn the_engine_reads_the_counts_of_a_worker() {
        let desk = desk();
        let (seat, lease) = (Seat::OF_THREAD, CallNumber::new(7).unwrap());
        desk.take(seat, lease);
        desk.begin(seat, 9_000);
        assert_eq!(desk.runs_until(lease), Some(9_000));
        let times = DirectTimes { sent_at: 100, began_at: 300, ended_at: 5_300 };
        desk.end(seat, Status::Ok, times);
        desk.end(seat, Status::DepthExceeded, times);
        assert_eq!(desk.runs_until(lease), None);
        let counts = desk.counts();
        assert_eq!((counts.outcomes[0], counts.outcomes[9]), (1, 1));
        assert_eq!(counts.sums_ns, [2 * 200, 2 * 5_000, 2 * 5_200]);
        for (histogram, ns) in counts.histograms.iter().zip([200, 5_000, 5_200]) {
            assert_eq!(histogram[bucket_of(ns)], 2);
            assert_eq!(histogram.iter().sum::<u32>(), 2);
        }
    }
}
