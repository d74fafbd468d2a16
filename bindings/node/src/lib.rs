//! The addon of the npm package `nightcore`: the worker runtime as the package's JavaScript uses
//! it.
//!
//! It translates and decides nothing. All of it runs in Node's one event loop: the library's
//! descriptor is watched by libuv, and what has happened is handed over in one array.

// A test program would lack Node, and what registers with it.
#![cfg(not(test))]
// They panic when a write fails, as into a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod failure;
mod process;
mod watch;
mod worker;
