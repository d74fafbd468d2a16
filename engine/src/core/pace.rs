//! How fast a container may talk on its control socket.
//!
//! Each request for a region has the engine make a file and map it, which takes some 60 µs. A
//! container whose messages follow each other without end waits between them, and holds up itself
//! only.

use std::time::Duration;
use tokio::time::Instant;

/// Messages that a container may send at once: more than it has to say when it starts, or when it
/// grows.
const BURST: u32 = 256;
/// The time in which it may send one more. Such a container costs the engine 2 % of its time.
const EACH: Duration = Duration::from_millis(4);

/// The pace of one container.
pub(super) struct Pace {
    left: u32,
    /// Until when what it may send has been counted.
    counted_until: Instant,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { left: BURST, counted_until: Instant::now() }
    }

    /// Gives way to others after a message, and waits if there have been too many.
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
