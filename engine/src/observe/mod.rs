//! The pages of a running engine: its state, its metrics and its health.

pub mod admin;
mod metrics;
mod process;
pub mod status;
pub mod status_server;
