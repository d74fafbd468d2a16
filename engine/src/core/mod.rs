//! Where scheduler and transport meet. Only this room knows both: an event becomes a call of the
//! scheduler here, and an action becomes a message.
//!
//! All of it lives on the one I/O thread. [`Core`] is never borrowed across an `await`: the tasks
//! that wait borrow it when something has come.

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
mod pace;
mod processes;
mod readiness;
mod state;

pub use drive::{admit_containers, keep_time, look_at_rings};
pub use external::CoreCalls;
pub use news::ContainerEvent;
pub use state::{Core, CoreHandle};
