//! Write Nightcore functions in Rust.
//!
//! A handler is a plain `fn` that takes a [`Request`] and returns anything that is a reply
//! ([`IntoReply`]). A [`Worker`] serves the handlers of a program:
//!
//! ```no_run
//! use nightcore::{Answer, Request, Result, Worker};
//!
//! fn foo(req: &Request) -> Result<Answer> {
//!     req.call("Bar", [req.body(), b", World"].concat())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Worker::new()
//!         .handle("Foo", foo)
//!         .handle("Bar", |req: &Request| [b"From function Bar: ", req.body()].concat())
//!         .serve()
//! }
//! ```
//!
//! List the program in `nightcore.toml` and run `nightcore up`; see docs/rust.md. Handlers run on
//! worker threads, several at once, so what they share must be `Sync`.
//!
//! # Features
//!
//! * `json`: `Json`, `Reply::json` and `json()` of requests and answers, by serde.
//! * `tokio`: asynchronous handlers, `Worker::handle_async`.
// These macros panic when a write fails, for example to a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![warn(clippy::pedantic)]

mod answer;
#[cfg(feature = "tokio")]
mod asynchronous;
mod cancel;
mod error;
mod host;
#[cfg(feature = "json")]
mod json;
mod metadata;
mod options;
mod pending;
mod process;
mod reply;
mod request;
mod serve;
mod status;
pub mod testing;
mod worker;

pub use answer::Answer;
#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncCall, AsyncRequest};
pub use cancel::{CancelGuard, CancelReason};
pub use error::{Cause, Error, Result};
#[cfg(feature = "json")]
pub use json::Json;
pub use metadata::Metadata;
pub use nightcore_runtime::protocol::CallId;
pub use options::CallOptions;
pub use pending::{AsCompleted, PendingCall};
pub use process::{call, call_with};
#[cfg(feature = "tokio")]
pub use process::{call_async, call_async_with};
pub use reply::{IntoReply, Reply};
pub use request::Request;
#[allow(deprecated, reason = "they stay for one release")]
pub use serve::{handle, serve, try_serve};
pub use status::Status;
pub use worker::{StartError, Worker};
