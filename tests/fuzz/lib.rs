//! What a hostile or broken peer may send, and in which order a program may call libnightcore: one target for each place where
//! Nightcore meets bytes, or orders, that it did not write.
//!
//! A target is a plain function over any bytes, which must end without a panic and hold what it asserts. `replay.rs` gives it
//! the kept seeds in every test run; `fuzzer.rs` lets libFuzzer look for others.

mod beside;
mod direct_peer;
mod door;
mod engine;
mod ledger;
mod lender;
mod orders;
#[path = "../wire/raw.rs"]
mod raw;
mod steps;
mod targets;

pub use targets::{TARGETS, Target};
