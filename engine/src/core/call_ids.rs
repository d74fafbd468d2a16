//! The ids of calls from outside.

use crate::ids::CallId;
use rand::rngs::StdRng;
use rand::{RngExt, make_rng};

/// Makes ids that nobody can guess: a function could otherwise write lines that pass for lines
/// about a call of somebody else. The chance that two of a billion ids are the same is 1 in 37.
pub(super) struct CallIds(StdRng);

impl Default for CallIds {
    fn default() -> CallIds {
        CallIds(make_rng())
    }
}

impl CallIds {
    pub(super) fn next(&mut self) -> CallId {
        loop {
            let number = self.0.random::<u64>();
            // 0 stands for no id.
            if number != 0 {
                return CallId::new(number);
            }
        }
    }
}
