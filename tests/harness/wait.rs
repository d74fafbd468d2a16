//! Waiting for something to be so: the only place that sleeps.

use std::time::{Duration, Instant};

/// Long enough for anything on a machine that is busy elsewhere; no good run ever waits so long.
pub const LONG: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    wait_for_within(what, LONG, || so().then_some(()));
}

/// Waits until something is so, which must be before `within` has passed.
#[track_caller]
pub fn wait_until_within(what: &str, within: Duration, mut so: impl FnMut() -> bool) {
    wait_for_within(what, within, || so().then_some(()));
}

/// Waits until there is something.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_within(what, LONG, look)
}

/// Waits until there is something, which must be before `within` has passed.
#[track_caller]
pub fn wait_for_within<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    let found = find_within(within, look);
    found.unwrap_or_else(|| panic!("waited {within:?} in vain for: {what}"))
}

/// Looks for something again and again; `None` if there is nothing until `within` has passed.
pub fn find_within<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + within;
    loop {
        // The time is asked first: a look that takes long must not be the one that is late.
        let late = Instant::now() >= until;
        let found = look();
        if found.is_some() || late {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
}
