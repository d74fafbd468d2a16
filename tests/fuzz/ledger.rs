//! The calls that the honest side of direct channels has made, and the answers that each may have.
//!
//! The body of each call begins with a number of its own, its *token*. Every answer says in its
//! body which call it answers. So an answer that reaches another call is found.

use nightcore_runtime::protocol::{CallNumber, Failure};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Returns a number that no other call has.
pub(crate) fn new_token() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1 << 40);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Returns the token at the beginning of a body.
pub(crate) fn token_of(body: &[u8]) -> u64 {
    let mut token = [0; 8];
    let len = body.len().min(8);
    token[..len].copy_from_slice(&body[..len]);
    u64::from_le_bytes(token)
}

/// Returns the engine's answer to a call with this token.
pub(crate) fn by_engine(token: u64) -> Vec<u8> {
    [&b"e"[..], &token.to_le_bytes(), &[0; 8]].concat()
}

/// Returns a peer's answer to the call with this number of its lease.
pub(crate) fn by_peer(lease: CallNumber, number: u64) -> Vec<u8> {
    [&b"p"[..], &lease.number().to_le_bytes(), &number.to_le_bytes()].concat()
}

/// The end of a call of the honest side.
pub(crate) struct Ended {
    pub(crate) token: u64,
    pub(crate) result: Result<Vec<u8>, Failure>,
}

#[derive(Default)]
struct Known {
    right: Vec<Vec<u8>>,
    /// Whether any answer may come, because a peer that received the call has overwritten its
    /// channel.
    is_any: bool,
    has_ended: bool,
}

/// All calls of the honest side.
#[derive(Default)]
pub(crate) struct Ledger {
    calls: HashMap<u64, Known>,
}

impl Ledger {
    /// Records that a call begins.
    pub(crate) fn begins(&mut self, token: u64) {
        self.calls.entry(token).or_default();
    }

    /// Records that a call has arrived somewhere, and the right answer to it. If `is_any` is set,
    /// any other answer is accepted.
    pub(crate) fn goes(&mut self, token: u64, right: Vec<u8>, is_any: bool) {
        let known = self.calls.entry(token).or_default();
        known.right.push(right);
        known.is_any |= is_any;
    }

    /// Records that no one waits for a call any more.
    pub(crate) fn forget(&mut self, token: u64) {
        self.calls.remove(&token);
    }

    /// Records that a call has ended, and checks its answer. `is_any` says that a peer has
    /// overwritten its channel.
    pub(crate) fn ends(&mut self, ended: &Ended, is_any: bool) {
        let known = self.calls.get_mut(&ended.token).expect("a call that has begun");
        assert!(!std::mem::replace(&mut known.has_ended, true), "a call has ended twice");
        match &ended.result {
            Ok(body) => {
                let is_right = |right: &Vec<u8>| body.starts_with(right) || right.starts_with(body);
                let is_right = known.is_any || is_any || known.right.iter().any(is_right);
                assert!(is_right, "an answer to another call: {body:?} for {:?}", known.right);
            }
            Err(failure) => assert!(failure.status.ends_a_call(), "{failure}"),
        }
    }

    /// Returns the number of calls that have not ended.
    pub(crate) fn under_way(&self) -> usize {
        self.calls.values().filter(|known| !known.has_ended).count()
    }
}
