//! The addon of the npm package `nightcore`, through which its JavaScript uses the worker runtime.
//!
//! The addon translates, and makes no decisions of its own. All of it runs in Node's one event
//! loop: libuv watches the library's descriptor, and one array holds all events that have come.

// A test program would lack Node and the functions with which an addon registers itself.
#![cfg(not(test))]
// These macros panic when a write fails, for example to a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod failure;
mod process;
mod watch;
mod worker;
