//! Counts and bounds the memory that requests and answers hold.
//!
//! The bodies and headers of requests count from their arrival until their calls have ended, and
//! answers count until they are written. A request that does not fit is refused, so that clients
//! cannot make the system kill the engine for the memory of their requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Requests larger than this may hold only a part of the memory, so that large ones do not keep
/// small ones out.
const SMALL_BYTES: u64 = 64 * 1024;
/// Large requests may hold three quarters. The rest is for small requests and for answers.
const LARGE_NUMERATOR: u64 = 3;
const LARGE_DENOMINATOR: u64 = 4;
/// The least peak after which memory is given back. The allocator keeps less than that for the next
/// peak.
const PEAK_BYTES: u64 = 16 << 20;
/// The time between a peak and the return of its memory. The next peak may come at once.
const CALM: Duration = Duration::from_millis(500);

/// The account of an engine. It lives as long as the process, so that a copy is only a reference
/// and reservations may be dropped anywhere.
#[derive(Clone, Copy, Debug)]
pub struct Memory(&'static Account);

#[derive(Debug)]
struct Account {
    limit: u64,
    held: Count,
    refused: Count,
    /// The most bytes that were held since memory was last given back.
    peak: Count,
    /// The most bytes that were held since the last peak seemed to be over.
    since: Count,
    /// Answers that wait for room are woken when at most this many bytes are held.
    wakes_at: Count,
    given_back: Notify,
    /// Wakes the task that gives memory back to the system.
    after_peak: Notify,
}

/// A number that only the I/O thread changes. It is atomic so that a reservation is `Send`, though
/// none leaves the thread.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }
}

/// The figures of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The bound, in bytes.
    pub limit: u64,
    /// Bytes that are held.
    pub held: u64,
    /// How often a request or an answer was refused for lack of room.
    pub refused: u64,
}

impl Memory {
    /// Creates an account with this bound, in bytes.
    pub fn with_limit(limit: u64) -> Memory {
        Memory(Box::leak(Box::new(Account {
            limit,
            held: Count::default(),
            refused: Count::default(),
            peak: Count::default(),
            since: Count::default(),
            wakes_at: Count::default(),
            given_back: Notify::new(),
            after_peak: Notify::new(),
        })))
    }

    /// Returns the current figures.
    pub fn usage(&self) -> Usage {
        let account = self.0;
        Usage { limit: account.limit, held: account.held.get(), refused: account.refused.get() }
    }

    /// Returns the size of the largest request that can ever fit.
    pub fn largest_request(&self) -> u64 {
        self.bound_for(u64::MAX)
    }

    /// Returns an empty reservation, which can grow.
    pub fn hold_nothing(&self) -> MemoryReservation {
        MemoryReservation { memory: *self, bytes: 0 }
    }

    /// Whether a request of this many bytes fits now. If not, it counts as refused.
    pub fn admits(&self, bytes: u64) -> bool {
        let has_room = self.0.held.get().saturating_add(bytes) <= self.bound_for(bytes);
        self.count_refused(!has_room);
        has_room
    }

    /// Reserves the bytes of an answer. Waits for room, for at most the time `within`. Returns
    /// `None`, and counts a refusal, if there is none by then.
    pub async fn hold_answer(&self, bytes: u64, within: Duration) -> Option<MemoryReservation> {
        let account = self.0;
        let until = Instant::now() + within;
        let mut held = self.hold_nothing();
        while !held.grow_to(bytes, account.limit) {
            let given_back = account.given_back.notified();
            let room_at = account.limit.checked_sub(bytes);
            account.wakes_at.set(account.wakes_at.get().max(room_at.unwrap_or(0)));
            if room_at.is_none() || tokio::time::timeout_at(until, given_back).await.is_err() {
                self.count_refused(true);
                return None;
            }
        }
        Some(held)
    }

    /// Calls `give_back` after each peak, which returns memory to the system. Never returns.
    pub async fn give_back_after_peaks(self, give_back: impl Fn()) {
        loop {
            self.0.after_peak.notified().await;
            self.0.since.set(self.0.held.get());
            tokio::time::sleep(CALM).await;
            // Under a steady load of large bodies one peak follows another, and the memory is
            // needed again.
            if self.is_after_peak() && self.0.since.get() <= self.0.peak.get() / 2 {
                self.0.peak.set(self.0.held.get());
                give_back();
            }
        }
    }

    fn is_after_peak(&self) -> bool {
        let (held, peak) = (self.0.held.get(), self.0.peak.get());
        peak >= PEAK_BYTES && held <= peak / 2
    }

    /// Returns the most bytes that may be held together with a request of this many bytes.
    fn bound_for(&self, bytes: u64) -> u64 {
        match bytes > SMALL_BYTES {
            true => self.0.limit / LARGE_DENOMINATOR * LARGE_NUMERATOR,
            false => self.0.limit,
        }
    }

    fn count_refused(&self, is_refused: bool) {
        self.0.refused.set(self.0.refused.get() + u64::from(is_refused));
    }
}

/// A reservation of bytes, which are released when it is dropped.
#[derive(Debug)]
pub struct MemoryReservation {
    memory: Memory,
    bytes: u64,
}

impl MemoryReservation {
    /// Reserves more bytes for a request. Returns false if there is no room for them, which counts
    /// as a refusal.
    #[inline]
    pub fn grow(&mut self, more: u64) -> bool {
        let bytes = self.bytes.saturating_add(more);
        let grows = self.grow_to(bytes, self.memory.bound_for(bytes));
        self.memory.count_refused(!grows);
        grows
    }

    #[inline]
    fn grow_to(&mut self, bytes: u64, bound: u64) -> bool {
        let account = self.memory.0;
        let held = account.held.get().saturating_add(bytes - self.bytes);
        if held > bound {
            return false;
        }
        account.held.set(held);
        account.peak.set(account.peak.get().max(held));
        account.since.set(account.since.get().max(held));
        self.bytes = bytes;
        true
    }
}

impl Drop for MemoryReservation {
    #[inline]
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let account = self.memory.0;
        account.held.set(account.held.get() - self.bytes);
        if account.held.get() <= account.wakes_at.get() {
            account.wakes_at.set(0);
            account.given_back.notify_waiters();
        }
        if self.memory.is_after_peak() {
            account.after_peak.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    const MIB: u64 = 1 << 20;

    #[test]
    fn bytes_above_the_limit_are_refused_and_dropped_ones_make_room() {
        let memory = Memory::with_limit(100 * MIB);
        let mut one = memory.hold_nothing();
        assert!(one.grow(40 * MIB) && one.grow(30 * MIB));
        assert!(!one.grow(6 * MIB), "large ones have three quarters");
        assert!(!memory.admits(6 * MIB) && memory.admits(5 * MIB));
        let mut small = memory.hold_nothing();
        assert!(small.grow(SMALL_BYTES), "small ones have all of it");
        assert_eq!(
            memory.usage(),
            Usage { limit: 100 * MIB, held: 70 * MIB + SMALL_BYTES, refused: 2 }
        );
        drop((one, small));
        assert_eq!(memory.usage().held, 0);
    }

    #[test]
    fn an_answer_waits_for_room_but_not_for_ever() {
        let memory = Memory::with_limit(10 * MIB);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let first = memory.hold_answer(8 * MIB, CALM).await.unwrap();
            assert!(memory.hold_answer(8 * MIB, Duration::ZERO).await.is_none());
            assert!(memory.hold_answer(11 * MIB, CALM).await.is_none(), "it never has room");
            let second = memory.hold_answer(8 * MIB, Duration::from_secs(60));
            let gives_back = async {
                tokio::task::yield_now().await;
                drop(first);
            };
            let (second, ()) = tokio::join!(second, gives_back);
            assert!(second.is_some());
        });
        assert_eq!(memory.usage().refused, 2);
    }

    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn answers_are_woken_when_there_is_room_for_one_of_them() {
        let memory = Memory::with_limit(10 * MIB);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut large = memory.hold_nothing();
        assert!(large.grow(7 * MIB));
        let answer = |_| Box::pin(memory.hold_answer(6 * MIB, Duration::from_secs(60)));
        let mut answers: Vec<_> = (0..100).map(answer).collect();
        for answer in &mut answers {
            assert!(answer.as_mut().poll(&mut context).is_pending());
        }
        for _ in 0..100 {
            assert!(memory.hold_nothing().grow(1024));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "there is no room for any");
        drop(large);
        assert!(woken.0.load(Ordering::Relaxed) > 0);
        let polled = answers.iter_mut().map(|answer| answer.as_mut().poll(&mut context));
        let polled: Vec<Poll<Option<MemoryReservation>>> = polled.collect();
        assert!(matches!(polled[0], Poll::Ready(Some(_))));
        assert!(polled[1..].iter().all(Poll::is_pending));
    }

    #[test]
    fn a_peak_is_over_when_half_of_it_was_given_back() {
        let memory = Memory::with_limit(100 * MIB);
        let held: Vec<MemoryReservation> = [10, 10, 20]
            .map(|mib| {
                let mut held = memory.hold_nothing();
                assert!(held.grow(mib * MIB));
                held
            })
            .into();
        let is_over = |held: &MemoryReservation| {
            let is_over = held.memory.is_after_peak();
            (held.memory.usage().held / MIB, is_over)
        };
        let mut seen = Vec::new();
        for held in held {
            seen.push(is_over(&held));
        }
        assert_eq!(seen, [(40, false), (30, false), (20, true)]);
        let small = Memory::with_limit(100 * MIB);
        assert!(small.hold_nothing().grow(MIB));
        assert!(!small.is_after_peak(), "it was small");
    }
}
