//! Connects scheduler and transport. Only this folder knows both: it turns the transport's events
//! into calls of the scheduler, and the scheduler's actions into messages.
//!
//! All of this runs on the one I/O thread. [`Core`] is never borrowed across an `await`: a task
//! borrows it only to handle an event that has come.

mod actions;
mod call_ids;
mod channels;
mod containers;
mod drive;
mod external;
mod functions;
mod leases;
mod messages;
mod news;
mod processes;
mod rate_limiter;
mod readiness;
mod state;

pub use drive::{admit_containers, keep_time, poll_rings};
pub use external::CoreCalls;
pub use news::ContainerEvent;
pub use state::{Core, CoreHandle};
