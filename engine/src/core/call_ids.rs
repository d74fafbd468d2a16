//! The ids of external and process calls.

use crate::ids::CallId;
use rand::rngs::StdRng;
use rand::{RngExt, make_rng};

/// Makes ids that nobody can guess. Otherwise a function could write lines that pass for lines
/// about somebody else's call. The chance that two of a billion ids are equal is 1 in 37.
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
            // 0 means that there is no id.
            if number != 0 {
                return CallId::new(number);
            }
        }
    }
}
