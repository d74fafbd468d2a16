//! The gateway: takes clients' HTTP requests and hands each to an engine. It knows HTTP and nothing
//! of pipes.

mod calls;
mod deadline;
mod problem;
mod refused;
mod request;
mod response;
mod routes;
mod server;
mod service;
mod stop;
mod timeouts;
mod turns;

pub use calls::{Answer, Called, Calls};
pub use deadline::{TIMEOUT_HEADER, timeout};
pub use routes::{Routes, SharedRoutes};
pub use server::Gateway;
pub use service::{Health, Limits, Service, health_page};
pub use stop::Stop;
pub use timeouts::keep_timeouts;
