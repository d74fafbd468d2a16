//! Limits the rate of a container's control messages.
//!
//! For each request for a region, the engine creates a file and maps it, which takes about 60 µs. A
//! container that sends such messages without a pause is made to wait between them, which delays
//! only itself.

use std::time::Duration;
use tokio::time::Instant;

/// How many messages a container may send at once. It sends fewer when it starts or when it grows.
const BURST: u32 = 256;
/// The time after which it may send one more message. A container at this rate costs the engine 2 %
/// of its time.
const EACH: Duration = Duration::from_millis(4);

/// The rate limit of one container.
pub(super) struct RateLimiter {
    left: u32,
    /// The time up to which the messages that it may send have been credited.
    counted_until: Instant,
}

impl RateLimiter {
    pub(super) fn new() -> RateLimiter {
        RateLimiter { left: BURST, counted_until: Instant::now() }
    }

    /// Yields to other tasks after a message, and waits if there have been too many.
    pub(super) async fn after_message(&mut self) {
        let earned = self.counted_until.elapsed().as_nanos() / EACH.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(BURST).min(BURST);
        if self.left + earned >= BURST {
            (self.left, self.counted_until) = (BURST, Instant::now());
        } else {
            self.left += earned;
            self.counted_until += EACH * earned;
        }
        if self.left > 1 {
            self.left -= 1;
            tokio::task::yield_now().await;
        } else {
            self.left = 0;
            self.counted_until = Instant::now() + EACH;
            tokio::time::sleep_until(self.counted_until).await;
            self.left = 1;
        }
    }
}
