//! What can be asked of a running engine.

pub mod admin;
pub mod door;
mod metrics;
mod process;
pub mod status;
