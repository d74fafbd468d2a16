//! libFuzzer over one target, which NIGHTCORE_FUZZ_TARGET names; see run.sh.
#![no_main]

use std::sync::LazyLock;
use targets::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("NIGHTCORE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("NIGHTCORE_FUZZ_TARGET={name} is none of {TARGETS:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
