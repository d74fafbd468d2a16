//! The Nightcore engine: the gateway, the scheduler, the transport to the workers, the core that
//! ties these together, and the launcher.
//!
//! `ARCHITECTURE.md` describes the modules and the steps of a call.

// The print macros panic if a write fails, for example to a closed pipe: see `cli::output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod address_space;
mod aside;
mod available;
mod buffer;
mod builds;
pub mod calls;
pub mod cli;
pub mod config;
pub mod core;
mod descriptors;
pub mod directory;
pub mod engine_log;
mod engine_sockets;
pub mod functions;
pub mod gateway;
pub mod ids;
pub mod launcher;
pub mod memory;
pub mod notify;
pub mod observe;
mod peer;
pub mod place;
pub mod pool;
pub mod process_tree;
pub mod processors;
pub mod reload;
pub mod scheduler;
pub mod tcp;
pub mod timer;
mod tracing;
pub mod transport;
pub mod up;
pub mod wall_clock;
pub mod watch;
mod watched;
