//! The runtime inside a container, in two skins over one core.
//!
//! * [`serve`]: the caller's thread becomes the launching thread; it creates and retires worker threads when the
//!   engine says so, and each runs one call at a time.
//! * [`EventLoop`]: a descriptor and a `next`, for hosts that have an event loop of their own.

mod answer;
mod arena;
mod channel;
mod event_loop;
mod invoke;
mod launching;
mod log;
mod payload;
mod request;
mod session;
mod thread;
mod watch;

pub use answer::{Answer, Tagged};
pub use arena::Buffer;
pub use event_loop::{Event, EventLoop, LoopRequest};
pub use invoke::{Body, CallOptions};
pub use launching::{Handler, Handlers, serve};
pub use payload::Input;
pub use request::{Origin, Request};
pub use session::{StartError, is_forked};
pub use watch::Watch;
