//! The words of a direct channel between two containers. They show which calls are under way, and
//! whether the engine has ended the lease.
//!
//! The file of a direct channel has the layout of a channel's rings. Ring 0 carries calls to the
//! callee, and ring 1 carries answers to the caller. For each call that may be under way at the
//! same time there is a word, which the caller, the callee and the engine change by
//! compare-and-swap:
//!
//! * The caller claims a free word, then sends the call.
//! * The callee frees the word, then sends the answer. If the call was abandoned, it sends no
//!   answer.
//! * The caller abandons a call whose deadline has passed, and the engine abandons a call that is
//!   cancelled. Either the callee frees the word first or the other side abandons the call first,
//!   so callee and caller agree about how the call ended.
//! * The engine sets a bit that ends the lease. From then on no call can be claimed. A callee that
//!   is told so refuses a call that was claimed but not sent yet.

use super::ring::{RingFile, RingReader, RingWriter, Side};
use crate::protocol::{CallNumber, CancelReason};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The ring that carries calls, and the one that carries answers.
const TO_CALLEE: usize = 0;
const TO_CALLER: usize = 1;
/// The offset, in the first page, of the words of calls.
const CALLS_OFFSET: usize = 1024;
/// The offset of the word that names the core on which the callee stays.
const HOME_OFFSET: usize = 960;
/// The length of a call's words: its state, and the call that makes it.
const CALL_BYTES: usize = 16;

const FREE: u32 = 0;
const CALLED: u32 = 1;
const ABANDONED_DEADLINE: u32 = 2;
const ABANDONED_CALLER: u32 = 3;
const REFUSED: u32 = 4;
const LEFT_DEADLINE: u32 = 5;
const LEFT_CALLER: u32 = 6;
/// Set when the engine has ended the lease.
const ENDED: u32 = 8;
/// The number of bits of the state. The bits above them count the calls. So a side that has seen
/// one call cannot change the state of the next one by mistake.
const STATE_BITS: u32 = 4;
const STATES: u32 = (1 << STATE_BITS) - 1;

/// The state of the call of a direct channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectState {
    /// There is no call, or its answer was sent or is about to be sent.
    Free,
    /// The callee runs the call, or will run it.
    Called,
    /// The caller no longer waits, for this reason.
    Abandoned(CancelReason),
    /// The callee does not run the call, as the lease is over.
    Refused,
    /// The engine has abandoned the call for this reason, and the lease is over. The callee has
    /// finished the call.
    Left(CancelReason),
}

/// A call that is under way, as the engine has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The call whose handler made it.
    pub maker: CallNumber,
    word: u32,
}

fn abandoned(reason: CancelReason) -> u32 {
    match reason {
        CancelReason::Deadline => ABANDONED_DEADLINE,
        CancelReason::Caller => ABANDONED_CALLER,
    }
}

/// Whether a call is under way, or its handler still runs.
fn is_busy(word: u32) -> bool {
    !matches!(word & STATES & !ENDED, FREE | LEFT_DEADLINE | LEFT_CALLER)
}

/// The mapped file of a direct channel.
#[derive(Clone, Debug)]
pub struct DirectFile {
    rings: RingFile,
}

impl DirectFile {
    /// Maps the file, which [`super::ring::create_file`] has made.
    ///
    /// # Errors
    ///
    /// The same as those of [`RingFile::map`].
    pub fn map(fd: &impl AsFd) -> io::Result<DirectFile> {
        Ok(DirectFile { rings: RingFile::map(fd)? })
    }

    /// The caller's ends.
    pub fn caller_ends(&self) -> (RingWriter, RingReader) {
        self.rings.ends(Side::Engine)
    }

    /// The callee's ends.
    pub fn callee_ends(&self) -> (RingWriter, RingReader) {
        self.rings.ends(Side::Worker)
    }

    #[inline]
    fn call(&self) -> &AtomicU32 {
        self.rings.word(CALLS_OFFSET)
    }

    #[inline]
    fn maker(&self) -> &AtomicU64 {
        self.rings.long_word(CALLS_OFFSET + CALL_BYTES / 2)
    }

    #[inline]
    fn alone(&self) -> &AtomicU32 {
        self.rings.word(CALLS_OFFSET + size_of::<AtomicU32>())
    }

    /// Callee: whether no other handler runs in the caller's process. This is only a hint.
    #[inline]
    pub fn caller_is_alone(&self) -> bool {
        self.alone().load(Ordering::Relaxed) != 0
    }

    /// Changes the state from `from` to `to`, and keeps the rest of the word. Returns false if the
    /// state is not `from`.
    #[inline]
    fn change(&self, from: u32, to: u32) -> bool {
        let mut word = self.call().load(Ordering::Acquire);
        while word & STATES & !ENDED == from {
            let changed = word & !(STATES & !ENDED) | to;
            match self.call().compare_exchange(word, changed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
        }
        false
    }

    /// Caller: claims a call for a handler that runs `maker`. `alone` says that no other handler
    /// runs in its process. Returns false if a call is under way, or the lease is over.
    ///
    /// The caller then reads the board, and gives the call up if it must go through the engine. The
    /// engine writes the board first and then looks for calls, so at least one of the two sides
    /// sees what the other has written.
    #[inline]
    pub fn claim(&self, maker: CallNumber, alone: bool) -> bool {
        let word = self.call().load(Ordering::Relaxed);
        if word & STATES != FREE {
            return false;
        }
        self.maker().store(maker.number(), Ordering::Relaxed);
        self.alone().store(alone.into(), Ordering::Relaxed);
        let called = word.wrapping_add(1 << STATE_BITS) | CALLED;
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let is_claimed = self.call().compare_exchange(word, called, order.0, order.1).is_ok();
        fence(Ordering::SeqCst);
        is_claimed
    }

    /// Caller: gives up a call that was claimed and has not been sent.
    pub fn unclaim(&self) {
        self.change(CALLED, FREE);
    }

    /// Callee: ends the call, as its handler has an answer. If nobody waits for the answer any
    /// more, returns the reason.
    ///
    /// If the engine has abandoned the call, the reason stays in the word for the caller, which may
    /// not have looked yet. No other call can follow, as the lease is over.
    #[inline]
    pub fn finish(&self) -> Option<CancelReason> {
        if self.change(CALLED, FREE) {
            return None;
        }
        for (state, left, reason) in [
            (ABANDONED_DEADLINE, LEFT_DEADLINE, CancelReason::Deadline),
            (ABANDONED_CALLER, LEFT_CALLER, CancelReason::Caller),
        ] {
            if self.change(state, if self.has_ended() { left } else { FREE }) {
                return Some(reason);
            }
        }
        // The caller broke the rules, so it gets no answer.
        Some(CancelReason::Caller)
    }

    /// Refuses a call that was claimed but that the callee has not received. Returns whether there
    /// was one. The callee may do this, and the engine once the callee has ended the lease.
    pub fn refuse(&self) -> bool {
        self.change(CALLED, REFUSED)
    }

    /// Caller: abandons the call, for which it no longer waits. Returns false if the call is not
    /// under way.
    pub fn abandon(&self, reason: CancelReason) -> bool {
        self.change(CALLED, abandoned(reason))
    }

    /// Engine: the call that is under way, if there is one.
    pub fn seen(&self) -> Option<Seen> {
        let word = self.call().load(Ordering::Acquire);
        let maker = CallNumber::new(self.maker().load(Ordering::Acquire))?;
        let is_same = self.call().load(Ordering::Acquire) | ENDED == word | ENDED;
        (is_same && word & STATES & !ENDED == CALLED).then_some(Seen { maker, word })
    }

    /// Engine: abandons the call that was seen, and ends the lease. Returns false if that call is
    /// no longer under way.
    pub fn cancel(&self, seen: Seen, reason: CancelReason) -> bool {
        let word = seen.word & !(STATES & !ENDED) | abandoned(reason) | ENDED;
        self.call().compare_exchange(seen.word, word, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Engine: ends the lease. Returns whether a call is under way.
    pub fn end(&self) -> bool {
        is_busy(self.call().fetch_or(ENDED, Ordering::AcqRel))
    }

    /// Engine: ends the lease, and then refuses a call that the callee, which has ended the lease,
    /// did not take. In this order, a call that is claimed between the two steps is refused as
    /// well.
    pub fn close(&self) {
        self.end();
        self.refuse();
    }

    /// The state of the call.
    #[inline]
    pub fn state(&self) -> DirectState {
        match self.call().load(Ordering::Acquire) & STATES & !ENDED {
            FREE => DirectState::Free,
            CALLED => DirectState::Called,
            ABANDONED_DEADLINE => DirectState::Abandoned(CancelReason::Deadline),
            ABANDONED_CALLER => DirectState::Abandoned(CancelReason::Caller),
            LEFT_DEADLINE => DirectState::Left(CancelReason::Deadline),
            LEFT_CALLER => DirectState::Left(CancelReason::Caller),
            // No side writes any other value, but a faulty process could.
            _ => DirectState::Refused,
        }
    }

    /// Whether a call is under way, or its handler still runs.
    pub fn is_busy(&self) -> bool {
        is_busy(self.call().load(Ordering::Acquire))
    }

    /// Whether the lease is over.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.call().load(Ordering::Acquire) & ENDED != 0
    }

    /// The core on which the callee stays, plus one; 0 if there is none. It is a hint for callers.
    #[inline]
    fn home(&self) -> &AtomicU32 {
        self.rings.word(HOME_OFFSET)
    }

    /// Callee: publishes the core on which it stays.
    pub fn set_home(&self, core: Option<u32>) {
        self.home().store(core.map_or(0, |core| core + 1), Ordering::Relaxed);
    }

    /// Caller: whether the callee stays on this core.
    #[inline]
    pub fn is_home(&self, core: u32) -> bool {
        self.home().load(Ordering::Relaxed) == core + 1
    }

    /// Wakes a callee that is a worker thread and is parked.
    pub fn wake_callee(&self) {
        self.rings.wake_reader(TO_CALLEE);
    }

    /// Wakes a caller that is a worker thread and is parked.
    pub fn wake_caller(&self) {
        self.rings.wake_reader(TO_CALLER);
    }

    /// Ends the wait of a callee that is an event loop. Returns whether its bell must be rung.
    pub fn end_callee_wait(&self) -> bool {
        self.rings.end_reader_wait(TO_CALLEE)
    }

    /// Ends the wait of a caller that is an event loop. Returns whether its bell must be rung.
    pub fn end_caller_wait(&self) -> bool {
        self.rings.end_reader_wait(TO_CALLER)
    }

    /// Engine: how many calls were claimed. The number wraps around.
    pub fn claimed(&self) -> u32 {
        self.call().load(Ordering::Relaxed) >> STATE_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::ring::create_file;

    fn file() -> DirectFile {
        DirectFile::map(&create_file().unwrap()).unwrap()
    }

    fn maker() -> CallNumber {
        CallNumber::new(7).unwrap()
    }

    #[test]
    fn a_call_is_answered_or_abandoned_and_both_sides_agree() {
        let file = file();
        assert!(file.claim(maker(), true) && !file.claim(maker(), true));
        let seen = file.seen().unwrap();
        assert_eq!(seen.maker, maker());
        assert_eq!(file.finish(), None);
        assert!(!file.abandon(CancelReason::Deadline), "it was answered");
        assert!(file.claim(maker(), true));
        assert!(!file.cancel(seen, CancelReason::Caller), "it is another call");
        assert!(file.abandon(CancelReason::Deadline));
        assert!(!file.abandon(CancelReason::Caller), "it was abandoned before");
        assert!(!file.claim(maker(), true), "the handler still runs");
        assert_eq!(file.finish(), Some(CancelReason::Deadline));
        assert!(file.claim(maker(), true));
    }

    #[test]
    fn the_engine_cancels_the_call_that_it_has_seen() {
        let file = file();
        assert!(file.claim(maker(), true));
        let seen = file.seen().unwrap();
        assert!(file.cancel(seen, CancelReason::Deadline) && file.has_ended());
        assert!(!file.cancel(seen, CancelReason::Deadline) && file.seen().is_none());
        assert!(file.is_busy());
        assert_eq!(file.finish(), Some(CancelReason::Deadline));
        assert!(!file.claim(maker(), true), "the lease is over");
        assert!(!file.is_busy());
        assert_eq!(file.state(), DirectState::Left(CancelReason::Deadline), "its caller sees why");
    }

    #[test]
    fn after_the_end_of_a_lease_no_call_begins() {
        let file = file();
        assert!(!file.end() && !file.claim(maker(), true));

        let file = self::file();
        assert!(file.claim(maker(), true) && file.end());
        assert_eq!(file.finish(), None);
        assert!(file.has_ended() && !file.claim(maker(), true));

        let file = self::file();
        assert!(file.claim(maker(), true) && file.end() && file.refuse());
        assert_eq!(file.state(), DirectState::Refused);
        assert!(!file.abandon(CancelReason::Deadline));
    }

    /// The claim comes before the lease is closed, in the middle, or not at all.
    #[test]
    fn no_call_is_left_behind_in_a_lease_that_is_closed() {
        const ROUNDS: u32 = 20_000;
        /// How many different pauses the engine makes before it closes the lease.
        const PAUSES: u32 = 100;
        let (file, begun, done) = (file(), AtomicU32::new(0), AtomicU32::new(0));
        let wait_for = |word: &AtomicU32, round| {
            while word.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
        };
        let mut left_behind = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    wait_for(&begun, round);
                    // If the board forbids the call, the caller gives it up.
                    while !file.has_ended() {
                        if file.claim(maker(), true) && !file.has_ended() {
                            file.unclaim();
                        }
                    }
                    done.store(round, Ordering::Release);
                }
            });
            for round in 1..=ROUNDS {
                file.call().store(FREE, Ordering::Release);
                begun.store(round, Ordering::Release);
                (0..round % PAUSES).for_each(|_| std::hint::spin_loop());
                file.close();
                wait_for(&done, round);
                left_behind += u32::from(file.state() == DirectState::Called);
            }
        });
        assert_eq!(left_behind, 0);
    }
}
