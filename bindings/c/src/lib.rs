//! libnightcore: the C ABI of the worker runtime. It translates, and makes no decisions of its own.
//!
//! `include/nightcore.h` is generated from this crate and documents each function; docs/ABI.md has
//! the rules that hold for all of them. Each file has one opaque type. Every `extern "C"` function
//! is written out, because cbindgen does not expand macros. Its body runs under [`guard`].

// The names are those of the header.
#![allow(non_camel_case_types)]
// The safety contract of each function is its comment, which is also in the header. The rules for
// all pointers are in docs/ABI.md.
#![allow(clippy::missing_safety_doc)]
// These macros panic when a write fails, for example to a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

// The modules are in the order of the header.
mod version;

mod facts;

mod status_name;

mod bytes;

mod metadata;

mod handler;

mod outcome;

mod side;

mod request;

mod watch;

mod error;

mod answer;

mod http_status;

mod call;

mod process_call;

mod reply;

mod buffer;

mod event_loop;

mod testing;

mod fake;

mod given;

mod guard;

mod guard_error;

mod extensible;

#[cfg(test)]
mod layout;
