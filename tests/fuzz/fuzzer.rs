//! Runs libFuzzer on one target, which NIGHTCORE_FUZZ_TARGET names; see run.sh.
#![no_main]

use nix::sys::signal::{SigHandler, Signal, signal};
use std::sync::LazyLock;
use targets::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    // Rust's own `main` ignores SIGPIPE, and so does the engine's.
    // SAFETY: no handler function is set, so none can be called.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.expect("a signal can be ignored");
    let name = std::env::var("NIGHTCORE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("NIGHTCORE_FUZZ_TARGET={name} is no target")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
