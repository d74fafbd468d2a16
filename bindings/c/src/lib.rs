//! libnightcore: the C ABI of the worker runtime. It translates and never decides.
//!
//! `include/nightcore.h` is generated from this crate and says what each function does; docs/ABI.md
//! says what holds for all of them. One file holds one opaque type. Every `extern "C"` function is
//! written out, as cbindgen does not see what a macro makes, and its body runs under [`guard`].

// Names are the ones of the header.
#![allow(non_camel_case_types)]
// The contract of each function is its comment, which is the header's: what it takes, for how long,
// from which thread. What holds for every pointer is in docs/ABI.md.
#![allow(clippy::missing_safety_doc)]
// They panic when a write fails, as into a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

// In the order of the header.
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
