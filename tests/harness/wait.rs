//! Waits for a condition. This is the only place that sleeps.

use std::time::{Duration, Instant};

/// Long enough for anything on a busy machine. No successful run waits this long.
pub const LONG: Duration = Duration::from_secs(20);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    wait_for_within(what, LONG, || so().then_some(()));
}

/// Waits until a condition holds. Panics if `within` passes first.
#[track_caller]
pub fn wait_until_within(what: &str, within: Duration, mut so: impl FnMut() -> bool) {
    wait_for_within(what, within, || so().then_some(()));
}

/// Waits until `look` finds something.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_within(what, LONG, look)
}

/// Waits until `look` finds something. Panics if `within` passes first.
#[track_caller]
pub fn wait_for_within<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    let found = find_within(within, look);
    found.unwrap_or_else(|| panic!("waited {within:?} in vain for: {what}"))
}

/// Calls `look` repeatedly until it finds something; returns `None` when `within` has passed.
pub fn find_within<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + within;
    loop {
        // The time is read first, so that a slow check is not counted as too late.
        let late = Instant::now() >= until;
        let found = look();
        if found.is_some() || late {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
}
