//! The Nightcore engine: the gateway, the dispatcher, the link to the workers and the launcher.
//!
//! The rooms and the way of a call are drawn in `ARCHITECTURE.md`.

pub mod cli;
pub mod config;
pub mod directory;
pub mod dispatch;
pub mod gateway;
pub mod launcher;
pub mod link;
pub mod notify;
pub mod observe;
pub mod reload;
pub mod say;
pub mod tcp;
pub mod timer;
pub mod up;
pub mod wall_clock;
pub mod watch;
