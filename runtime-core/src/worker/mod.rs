//! The runtime inside a container: one protocol, and two drivers for it.
//!
//! * `protocol`: the state of a worker's calls, and what follows from each message. It does no I/O.
//! * [`serve`]: the driver for threads. The thread that calls it becomes the launching thread,
//!   which creates and retires worker threads when the engine says so. Each of them runs one call
//!   at a time.
//! * [`EventLoop`]: the driver for hosts that have an event loop of their own. It has a descriptor
//!   to wait on, and a function `next`.
//! * [`caller`]: calls that the process makes outside of any request.

mod active;
mod answer;
mod arena;
mod bell;
mod buffer;
mod callee_end;
pub mod caller;
mod cancel_flag;
mod cancel_source;
mod channel;
mod compose;
mod direct_call;
mod direct_files;
#[cfg(test)]
mod direct_loop_tests;
mod direct_send;
mod event_loop;
mod fork;
mod gone;
mod handler_error;
mod handlers;
mod handling;
mod launching;
mod leases;
mod lent;
mod lents;
mod log;
mod loop_bell;
mod loop_calls;
mod loop_channel;
mod loop_direct;
mod loop_direct_call;
mod loop_event;
mod loop_inbound;
mod loop_lent;
mod loop_request;
mod loop_timer;
mod memory;
mod open_calls;
mod payload;
mod peer;
mod protocol;
mod request;
mod rest;
mod running;
mod session;
#[cfg(test)]
mod skins;
mod thread;
mod thread_channel;
mod trace;
mod watch;

pub use answer::{Answer, Tagged};
pub use buffer::Buffer;
pub use compose::{Body, CallOptions};
pub use event_loop::EventLoop;
pub use fork::is_forked;
pub use handler_error::HandlerError;
pub use handlers::{Handler, Handlers, guarded};
pub use launching::serve;
pub use loop_event::Event;
pub use loop_request::LoopRequest;
pub use payload::{Input, Origin};
pub use request::Request;
pub use running::RunningCall;
pub use session::StartError;
pub use watch::Watch;
