//! The base of the tests: a real engine with real workers, used as a user uses it.
//!
//! A test describes an engine with [`Setup`], starts it, and calls it over HTTP. It observes the
//! engine through `nightcore ps`, and its processes through `/proc`. When an [`Engine`] is dropped,
//! it and all processes that it started end. Only [`wait`] sleeps.

mod build;
mod command;
mod compile;
mod engine;
mod home;
pub mod hostile;
mod http;
pub mod http2;
mod limits;
mod load;
pub mod metrics;
mod possessions;
pub mod process;
mod setup;
mod status;
pub mod strace;
pub mod wait;
pub mod workers;

pub use build::nightcore;
pub use command::{Finished, run};
pub use engine::Engine;
pub use home::Home;
pub use http::{Connection, Problem, Response};
pub use http2::{Http2, Http2Response};
pub use limits::{allow_many_descriptors, limit_process};
pub use load::{Load, Outcome};
pub use possessions::{Possessions, private_memory};
pub use setup::{RINGS_ONLY, Setup, suite_channel};
pub use status::{Ended, FunctionStatus, ProcessStatus, QuarantinedInput, Status};
pub use wait::{wait_for, wait_until, wait_until_within};

use std::path::Path;

/// Returns the root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// Returns bytes that differ from place to place, so that a lost or moved byte is noticed.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}
