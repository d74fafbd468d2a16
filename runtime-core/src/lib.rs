//! The code that the Nightcore engine and its workers share: the protocol, the channels and the
//! arena that carry it, and the runtime inside a container.
//!
//! * [`protocol`]: turns bytes into checked types, without I/O.
//! * [`ipc`]: named pipes, shared memory, the control socket, descriptor passing.
//! * [`worker`]: the launching thread, worker threads, requests and outgoing calls, the event loop.
//!
//! The engine uses `protocol` and `ipc`, never `worker`. This crate needs no async runtime.

// These macros panic when a write fails, for example to a closed pipe: see `stderr`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(not(all(target_os = "linux", target_endian = "little", target_pointer_width = "64")))]
compile_error!("Nightcore runs on 64-bit little-endian Linux (x86-64 and aarch64) only");

pub mod clock;
pub mod ipc;
pub mod protocol;
pub mod stderr;
pub mod worker;
