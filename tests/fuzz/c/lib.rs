//! libnightcore built as a Rust library. A fuzzer instruments only what it is compiled with, and
//! `bindings/c` builds only libraries for C programs.

// `bindings/c` allows the same lints.
#![allow(missing_docs, non_camel_case_types, clippy::missing_safety_doc)]

#[path = "../../../bindings/c/src/answer.rs"]
pub mod answer;
#[path = "../../../bindings/c/src/buffer.rs"]
pub mod buffer;
#[path = "../../../bindings/c/src/bytes.rs"]
pub mod bytes;
#[path = "../../../bindings/c/src/call.rs"]
pub mod call;
#[path = "../../../bindings/c/src/error.rs"]
pub mod error;
#[path = "../../../bindings/c/src/event_loop.rs"]
pub mod event_loop;
#[path = "../../../bindings/c/src/extensible.rs"]
pub mod extensible;
#[path = "../../../bindings/c/src/facts.rs"]
pub mod facts;
#[path = "../../../bindings/c/src/fake.rs"]
pub mod fake;
#[path = "../../../bindings/c/src/given.rs"]
pub mod given;
#[path = "../../../bindings/c/src/guard.rs"]
pub mod guard;
#[path = "../../../bindings/c/src/guard_error.rs"]
pub mod guard_error;
#[path = "../../../bindings/c/src/handler.rs"]
pub mod handler;
#[path = "../../../bindings/c/src/http_status.rs"]
pub mod http_status;
#[path = "../../../bindings/c/src/metadata.rs"]
pub mod metadata;
#[path = "../../../bindings/c/src/outcome.rs"]
pub mod outcome;
#[path = "../../../bindings/c/src/reply.rs"]
pub mod reply;
#[path = "../../../bindings/c/src/request.rs"]
pub mod request;
#[path = "../../../bindings/c/src/side.rs"]
pub mod side;
#[path = "../../../bindings/c/src/status_name.rs"]
pub mod status_name;
#[path = "../../../bindings/c/src/testing.rs"]
pub mod testing;
#[path = "../../../bindings/c/src/version.rs"]
pub mod version;
#[path = "../../../bindings/c/src/watch.rs"]
pub mod watch;

pub use {
    answer::*, buffer::*, bytes::*, call::*, error::*, event_loop::*, facts::*, handler::*,
    metadata::*, reply::*, request::*, status_name::*, watch::*,
};
