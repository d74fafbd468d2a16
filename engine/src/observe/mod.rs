//! The pages of a running engine: its state, its metrics and its health.

pub mod admin;
pub mod door;
mod metrics;
mod process;
pub mod status;
