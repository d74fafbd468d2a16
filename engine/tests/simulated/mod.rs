//! What tests of the dispatcher on a simulated clock have in common.

use nightcore_engine::dispatch::{Fingerprint, Input, Spec};
use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use std::time::Duration;

pub const MS: u64 = 1_000_000;

/// What a call carries: an input, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body(pub u64);

impl Input for Body {
    fn fingerprint(&self) -> Fingerprint {
        self.0
    }

    fn share(&mut self) -> Body {
        *self
    }
}

/// A function with a process, of which nothing else is said.
pub fn spec(name: &str, max: u32) -> Spec {
    Spec {
        name: name.into(),
        processes: 1,
        min: 1,
        max: Some(max),
        timeout: Duration::from_secs(5),
        grace: Duration::from_secs(1),
        queue_calls: 1000,
        queue_bytes: 1 << 20,
        max_depth: 6,
        external: true,
        channel: ChannelKind::Fifo,
        placement: Placement::Free,
        quarantine_after: 0,
        retries: 0,
        idempotent: false,
    }
}
