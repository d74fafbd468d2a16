//! Why a call was cancelled, and the word of shared memory that tells it to a worker thread.

use super::ids::CallNumber;
use super::status::Status;

/// Why a call was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// The deadline of the call has passed.
    Deadline,
    /// The caller has left, has cancelled the call, or was cancelled itself.
    Caller,
}

impl CancelReason {
    /// The status of a call that ends for this reason.
    pub fn status(self) -> Status {
        match self {
            CancelReason::Deadline => Status::DeadlineExceeded,
            CancelReason::Caller => Status::Cancelled,
        }
    }

    /// The reason that this status stands for, if it stands for one.
    pub fn from_status(status: Status) -> Option<CancelReason> {
        match status {
            Status::DeadlineExceeded => Some(CancelReason::Deadline),
            Status::Cancelled => Some(CancelReason::Caller),
            _ => None,
        }
    }
}

/// Set in a cancel word if the reason is the deadline. No number of a call has this bit.
const DEADLINE_BIT: u64 = 1 << 63;

/// The content of a worker thread's cancel word: the call of that thread that was cancelled last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelWord {
    /// The call.
    pub call: CallNumber,
    /// Why it was cancelled. For a container that speaks a version before
    /// [`super::version::CANCEL_REASON_SINCE_VERSION`] the engine writes [`CancelReason::Caller`],
    /// whose word is the bare number of the call.
    pub reason: CancelReason,
}

impl CancelWord {
    /// The word of a slot in which no call was cancelled.
    pub const NONE: u64 = 0;

    /// The word as shared memory holds it.
    pub fn pack(self) -> u64 {
        debug_assert!(self.call.number() & DEADLINE_BIT == 0, "{} has bit 63", self.call);
        match self.reason {
            CancelReason::Deadline => self.call.number() | DEADLINE_BIT,
            CancelReason::Caller => self.call.number(),
        }
    }

    /// Reads a word in shared memory. Returns `None` if it names no call.
    pub fn unpack(word: u64) -> Option<CancelWord> {
        let reason = match word & DEADLINE_BIT {
            0 => CancelReason::Caller,
            _ => CancelReason::Deadline,
        };
        Some(CancelWord { call: CallNumber::new(word & !DEADLINE_BIT)?, reason })
    }

    /// Why `call` was cancelled, by this word; `None` if the word is about another call.
    #[inline]
    pub fn reason_for(word: u64, call: CallNumber) -> Option<CancelReason> {
        let word = CancelWord::unpack(word)?;
        (word.call == call).then_some(word.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_its_call_and_its_reason() {
        let call = CallNumber::new(0x2a_0000_0bcd).unwrap();
        for (reason, word) in [
            (CancelReason::Caller, 0x0000_002a_0000_0bcd),
            (CancelReason::Deadline, 0x8000_002a_0000_0bcd),
        ] {
            assert_eq!(CancelWord { call, reason }.pack(), word);
            assert_eq!(CancelWord::unpack(word), Some(CancelWord { call, reason }));
            assert_eq!(CancelWord::reason_for(word, call), Some(reason));
            assert_eq!(CancelWord::reason_for(word + 1, call), None);
        }
    }

    #[test]
    fn a_word_without_a_call_says_nothing() {
        assert_eq!(CancelWord::unpack(CancelWord::NONE), None);
        assert_eq!(CancelWord::unpack(DEADLINE_BIT), None);
    }

    #[test]
    fn reasons_have_a_status_each() {
        for reason in [CancelReason::Deadline, CancelReason::Caller] {
            assert_eq!(CancelReason::from_status(reason.status()), Some(reason));
        }
        assert_eq!(CancelReason::from_status(Status::Unavailable), None);
    }
}
