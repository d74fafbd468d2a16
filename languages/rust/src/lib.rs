//! Write Nightcore functions in Rust.
//!
//! A function is a plain `fn` that takes a [`Request`] and returns anything that is an answer
//! ([`IntoReply`]). Register one for each name and serve:
//!
//! ```no_run
//! use nightcore::{Answer, Request, Result};
//!
//! fn foo(req: &Request) -> Result<Answer> {
//!     req.call("Bar", [req.body(), b", World"].concat())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     nightcore::handle("Foo", foo);
//!     nightcore::handle("Bar", |req: &Request| [b"From function Bar: ", req.body()].concat());
//!     nightcore::serve()
//! }
//! ```
//!
//! List the program in `nightcore.toml` and run `nightcore up`; see docs/rust.md. Handlers run on
//! worker threads, several at once, so what they share must be `Sync`.

// They panic when a write fails, as into a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod answer;
mod error;
mod host;
mod process;
mod reply;
mod request;
mod serve;
pub mod testing;

pub use answer::{Answer, Tagged};
pub use error::{Error, Result};
pub use nightcore_runtime::protocol::{
    CallId, CancelReason, Cause, Metadata, MetadataBuffer, MetadataError, Status,
};
pub use nightcore_runtime::worker::{CallOptions, Origin, StartError};
pub use process::{call, call_with};
pub use reply::{IntoReply, Reply};
pub use request::Request;
pub use serve::{handle, serve, try_serve};
