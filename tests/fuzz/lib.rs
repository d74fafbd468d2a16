//! Tests of what a hostile or broken peer may send, and of the orders in which a program may call
//! libnightcore. There is one target for each place where Nightcore meets bytes, or orders of
//! calls, that it did not create.
//!
//! A target is a plain function over any bytes. It must return without a panic, and checks its own
//! assertions. `replay.rs` runs it on the kept seeds in every test run; `fuzzer.rs` lets libFuzzer
//! search for further ones.

mod beside;
mod direct_peer;
mod engine;
mod engine_side;
mod ledger;
mod lender;
mod orders;
#[path = "../wire/raw.rs"]
mod raw;
mod steps;
mod targets;

pub use targets::{TARGETS, Target};
