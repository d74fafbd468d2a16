//! The Nightcore engine: the gateway, the dispatcher, the link to the workers and the launcher.
//!
//! The rooms and the way of a call are drawn in `ARCHITECTURE.md`.

pub mod config;
pub mod dispatch;
